"""Who is in which room, by room and by user, and when a user's own memberships changed.

The same facts as `m.room.member` in the room's state, turned round: from a user to their rooms. The
table of changes by user is what makes an incremental sync find the rooms that were joined, left or
offered since, without looking at the others.
"""

from collections.abc import Iterator

import msgspec

from projections.facts import Order, RoomEvent, RoomForgotten
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class Membership(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What a user is to a room, by the member event at `order`."""

    room_id: str
    user_id: str
    membership: str
    order: Order
    is_forgotten: bool = False
    """Did the user, being out of the room, ask to hear nothing more of it?"""

    @property
    def is_present(self) -> bool:
        """In the room, or asked to come?"""
        return self.membership in ("join", "invite")


class MemberCounts(msgspec.Struct, frozen=True, array_like=True):
    joined: int = 0
    invited: int = 0


_IN_ROOM: Table[Membership] = Table("memberships.in_room", Membership, remembered=16_384)
_OF_USER: Table[Membership] = Table("memberships.of_user", Membership)
_CHANGES_OF_USER: Table[str] = Table("memberships.changes_of_user", str)
_PRESENT: Table[Membership] = Table("memberships.present", Membership)
_COUNTS: Table[MemberCounts] = Table("memberships.counts", MemberCounts)

_OUT = ("leave", "ban")


def apply(view: WritableView, order: Order, fact: RoomEvent | RoomForgotten) -> None:
    if isinstance(fact, RoomForgotten):
        _forget(view, fact)
        return
    event, room_id = fact.event, fact.room_id
    if event.type != "m.room.member" or event.state_key is None:
        return
    user_id, membership = event.state_key, event.content["membership"]
    before = membership_of(view, room_id, user_id)
    # Whoever forgot a room does not want to hear that they were banned from it either.
    is_forgotten = before is not None and before.is_forgotten and membership in _OUT
    now = Membership(room_id, user_id, membership, order, is_forgotten)
    _put(view, now)
    view.put(_CHANGES_OF_USER, key(user_id, order), room_id)
    if before is not None and before.is_present:
        view.delete(_PRESENT, key(room_id, before.order))
    if now.is_present:
        view.put(_PRESENT, key(room_id, order), now)
    view.put(_COUNTS, key(room_id), _counts_after(counts(view, room_id), before, now))


def _forget(view: WritableView, fact: RoomForgotten) -> None:
    known = membership_of(view, fact.room_id, fact.user_id)
    if known is not None and known.membership in _OUT:
        _put(view, msgspec.structs.replace(known, is_forgotten=True))


def _put(view: WritableView, known: Membership) -> None:
    view.put(_IN_ROOM, key(known.room_id, known.user_id), known)
    view.put(_OF_USER, key(known.user_id, known.room_id), known)


def _counts_after(known: MemberCounts, before: Membership | None, now: Membership) -> MemberCounts:
    was = before.membership if before else None
    return MemberCounts(
        joined=known.joined + (now.membership == "join") - (was == "join"),
        invited=known.invited + (now.membership == "invite") - (was == "invite"),
    )


PROJECTION = Projection(
    name="memberships",
    version=2,
    facts=(RoomEvent, RoomForgotten),
    tables=(_IN_ROOM, _OF_USER, _CHANGES_OF_USER, _PRESENT, _COUNTS),
    apply=apply,
)


def membership_of(view: View, room_id: str, user_id: str) -> Membership | None:
    """`None` for a user who never had anything to do with the room."""
    return view.get(_IN_ROOM, key(room_id, user_id))


def is_joined(view: View, room_id: str, user_id: str) -> bool:
    known = membership_of(view, room_id, user_id)
    return known is not None and known.membership == "join"


def counts(view: View, room_id: str) -> MemberCounts:
    return view.get(_COUNTS, key(room_id)) or MemberCounts()


def members(view: View, room_id: str) -> Iterator[Membership]:
    """Everybody who ever had a membership in the room, in no order that means anything."""
    for _, known in view.scan(_IN_ROOM, key(room_id)):
        yield known


def present_members(view: View, room_id: str) -> Iterator[Membership]:
    """Who is in the room or invited to it, in the order of their member events."""
    for _, known in view.scan(_PRESENT, key(room_id)):
        yield known


def rooms_of(view: View, user_id: str) -> Iterator[Membership]:
    """Every room that the user ever had a membership in and has not forgotten."""
    for _, known in view.scan(_OF_USER, key(user_id)):
        if not known.is_forgotten:
            yield known


def rooms_changed(view: View, user_id: str, *, after: Order) -> set[str]:
    """Rooms in which the user's own membership event changed past an order; also those forgotten since."""
    prefix = key(user_id)
    return {room_id for _, room_id in view.scan(_CHANGES_OF_USER, prefix, after=prefix + key(after))}
