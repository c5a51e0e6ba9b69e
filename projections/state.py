"""The state of every room: what it is now, and what it was at any position of the log.

State is keyed by (room, type, state_key); a new event with the same key replaces the old one, which
stays in the history. Only orders are kept here; the events themselves are the timeline's, so that a
redaction shows in the state as well.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

import msgspec

from projections import timeline
from projections.facts import Order, RoomEvent
from projections.projection import Projection
from projections.tables import Table, key, text_key
from projections.timeline import TimelineEvent
from projections.view import View, WritableView


class Version(msgspec.Struct, frozen=True, array_like=True):
    """Of a room's state."""

    event_id: str
    """The last event that changed it, or what is shown of it.

    An event's id and not its order, which another event gets if this one was never committed.
    """
    changed: Order
    """The last event that changed it."""


_CURRENT: Table[Order] = Table("state.current", int, remembered=32_768)
_HISTORY: Table[None] = Table("state.history", None)
_CHANGES: Table[None] = Table("state.changes", None)
_VERSIONS: Table[Version] = Table("state.versions", Version, remembered=16_384)

LATEST: Order = (1 << 63) - 1
"""As an order to look at: whatever is newest."""


def apply(view: WritableView, order: Order, fact: RoomEvent) -> None:
    event, room = fact.event, key(fact.room_id)
    if event.state_key is None:
        if event.type == "m.room.redaction":
            before = view.get(_VERSIONS, room)
            view.put(_VERSIONS, room, Version(fact.event_id, before.changed if before else 0))
        return
    view.put(_VERSIONS, room, Version(fact.event_id, order))
    at = key(fact.room_id, event.type, event.state_key)
    view.put(_CURRENT, at, order)
    view.put(_HISTORY, at + key(order), None)
    view.put(_CHANGES, key(fact.room_id, order), None)


PROJECTION = Projection(
    name="state",
    version=3,
    facts=(RoomEvent,),
    tables=(_CURRENT, _HISTORY, _CHANGES, _VERSIONS),
    apply=apply,
)


def version_of(view: View, room_id: str) -> str | None:
    """Names the room's current state: another one has another name."""
    known = view.get(_VERSIONS, text_key(room_id))
    return None if known is None else known.event_id


def state_event(
    view: View, room_id: str, event_type: str, state_key: str, *, at: Order = LATEST
) -> TimelineEvent | None:
    """The state event under a key, as of now or as of an order (inclusive)."""
    order = _order_at(view, key(room_id, event_type, state_key), at)
    return None if order is None else timeline.event_at(view, order)


def state_of(view: View, room_id: str, *, at: Order = LATEST) -> list[TimelineEvent]:
    """The whole state of a room, as of now or as of an order (inclusive), in the order of the log."""
    return _events_at(view, (row for row, _ in view.scan(_CURRENT, key(room_id))), at)


def state_of_type(view: View, room_id: str, event_type: str, *, at: Order = LATEST) -> list[TimelineEvent]:
    """The state events of one type, as `state_of`."""
    return _events_at(view, (row for row, _ in view.scan(_CURRENT, key(room_id, event_type))), at)


def state_without_type(
    view: View, room_id: str, event_type: str, *, at: Order = LATEST
) -> list[TimelineEvent]:
    """The state events of all other types, as `state_of`; does not look at those of the one type at all."""
    room, skipped = key(room_id), key(room_id, event_type)
    rows = chain(
        view.scan(_CURRENT, room, before=skipped), view.scan(_CURRENT, room, after=skipped + b"\xff" * 16)
    )
    return _events_at(view, (row for row, _ in rows), at)


def replaced_by(view: View, event: TimelineEvent) -> TimelineEvent | None:
    """The event that a state event replaced when it came; `None` if there was none."""
    stated = event.event
    if stated.state_key is None:
        return None
    return state_event(view, event.room_id, stated.type, stated.state_key, at=event.order - 1)


def changes(view: View, room_id: str, *, after: Order, until: Order) -> list[TimelineEvent]:
    """What the state at `until` has that the state at `after` had not, in the order of the log."""
    prefix = key(room_id)
    known = view.get(_VERSIONS, prefix)
    if known is None or known.changed <= after:
        return []
    rows = view.scan(_CHANGES, prefix, after=prefix + key(after), before=prefix + key(until + 1))
    latest: dict[tuple[str, str | None], TimelineEvent] = {}
    for at, _ in rows:
        changed = timeline.event_at(view, int.from_bytes(at[-8:]))
        latest[changed.event.type, changed.event.state_key] = changed
    return sorted(latest.values(), key=lambda changed: changed.order)


def history(view: View, room_id: str, event_type: str, state_key: str) -> Iterator[TimelineEvent]:
    """Every event that was ever state under a key, oldest first."""
    prefix = key(room_id, event_type, state_key)
    for at, _ in view.scan(_HISTORY, prefix):
        yield timeline.event_at(view, int.from_bytes(at[-8:]))


def _events_at(view: View, rows: Iterable[bytes], at: Order) -> list[TimelineEvent]:
    orders = (_order_at(view, row, at) for row in rows)
    return [timeline.event_at(view, order) for order in sorted(o for o in orders if o is not None)]


def _order_at(view: View, row: bytes, at: Order) -> Order | None:
    current = view.get(_CURRENT, row)
    if current is None or current <= at:
        return current
    older = view.last(_HISTORY, row, before=row + key(at + 1))
    return None if older is None else int.from_bytes(older[0][-8:])
