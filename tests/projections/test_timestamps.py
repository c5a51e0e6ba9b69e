"""The events of a room by time, whatever order they came in."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import timeline, timestamps
from projections.events import TIMESTAMP_MAX
from projections.facts import Order, RoomEvent, order_of
from projections.follower import open_views
from projections.projection import Fold
from projections.state import LATEST
from projections.timeline import Moment
from projections.timestamps import moments
from projections.view import View
from projections.views import Views
from tests.projections.folding import MADE_AT, OTHER_ROOM, ROOM, Folding, created, redaction, room_event
from tests.projections.payloads import Payloads

THIRD_ROOM = "!third:localhost"

times = (
    st.integers(0, 5)
    | st.sampled_from([-(1 << 64), -1, TIMESTAMP_MAX - 1, TIMESTAMP_MAX, TIMESTAMP_MAX + 1, 1 << 64])
    | st.integers()
)
rooms = st.sampled_from([ROOM, ROOM, ROOM, OTHER_ROOM, THIRD_ROOM])
entries = st.lists(st.lists(st.tuples(rooms, times), min_size=1, max_size=3), max_size=10)


def made_at(timestamp: int, room_id: str = ROOM) -> RoomEvent:
    fields = {"type": "m", "sender": "@a:b", "origin_server_ts": timestamp, "room_id": room_id, "content": {}}
    return RoomEvent("$event", msgspec.Raw(msgspec.json.encode(fields)))


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    path = tmp_path_factory.mktemp("views")
    views = open_views(path, Payloads(), projections=(timeline.PROJECTION,))
    yield views
    views.abandon()


@contextmanager
def folded(views: Views, entries: Sequence[Sequence[tuple[str, int]]]) -> Iterator[View]:
    """The views of a log with these entries, each of events that were made in a room at a time."""
    update, fold = views.update(), Fold([timeline.PROJECTION])
    try:
        for position, entry in enumerate(entries, 1):
            facts = [made_at(timestamp, room_id) for room_id, timestamp in entry]
            update.view.append(position, facts)
            fold.apply(update.view, order_of(position), facts)
        yield update.view
    finally:
        update.abort()


def places_in(entries: Sequence[Sequence[tuple[str, int]]], room_id: str) -> list[Moment]:
    """What a table by time of all events would have."""
    return sorted(
        Moment(min(max(0, timestamp), TIMESTAMP_MAX), order)
        for position, entry in enumerate(entries, 1)
        for order, (made_in, timestamp) in enumerate(entry, order_of(position))
        if made_in == room_id
    )


def starts_around(places: Sequence[Moment]) -> Iterator[Moment]:
    """The ends of time, all places, and what is just short of them and just past them."""
    yield from (Moment(0, 0), Moment(TIMESTAMP_MAX, LATEST))
    for timestamp, order in places:
        yield from (Moment(timestamp, near) for near in (0, order - 1, order, order + 1, LATEST))
        beside = (max(0, timestamp - 1), min(timestamp + 1, TIMESTAMP_MAX))
        yield from (Moment(near, order) for near in beside)


def found(view: View, start: Moment, *, backwards: bool, room_id: str = ROOM) -> list[Moment]:
    return list(moments(view, room_id, start, backwards=backwards))


@given(entries=entries, passed_over_max=st.integers(0, 3))
def test_moments_are_those_past_a_place_and_those_before_it(
    views: Views, entries: list[list[tuple[str, int]]], passed_over_max: int
) -> None:
    """As a sorted list of all of them has them, from wherever one begins."""
    with folded(views, entries) as view, pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "_PASSED_OVER_MAX", passed_over_max)
        for room_id in (ROOM, OTHER_ROOM, THIRD_ROOM):
            places = places_in(entries, room_id)
            for start in starts_around(places):
                later = found(view, start, backwards=False, room_id=room_id)
                earlier = found(view, start, backwards=True, room_id=room_id)
                assert later == places[bisect_right(places, start) :]
                assert earlier == places[: bisect_left(places, start)][::-1]


def test_what_is_no_time_stands_at_the_nearest_one(views: Views) -> None:
    with folded(views, [[(ROOM, -1), (ROOM, 1 << 64), (ROOM, 7)]]) as view:
        places = found(view, Moment(0, 0), backwards=False)
    assert [place.timestamp for place in places] == [0, 7, TIMESTAMP_MAX]


def test_what_was_redacted_stands_where_it_stood(folding: Folding) -> None:
    first = folding.entry(created(), room_event("$1", content={"body": "regretted"}))
    last = folding.entry(redaction("$2", "$1"))
    with folding.view() as view:
        places = found(view, Moment(0, 0), backwards=False)
    assert places == [Moment(MADE_AT, order) for order in (first, first + 1, last)]


@pytest.mark.parametrize("clock", [[1, 2, 3], [5, 5, 5]], ids=["goes", "stands still"])
def test_events_in_the_order_of_their_time_have_no_rows_by_time(views: Views, clock: list[int]) -> None:
    with folded(views, [[(ROOM, timestamp)] for timestamp in clock]) as view:
        assert list(timeline.behind(view, ROOM, Moment(0, 0), backwards=False)) == []
        assert [place.timestamp for place in found(view, Moment(0, 0), backwards=False)] == clock


def test_only_events_behind_one_of_their_room_have_rows_by_time(views: Views) -> None:
    entries = [[(ROOM, 5)], [(OTHER_ROOM, 3)], [(ROOM, 4)], [(ROOM, 5)], [(ROOM, 3)], [(ROOM, 6)]]
    with folded(views, entries) as view:
        behind = list(timeline.behind(view, ROOM, Moment(0, 0), backwards=False))
        assert behind == [Moment(3, order_of(5)), Moment(4, order_of(3))]
        assert list(timeline.behind(view, OTHER_ROOM, Moment(0, 0), backwards=False)) == []


@pytest.mark.parametrize("backwards", [False, True])
def test_a_long_past_that_was_brought_in_is_not_walked_through(
    views: Views, monkeypatch: pytest.MonkeyPatch, *, backwards: bool
) -> None:
    """Whoever looks for the events around it would keep others waiting meanwhile."""
    brought = 3_000
    entries = [[(ROOM, 10_000)], *([(ROOM, number)] for number in range(brought)), [(ROOM, 10_001)]]
    around = [Moment(10_000, order_of(1)), Moment(10_001, order_of(brought + 2))]
    looked_at, orders_in_room = list[Order](), timeline.orders_in_room

    def watched(*arguments: Any, **bounds: Any) -> Iterator[tuple[Order, Order | None]]:
        for order, latest in orders_in_room(*arguments, **bounds):
            looked_at.append(order)
            yield order, latest

    monkeypatch.setattr(timeline, "orders_in_room", watched)
    start = Moment(TIMESTAMP_MAX, LATEST) if backwards else Moment(10_000, 0)
    with folded(views, entries) as view:
        nearest = list(islice(moments(view, ROOM, start, backwards=backwards), 2))
    assert sorted(nearest) == around
    assert len(looked_at) < brought // 5
