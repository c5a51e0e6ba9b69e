"""The events of a room by time, whatever order they came in."""

from collections.abc import Iterator
from itertools import takewhile

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import timestamps
from projections.events import TIMESTAMP_MAX
from projections.facts import RoomEvent
from projections.follower import open_views
from projections.projection import Fold
from projections.timestamps import Moment, moments
from projections.views import View, Views
from tests.projections.folding import OTHER_ROOM, ROOM
from tests.projections.payloads import Payloads

FIRST_ORDER = 1 << 16


def made_at(timestamp: int, room_id: str = ROOM) -> RoomEvent:
    fields = {"type": "m", "sender": "@a:b", "origin_server_ts": timestamp, "room_id": room_id, "content": {}}
    return RoomEvent("$event", msgspec.Raw(msgspec.json.encode(fields)))


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    path = tmp_path_factory.mktemp("views")
    views = open_views(path, Payloads(), projections=(timestamps.PROJECTION,))
    yield views
    views.abandon()


def found(view: View, start: Moment, *, backwards: bool) -> list[Moment]:
    return list(moments(view, ROOM, start, backwards=backwards))


@given(made=st.lists(st.integers(0, 5)), start=st.tuples(st.integers(0, 6), st.integers(0, 1 << 17)))
def test_moments_are_those_past_a_place_and_those_before_it(
    views: Views, made: list[int], start: tuple[int, int]
) -> None:
    update = views.update()
    facts = [made_at(timestamp) for timestamp in made] + [made_at(3, OTHER_ROOM)]
    Fold([timestamps.PROJECTION]).apply(update.view, FIRST_ORDER, facts)
    places = sorted(Moment(timestamp, order) for order, timestamp in enumerate(made, FIRST_ORDER))
    place = Moment(*start)
    try:
        later = found(update.view, place, backwards=False)
        earlier = found(update.view, place, backwards=True)
    finally:
        update.abort()
    assert later == [one for one in places if one > place]
    assert earlier[::-1] == list(takewhile(lambda one: one < place, places))


def test_what_is_no_time_stands_at_the_nearest_one(views: Views) -> None:
    update = views.update()
    facts = [made_at(-1), made_at(1 << 64), made_at(7)]
    Fold([timestamps.PROJECTION]).apply(update.view, FIRST_ORDER, facts)
    places = found(update.view, Moment(0, 0), backwards=False)
    update.abort()
    assert [place.timestamp for place in places] == [0, 7, TIMESTAMP_MAX]
