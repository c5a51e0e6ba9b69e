"""The events of every room in the order of the log, found by order, by room and by event id.

The events themselves stand in the log and are read there. What stands here is where they are, and what is
left of those whose content was taken away.

A redaction prunes the event that it names in place: from then on no reader gets the content, whichever
way it came by the event. In the log the content stays until it is erased there; which redactions are still
to be followed by that is known by their time. Erasing an event that nobody redacted prunes it as well.

Nearly always events come in the order in which they were made. One that was made before another that came
before it into its room is behind. Only those have rows by time; by them `timestamps.py` finds all.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from eventlog.log import Position
from projections.computed import computed
from projections.events import Event, decode_event
from projections.facts import Order, PayloadErased, RoomEvent, order_of, position_of
from projections.projection import Projection
from projections.pruning import prune_stored
from projections.room_versions import RoomVersion, room_version
from projections.tables import Key, Table, event_key, key, order_key, text_key
from projections.view import View, WritableView


class TimelineEvent(msgspec.Struct, frozen=True, dict=True):
    """An event and what the server knows about it besides."""

    order: Order
    event_id: str
    stored: bytes
    """Canonical JSON; pruned if the event was redacted."""
    redacted_by: Order = 0
    """The first redaction of it; 0 if there was none."""
    device_id: str = ""
    """Of the sender, if the request had a transaction id."""
    transaction_id: str = ""

    @computed
    def event(self) -> Event:
        return decode_event(self.stored)

    @computed
    def room_id(self) -> str:
        return self.event.room_id or "!" + self.event_id[1:]


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """What became of an event whose content was taken away."""

    stored: bytes
    """Canonical JSON, pruned."""
    redacted_by: Order = 0
    """0 if it was erased, and nobody redacted it."""


class Room(msgspec.Struct, frozen=True, array_like=True):
    """What its first event says of a room for ever."""

    room_id: str
    version: str
    creator: str
    created: Order


class Moment(NamedTuple):
    """A place among the events of a room by time; those of the same millisecond stand in their order."""

    timestamp: int
    order: Order


class Tip(msgspec.Struct, frozen=True, array_like=True):
    """The last event of a room: what the next one follows."""

    event_id: str
    depth: int
    order: Order
    latest: Moment
    """Of the room's event that was made last: mostly this one, and never behind."""


_TAKEN: Table[Taken] = Table("timeline.taken", Taken)
_ORDERS: Table[Order] = Table("timeline.orders", int)
_ORDERS_IN_ROOM: Table[Order | None] = Table("timeline.orders_in_room", int | None)
"""For an event that is behind: the one before it that was made last. `None` for all others."""
_BEHIND: Table[None] = Table("timeline.behind", None)
"""By room, time and order: the events that are behind."""
_ROOMS: Table[Room] = Table("timeline.rooms", Room, remembered=16_384)
_TIPS: Table[Tip] = Table("timeline.tips", Tip, remembered=16_384)
_UNERASED: Table[Order] = Table("timeline.unerased", int)
"""By time and order of the redaction: the redacted event whose content is still in the log."""


def apply(view: WritableView, order: Order, fact: RoomEvent | PayloadErased) -> None:
    if isinstance(fact, PayloadErased):
        for index in fact.indexes:
            _erase(view, order_of(fact.position, index))
        return
    event, event_id, room = fact.event, fact.event_id, text_key(fact.room_id)
    view.put(_ORDERS, event_key(event_id), order)
    made_at, before = event.made_at, view.get(_TIPS, room)
    if before is None or before.latest.timestamp <= made_at:
        latest = Moment(made_at, order)
        view.put(_ORDERS_IN_ROOM, room + order_key(order), None)
    else:
        latest = before.latest
        view.put(_ORDERS_IN_ROOM, room + order_key(order), latest.order)
        view.put(_BEHIND, room + order_key(made_at) + order_key(order), None)
    view.put(_TIPS, room, Tip(event_id, event.depth, order, latest))
    if event.type == "m.room.create" and not event.prev_events:
        view.put(_ROOMS, room, Room(fact.room_id, fact.room_version, event.sender, order))
    elif event.type == "m.room.redaction":
        _redact(view, order, fact)


def _redact(view: WritableView, order: Order, redaction: RoomEvent) -> None:
    """Prune the target. A second redaction of it changes nothing: the first stays the reason."""
    named = redaction.redacts
    target = None if named is None else event_by_id(view, named)
    if target is None or target.room_id != redaction.room_id or target.redacted_by:
        return
    pruned = prune_stored(target.stored, version_of(view, redaction.room_id))
    view.put(_TAKEN, key(target.order), Taken(pruned, order))
    view.put(_UNERASED, _time_of(redaction.event, order), target.order)


def _erase(view: WritableView, order: Order) -> None:
    """The fact there need be no event: what users say of themselves is erased too."""
    try:
        target = event_at(view, order)
    except LookupError:
        return
    pruned = prune_stored(target.stored, version_of(view, target.room_id))
    view.put(_TAKEN, key(order), Taken(pruned, target.redacted_by))
    if target.redacted_by:
        view.delete(_UNERASED, _time_of(event_at(view, target.redacted_by).event, target.redacted_by))


def _time_of(redaction: Event, order: Order) -> Key:
    return key(redaction.made_at, order)


PROJECTION = Projection(
    name="timeline",
    version=4,
    facts=(RoomEvent, PayloadErased),
    tables=(_TAKEN, _ORDERS, _ORDERS_IN_ROOM, _BEHIND, _ROOMS, _TIPS, _UNERASED),
    apply=apply,
)


def room(view: View, room_id: str) -> Room | None:
    return view.get(_ROOMS, key(room_id))


def version_of(view: View, room_id: str) -> RoomVersion:
    """The version of a room that exists here. Raises `LookupError` for any other."""
    known = room(view, room_id)
    version = room_version(known.version) if known else None
    if version is None:
        raise LookupError(f"no room {room_id} of a version that this server knows")
    return version


def tip(view: View, room_id: str) -> Tip | None:
    return view.get(_TIPS, text_key(room_id))


def event_at(view: View, order: Order) -> TimelineEvent:
    """The event with this order. Raises `LookupError` if the fact there is no event."""
    try:
        fact = view.fact_at(order)
    except LookupError as error:
        raise LookupError(f"no event has the order {order}: {error}") from error
    if not isinstance(fact, RoomEvent):
        raise LookupError(f"no event has the order {order}")
    return _as_it_is_now(view, order, fact)


def _as_it_is_now(view: View, order: Order, fact: RoomEvent) -> TimelineEvent:
    transaction = fact.transaction
    sent_by = ("", "") if transaction is None else (transaction.device_id, transaction.id)
    taken = view.get(_TAKEN, order_key(order))
    if taken is not None:
        return TimelineEvent(order, fact.event_id, taken.stored, taken.redacted_by, *sent_by)
    found = TimelineEvent(order, fact.event_id, bytes(fact.stored), 0, *sent_by)
    found.__dict__["event"] = fact.event
    return found


def event_by_id(view: View, event_id: str) -> TimelineEvent | None:
    order = view.get(_ORDERS, event_key(event_id))
    found = None if order is None else event_at(view, order)
    return found if found is not None and found.event_id == event_id else None


def events_in_room(
    view: View, room_id: str, *, after: Order, before: Order, backwards: bool
) -> Iterator[TimelineEvent]:
    """Events of a room between two orders, both exclusive."""
    for order, _ in orders_in_room(view, room_id, after=after, before=before, backwards=backwards):
        yield event_at(view, order)


def orders_in_room(
    view: View, room_id: str, *, after: Order, before: Order, backwards: bool
) -> Iterator[tuple[Order, Order | None]]:
    """Where those events stand; with each that is behind, the one before it that was made last."""
    prefix = key(room_id)
    rows = view.scan(
        _ORDERS_IN_ROOM, prefix, after=prefix + key(after), before=prefix + key(before), reverse=backwards
    )
    for at, latest in rows:
        yield int.from_bytes(at[-8:]), latest


def behind(view: View, room_id: str, start: Moment, *, backwards: bool) -> Iterator[Moment]:
    """Of the events that are behind, those after a place by time, or before it and then backwards."""
    prefix = key(room_id)
    place = prefix + key(*start)
    bounds = {"before": place} if backwards else {"after": place}
    for at, _ in view.scan(_BEHIND, prefix, reverse=backwards, **bounds):
        yield Moment(int.from_bytes(at[-16:-8]), int.from_bytes(at[-8:]))


def events_between(view: View, after: Order, until: Position) -> Iterator[TimelineEvent]:
    """Events of all rooms past an order, in the order of the log, up to and with the entry at a position.

    Every entry between them is looked at, whether or not there is an event in it.
    """
    for position in range(max(position_of(after), 1), until + 1):
        for order, fact in enumerate(view.facts_at(position), order_of(position)):
            if order > after and isinstance(fact, RoomEvent):
                yield _as_it_is_now(view, order, fact)


def rooms(view: View) -> Iterator[Room]:
    for _, known in view.scan(_ROOMS):
        yield known


def unerased(view: View, *, until: int) -> Iterator[Order]:
    """Events that were redacted up to a time, in that order, and whose content is still in the log."""
    for _, order in view.scan(_UNERASED, before=key(max(0, until) + 1, 0)):
        yield order


def first_unerased(view: View) -> int | None:
    """When the first of them was redacted, in milliseconds since the epoch."""
    first = next(view.scan(_UNERASED), None)
    return None if first is None else int.from_bytes(first[0][:8])
