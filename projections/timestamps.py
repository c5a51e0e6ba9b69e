"""The events of a room by the time that they were made at.

Mostly that is the order of the log, and nothing can be built on it: clocks are set back, and bridges
bring events in that were made long ago. But a row by time for every event would be a fifth of all rows,
for what is asked rarely. So the timeline has such rows only of those that are behind one before them; all
others stand in the order of their time, and where to begin among them is found by halving.

Where: GET /rooms/{roomId}/timestamp_to_event.
"""

from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge

from projections import timeline
from projections.facts import Order
from projections.state import LATEST
from projections.timeline import Moment
from projections.view import View

_PASSED_OVER_MAX = 400
"""Events in a row that are behind: there may be any number of them, and halving takes as long as so many."""


def moments(view: View, room_id: str, start: Moment, *, backwards: bool) -> Iterator[Moment]:
    """The places of the room's events after one, or before it and then backwards."""
    in_order = _in_order_before(view, room_id, start) if backwards else _in_order_after(view, room_id, start)
    return merge(in_order, timeline.behind(view, room_id, start, backwards=backwards), reverse=backwards)


def _in_order_after(view: View, room_id: str, place: Moment) -> Iterator[Moment]:
    while True:
        after = _short_of(view, room_id, place._replace(order=place.order + 1))
        passed_over = 0
        for order, latest in timeline.orders_in_room(
            view, room_id, after=after, before=LATEST, backwards=False
        ):
            if latest is None:
                place, passed_over = _moment(view, order), 0
                yield place
            elif passed_over == _PASSED_OVER_MAX:
                break
            else:
                passed_over += 1
        else:
            return


def _in_order_before(view: View, room_id: str, place: Moment) -> Iterator[Moment]:
    before = _short_of(view, room_id, place) + 1
    while True:
        for order, latest in timeline.orders_in_room(view, room_id, after=0, before=before, backwards=True):
            if latest is not None:
                before = latest + 1
                break
            yield _moment(view, order)
        else:
            return


def _short_of(view: View, room_id: str, place: Moment) -> Order:
    """The order up to which the room had not come to a place by time, and past which it has."""

    def reached_after(order: Order) -> Moment:
        """How far it had come with its next event after an order. It never goes back."""
        rows = timeline.orders_in_room(view, room_id, after=order, before=LATEST, backwards=False)
        following, latest = next(rows)
        return _moment(view, following if latest is None else latest)

    tip = timeline.tip(view, room_id)
    return bisect_left(range(0 if tip is None else tip.order), place, key=reached_after)


def _moment(view: View, order: Order) -> Moment:
    return Moment(timeline.event_at(view, order).event.made_at, order)
