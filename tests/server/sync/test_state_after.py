"""The state as of the end of the timeline, for clients that ask for it: `use_state_after`."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.client import Client, error_of
from tests.server.sync.following import ids, joined, room_filter, state_of


def test_one_takes_the_place_of_the_other(alice: Client, room: str) -> None:
    after, before = joined(alice, room, use_state_after="true"), joined(alice, room)
    assert "state" not in after
    assert "state_after" not in before
    assert after["state_after"]["events"]
    assert before["state"]["events"] == []


def test_it_is_there_even_if_empty(alice: Client, room: str) -> None:
    since = alice.sync()["next_batch"]
    alice.say(room, "hello")
    section = joined(alice, room, since=since, use_state_after="true")
    assert section["state_after"] == {"events": []}


def test_it_has_what_changed_in_the_timeline(alice: Client, room: str) -> None:
    since = alice.sync()["next_batch"]
    alice.set_state(room, "m.room.topic", {"topic": "before"})
    last = alice.set_state(room, "m.room.topic", {"topic": "after"})
    section = joined(alice, room, since=since, use_state_after="true")
    assert len(section["timeline"]["events"]) == 2
    assert ids(section["state_after"]["events"]) == [last]


def test_a_left_room_has_it_too(alice: Client, bob: Client, shared_room: str) -> None:
    since = bob.sync()["next_batch"]
    topic = alice.set_state(shared_room, "m.room.topic", {"topic": "before"})
    bob.leave(shared_room)
    alice.set_state(shared_room, "m.room.topic", {"topic": "after"})
    section = bob.sync(since=since, use_state_after="true")["rooms"]["leave"][shared_room]
    assert "state" not in section
    assert section["state_after"]["events"][0]["event_id"] == topic
    assert len(section["state_after"]["events"]) == 2


@pytest.mark.parametrize("limit", [0, 1, 3, 50])
@pytest.mark.parametrize("interval", [1, 2, 6])
def test_a_client_that_takes_it_as_it_is_has_the_room(
    alice: Client, bob: Client, limit: int, interval: int
) -> None:
    room = alice.create_room(preset="public_chat")
    steps: list[Callable[[], Any]] = [
        lambda: bob.join(room),
        lambda: alice.set_state(room, "m.room.topic", {"topic": "one"}),
        lambda: bob.say(room, "hello"),
        lambda: alice.set_state(room, "m.room.topic", {"topic": "two"}),
        lambda: bob.leave(room),
        lambda: alice.set_state(room, "com.example.own", {}, "key"),
    ]
    query = {"filter": room_filter(room, timeline={"limit": limit}), "use_state_after": "true"}
    state: dict[tuple[str, str], str] = {}
    for number in range(0, len(steps) + 1, interval):
        answer = alice.sync(**query)
        state |= state_of(answer["rooms"]["join"][room]["state_after"]["events"])
        assert state == state_of(alice.state(room))
        query["since"] = answer["next_batch"]
        for step in steps[number : number + interval]:
            step()


def test_it_is_true_or_false(alice: Client) -> None:
    assert error_of(alice.call("GET", "/sync", use_state_after="yes")) == (400, "M_INVALID_PARAM")
