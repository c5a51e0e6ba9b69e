"""What stands in the log in the place of facts that were erased.

The replacement folds to the same views as the fact that was there, once the entry that ordered it has been
folded as well. So it is the same fact with as much taken out as no fold can miss at the end: an event is
left as a redaction leaves it, with its id, its place and its transaction, so that a repeat of the request
is still answered; a name is left out. What pruning takes and folds need of an event besides (what it
redacted, the version of the room that it began) stands beside the pruned event.

Of users who are erased, that is what they said and who they said they were: their messages, their profile,
the names of their devices, and every membership event that they made or that is about them. The state that
they gave a room stays, for it is the room's: who may do what in it, and whether it is encrypted.
"""

from collections.abc import Sequence

import msgspec

from projections.events import Event
from projections.facts import DeviceRenamed, Fact, ProfileChanged, Remains, RoomEvent, SessionOpened
from projections.pruning import prune_stored
from projections.timeline import version_of
from projections.view import View


def without_content(view: View, fact: Fact) -> Fact:
    """The fact as it stays. One that is so already, and one that has nothing to lose, stays itself."""
    if isinstance(fact, RoomEvent):
        return _pruned(view, fact)
    if isinstance(fact, ProfileChanged):
        return msgspec.structs.replace(fact, value=msgspec.UNSET)
    if isinstance(fact, SessionOpened):
        return msgspec.structs.replace(fact, display_name=None)
    if isinstance(fact, DeviceRenamed):
        return msgspec.structs.replace(fact, display_name="")
    return fact


def indexes_about(user_id: str, facts: Sequence[Fact]) -> list[int]:
    """Which facts of an entry are erased with a user."""
    return [index for index, fact in enumerate(facts) if _is_about(user_id, fact)]


def _is_about(user_id: str, fact: Fact) -> bool:
    if isinstance(fact, RoomEvent):
        event = fact.event
        if event.type == "m.room.member":
            return user_id in (event.sender, event.state_key)
        return event.sender == user_id and not event.is_state
    return isinstance(fact, ProfileChanged | SessionOpened | DeviceRenamed) and fact.user_id == user_id


def _pruned(view: View, fact: RoomEvent) -> RoomEvent:
    event = fact.event
    pruned = msgspec.Raw(prune_stored(bytes(fact.stored), version_of(view, fact.room_id)))
    remains = fact.remains or Remains(
        event.redacts if event.type == "m.room.redaction" else None, _room_version_in(event)
    )
    return RoomEvent(fact.event_id, pruned, fact.transaction, None if remains == Remains() else remains)


def _room_version_in(event: Event) -> str | None:
    return event.content.get("room_version") if event.type == "m.room.create" else None
