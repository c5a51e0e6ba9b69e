"""Tokens: whichever call gave one, every call that takes one takes it."""

from collections.abc import Callable

import pytest

from tests.harness.client import Client, Json, path_of, texts
from tests.server.conftest import every_prefix
from tests.server.sync.following import joined, room_filter

requirement = pytest.mark.requirement


def initial_room(client: Client, room_id: str) -> Json:
    return client.must("GET", path_of("rooms", room_id, "initialSync"), limit=1)["messages"]


def context_of_last(client: Client, room_id: str) -> Json:
    [last] = client.messages(room_id, limit=1)["chunk"]
    return client.must("GET", path_of("rooms", room_id, "context", last["event_id"]), limit=0)


AT_THE_END: dict[str, Callable[[Client, str], str]] = {
    "sync": lambda client, room_id: client.sync(filter=room_filter(room_id))["next_batch"],
    "messages": lambda client, room_id: client.messages(room_id)["start"],
    "events": lambda client, room_id: client.must("GET", "/events")["end"],
    "initialSync": lambda client, room_id: client.must("GET", "/initialSync", limit=1)["end"],
    "room initialSync": lambda client, room_id: initial_room(client, room_id)["end"],
    "context": lambda client, room_id: context_of_last(client, room_id)["end"],
}
"""Calls that give the place after everything so far."""

BEFORE_THE_LAST: dict[str, Callable[[Client, str], str]] = {
    "sync": lambda client, room_id: joined(
        client, room_id, filter=room_filter(room_id, timeline={"limit": 1})
    )["timeline"]["prev_batch"],
    "messages": lambda client, room_id: client.messages(room_id, limit=1)["end"],
    "room initialSync": lambda client, room_id: initial_room(client, room_id)["start"],
    "context": lambda client, room_id: context_of_last(client, room_id)["start"],
}
"""Calls that give the place before the room's last event."""


@pytest.mark.parametrize("source", AT_THE_END)
@every_prefix
@requirement("G10", "G12")
def test_a_token_of_the_end_is_taken_everywhere(alice: Client, room: str, source: str) -> None:
    alice.say(room, "before")
    token = AT_THE_END[source](alice, room)
    alice.say(room, "after")
    assert texts(alice.messages(room, from_=token, limit=1)["chunk"]) == ["before"]
    assert texts(alice.messages(room, dir="f", from_=token)["chunk"]) == ["after"]
    assert texts(alice.messages(room, to=token)["chunk"]) == ["after"]
    assert texts(alice.messages(room, dir="f", to=token)["chunk"]) == ["before"]
    assert texts(joined(alice, room, since=token)["timeline"]["events"]) == ["after"]
    assert texts(alice.must("GET", "/events", from_=token)["chunk"]) == ["after"]
    assert alice.must("GET", path_of("rooms", room, "members"), at=token)["chunk"]


@pytest.mark.parametrize("source", BEFORE_THE_LAST)
@every_prefix
@requirement("G10", "G12")
def test_a_token_in_the_midst_is_taken_everywhere(alice: Client, room: str, source: str) -> None:
    alice.say(room, "before")
    alice.say(room, "last")
    token = BEFORE_THE_LAST[source](alice, room)
    assert texts(alice.messages(room, from_=token, limit=1)["chunk"]) == ["before"]
    assert texts(alice.messages(room, dir="f", from_=token)["chunk"]) == ["last"]
    assert texts(alice.messages(room, to=token)["chunk"]) == ["last"]
    assert texts(joined(alice, room, since=token)["timeline"]["events"]) == ["last"]
    assert texts(alice.must("GET", "/events", from_=token)["chunk"]) == ["last"]
    assert alice.must("GET", path_of("rooms", room, "members"), at=token)["chunk"]
