"""What a client must know of a room's members to name the room, even if it loads them lazily.

Where: GET /sync, `summary`. What did not change is left out. What is told is as of now, which may be
a little later than the answer's end; the next answer covers that time and tells it again.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from projections import memberships, state
from projections.facts import Order
from projections.memberships import Membership
from projections.timeline import TimelineEvent
from projections.view import View

_HEROES_MAX = 5
_NAMES = (("m.room.name", "name"), ("m.room.canonical_alias", "alias"))


def whole_summary(view: View, room_id: str, user_id: str) -> dict[str, Any]:
    counts = memberships.counts(view, room_id)
    summary: dict[str, Any] = {
        "m.joined_member_count": counts.joined,
        "m.invited_member_count": counts.invited,
    }
    if not _is_named(view, room_id, state.LATEST):
        summary["m.heroes"] = list(_heroes(view, room_id, user_id, {}))
    return summary


def changed_summary(view: View, room_id: str, user_id: str, since: Order) -> dict[str, Any]:
    """What of the summary is another than it was at an order."""
    changed = state.changes(view, room_id, after=since, until=state.LATEST)
    members = [str(found.event.state_key) for found in changed if found.event.type == "m.room.member"]
    if not members and all(found.event.type not in dict(_NAMES) for found in changed):
        return {}
    before = {member: _membership_at(view, room_id, member, since) for member in members}
    now = {member: memberships.membership_of(view, room_id, member) for member in members}
    counts = memberships.counts(view, room_id)
    summary: dict[str, Any] = {}
    if _how_many(before.values(), "join") != _how_many(now.values(), "join"):
        summary["m.joined_member_count"] = counts.joined
    if _how_many(before.values(), "invite") != _how_many(now.values(), "invite"):
        summary["m.invited_member_count"] = counts.invited
    if not _is_named(view, room_id, state.LATEST):
        heroes = _heroes(view, room_id, user_id, {})
        if _is_named(view, room_id, since) or heroes != _heroes(view, room_id, user_id, before):
            summary["m.heroes"] = list(heroes)
    return summary


def _is_named(view: View, room_id: str, at: Order) -> bool:
    named = ((state.state_event(view, room_id, event_type, "", at=at), name) for event_type, name in _NAMES)
    return any(found is not None and found.event.content.get(name) for found, name in named)


def _heroes(
    view: View, room_id: str, user_id: str, before: Mapping[str, Membership | None]
) -> dict[str, str]:
    """Up to five others with what they are, by when they came; who left only if nobody else is there.

    As of when those in `before` were what it says.
    """
    then = [known for known in before.values() if known is not None and known.user_id != user_id]
    unchanged = _others(memberships.present_members(view, room_id), user_id, before)
    found = [*islice(unchanged, _HEROES_MAX), *(known for known in then if known.is_present)]
    if not found:
        found = [*_others(memberships.members(view, room_id), user_id, before), *then]
    by_order = sorted(found, key=lambda known: known.order)
    return {known.user_id: known.membership for known in by_order[:_HEROES_MAX]}


def _others(members: Iterable[Membership], user_id: str, changed: Container[str]) -> Iterator[Membership]:
    return (known for known in members if known.user_id != user_id and known.user_id not in changed)


def _how_many(found: Iterable[Membership | None], membership: str) -> int:
    return sum(1 for known in found if known is not None and known.membership == membership)


def _membership_at(view: View, room_id: str, user_id: str, at: Order) -> Membership | None:
    found = state.state_event(view, room_id, "m.room.member", user_id, at=at)
    return None if found is None else _membership_in(found)


def _membership_in(found: TimelineEvent) -> Membership:
    return Membership(
        found.room_id, str(found.event.state_key), found.event.content["membership"], found.order
    )
