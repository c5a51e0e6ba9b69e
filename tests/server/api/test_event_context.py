"""What stands around an event: GET /rooms/{roomId}/context/{eventId}."""

import json
from typing import Any

import pytest

from tests.harness.client import V1, Client, Json, error_of, path_of, texts
from tests.server.conftest import NewUser, every_prefix
from tests.server.sync.following import ids, state_of

SAID = [str(number) for number in range(9)]
MIDDLE = 4


@pytest.fixture
def talk(alice: Client, room: str) -> list[str]:
    """The ids of what was said in the room."""
    return [alice.say(room, text) for text in SAID]


def context(client: Client, room_id: str, event_id: str, **query: object) -> Json:
    return client.must("GET", path_of("rooms", room_id, "context", event_id), **query)


@every_prefix
def test_an_event_stands_among_its_neighbours(alice: Client, room: str, talk: list[str]) -> None:
    found = context(alice, room, talk[MIDDLE], limit=4)
    assert found["event"]["event_id"] == talk[MIDDLE]
    assert texts(found["events_before"]) == ["3", "2"]
    assert texts(found["events_after"]) == ["5", "6"]
    assert found.keys() == {"start", "end", "event", "events_before", "events_after", "state"}


@pytest.mark.parametrize(
    ("limit", "before", "after"), [(0, 0, 0), (1, 0, 1), (2, 1, 1), (5, 2, 3), (8, 4, 4)]
)
def test_the_limit_is_for_both_sides_together(
    alice: Client, room: str, talk: list[str], limit: int, before: int, after: int
) -> None:
    found = context(alice, room, talk[MIDDLE], limit=limit)
    assert (len(found["events_before"]), len(found["events_after"])) == (before, after)


def test_without_a_limit_there_are_ten(alice: Client, room: str, talk: list[str]) -> None:
    found = context(alice, room, talk[MIDDLE])
    assert len(found["events_before"]) == 5
    assert texts(found["events_after"]) == SAID[MIDDLE + 1 :]


@every_prefix
def test_its_tokens_lead_on_in_both_directions(alice: Client, room: str, talk: list[str]) -> None:
    found = context(alice, room, talk[MIDDLE], limit=2)
    earlier = alice.messages(room, from_=found["start"], limit=100)["chunk"]
    later = alice.messages(room, dir="f", from_=found["end"], limit=100)["chunk"]
    around = [*reversed(found["events_before"]), found["event"], *found["events_after"]]
    everything = alice.messages(room, dir="f", limit=100)["chunk"]
    assert ids([*reversed(earlier), *around, *later]) == ids(everything)


def test_the_state_is_that_at_the_last_event(alice: Client, room: str) -> None:
    alice.set_state(room, "m.room.topic", {"topic": "before"})
    event_id = alice.say(room, "this")
    during = alice.set_state(room, "m.room.topic", {"topic": "during"})
    alice.set_state(room, "m.room.topic", {"topic": "after"})
    found = context(alice, room, event_id, limit=2)
    assert ids(found["events_after"]) == [during]
    assert state_of(found["state"])["m.room.topic", ""] == during
    assert state_of(found["state"]).keys() == state_of(alice.state(room)).keys()


def test_the_filter_is_for_all_but_the_event(alice: Client, bob: Client, shared_room: str) -> None:
    alice.say(shared_room, "by Alice")
    bob.say(shared_room, "by Bob")
    event_id = alice.say(shared_room, "this")
    bob.say(shared_room, "by Bob too")
    alice.say(shared_room, "by Alice too")
    found = context(alice, shared_room, event_id, limit=2, filter=json.dumps({"senders": [bob.user_id]}))
    assert found["event"]["event_id"] == event_id
    assert texts(found["events_before"]) == ["by Bob"]
    assert texts(found["events_after"]) == ["by Bob too"]
    assert list(state_of(found["state"])) == [("m.room.member", bob.user_id)]


@every_prefix
def test_its_events_have_the_form_of_their_time(
    alice: Client, room: str, talk: list[str], prefix: str
) -> None:
    found = context(alice, room, talk[MIDDLE])
    events = [found["event"], *found["events_before"], *found["events_after"], *found["state"]]
    assert all(event["room_id"] == room for event in events)
    assert {"user_id" in event for event in events} == {prefix == V1}


@every_prefix
def test_what_may_not_be_seen_is_not_found(alice: Client, new_user: NewUser, room: str) -> None:
    event_id, stranger = alice.say(room, "private"), new_user()
    elsewhere = stranger.create_room()
    for room_id, asked in ((room, event_id), (elsewhere, event_id), (room, "$none"), ("!no:where", event_id)):
        refused = stranger.call("GET", path_of("rooms", room_id, "context", asked))
        assert error_of(refused) == (404, "M_NOT_FOUND")


def test_around_an_event_only_what_may_be_seen(alice: Client, bob: Client, shared_room: str) -> None:
    alice.say(shared_room, "before")
    event_id = bob.say(shared_room, "this")
    bob.leave(shared_room)
    alice.say(shared_room, "after")
    alice.set_state(shared_room, "m.room.topic", {"topic": "after"})
    found = context(bob, shared_room, event_id)
    assert texts(found["events_before"]) == ["before"]
    [left] = found["events_after"]
    assert left["state_key"] == bob.user_id
    assert ("m.room.topic", "") not in state_of(found["state"])


@pytest.mark.parametrize(
    "query", [{"limit": "-1"}, {"limit": "x"}, {"filter": "{"}, {"filter": '{"types": 1}'}]
)
def test_a_bad_query_is_refused(alice: Client, room: str, query: dict[str, Any]) -> None:
    refused = alice.call("GET", path_of("rooms", room, "context", alice.say(room, "x")), **query)
    assert error_of(refused) == (400, "M_INVALID_PARAM")
