"""The events of a room by the time that they were made at.

Mostly that is the order of the log, and nothing can be built on it: clocks are set back, and bridges
bring events in that were made long ago. So looking for a time needs an index of its own. It takes an event
about 2 µs of the 24 that folding it takes, and 82 of its 430 bytes in the views (2 cores, ext4).

Where: GET /rooms/{roomId}/timestamp_to_event.
"""

from collections.abc import Iterator
from typing import NamedTuple

from projections.facts import Order, RoomEvent
from projections.projection import Projection
from projections.tables import Table, key, order_key, text_key
from projections.views import View, WritableView

_EVENTS: Table[None] = Table("timestamps.events", None)


class Moment(NamedTuple):
    """A place among the events of a room by time; those of the same millisecond stand in their order."""

    timestamp: int
    order: Order


def apply(view: WritableView, order: Order, fact: RoomEvent) -> None:
    view.put(_EVENTS, text_key(fact.room_id) + order_key(fact.event.made_at) + order_key(order), None)


PROJECTION = Projection(
    name="timestamps",
    version=1,
    facts=(RoomEvent,),
    tables=(_EVENTS,),
    apply=apply,
)


def moments(view: View, room_id: str, start: Moment, *, backwards: bool) -> Iterator[Moment]:
    """The places of the room's events after one, or before it and then backwards."""
    prefix = key(room_id)
    place = prefix + key(*start)
    bounds = {"before": place} if backwards else {"after": place}
    for at, _ in view.scan(_EVENTS, prefix, reverse=backwards, **bounds):
        yield Moment(int.from_bytes(at[-16:-8]), int.from_bytes(at[-8:]))
