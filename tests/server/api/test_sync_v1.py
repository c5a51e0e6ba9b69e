"""How clients of 2015 follow along: /initialSync tells what there is, /events what comes."""

import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.harness.client import V1, Client, Json, error_of, path_of, texts
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement


def ids(events: Iterable[Json]) -> list[str]:
    return [event["event_id"] for event in events]


def initial_sync(client: Client, **query: object) -> Json:
    return client.must("GET", "/initialSync", **query)


def stream(client: Client, token: str, **query: object) -> Json:
    return client.must("GET", "/events", from_=token, **query)


def initial_room(client: Client, room: str, **query: object) -> Json:
    return client.must("GET", path_of("rooms", room, "initialSync"), **query)


@every_prefix
@requirement("G07", "G13")
def test_it_begins_with_every_room(alice: Client, new_user: NewUser) -> None:
    guest = new_user()
    inside, invited, left = (alice.create_room(preset="public_chat") for _ in range(3))
    guest.join(inside)
    alice.invite(invited, guest.user_id)
    guest.join(left)
    guest.leave(left)
    answer = initial_sync(guest)
    assert answer.keys() == {"end", "rooms", "presence"}
    shown = {room["room_id"]: room["membership"] for room in answer["rooms"]}
    assert shown == {inside: "join", invited: "invite"}
    archived = {room["room_id"]: room["membership"] for room in initial_sync(guest, archived="true")["rooms"]}
    assert archived == shown | {left: "leave"}


@every_prefix
@requirement("G05", "G07", "M12")
def test_a_room_is_shown_with_state_and_messages(alice: Client, room: str) -> None:
    for number in range(3):
        alice.say(room, str(number))
    [from_all] = [shown for shown in initial_sync(alice, limit=2)["rooms"] if shown["room_id"] == room]
    alone = initial_room(alice, room, limit=2)
    for shown in (from_all, alone):
        assert shown.keys() == {"room_id", "membership", "visibility", "messages", "state"}
        assert (shown["room_id"], shown["membership"], shown["visibility"]) == (room, "join", "private")
        assert shown["messages"].keys() == {"start", "end", "chunk"}
        assert texts(shown["messages"]["chunk"]) == ["1", "2"]
        assert ids(shown["state"]) == ids(alice.state(room))


@every_prefix
@requirement("G07", "V05")
def test_an_invitation_is_shown(alice: Client, new_user: NewUser, room: str) -> None:
    guest = new_user()
    alice.invite(room, guest.user_id)
    [shown] = initial_sync(guest)["rooms"]
    assert (shown["membership"], shown["inviter"]) == ("invite", alice.user_id)
    invite = shown["invite"]
    assert (invite["type"], invite["state_key"]) == ("m.room.member", guest.user_id)
    assert "messages" not in shown.keys() | {"state"} - {"state"}


@every_prefix
@requirement("G10")
def test_start_leads_back_without_a_gap(alice: Client, room: str) -> None:
    for number in range(5):
        alice.say(room, str(number))
    shown = initial_room(alice, room, limit=2)["messages"]
    earlier = alice.messages(room, from_=shown["start"], limit=100)["chunk"]
    everything = ids(alice.messages(room, dir="f", limit=100)["chunk"])
    assert ids(earlier)[::-1] + ids(shown["chunk"]) == everything


@every_prefix
@requirement("G10", "G12")
def test_end_leads_on_without_a_gap(alice: Client, room: str) -> None:
    tokens = [initial_sync(alice, limit=1)["end"], initial_room(alice, room)["messages"]["end"]]
    said = alice.say(room, "next")
    for token in tokens:
        assert ids(stream(alice, token)["chunk"]) == [said]


@every_prefix
@requirement("G08")
def test_what_came_is_told_at_once(alice: Client, room: str) -> None:
    begin = alice.now()
    said = [alice.say(room, str(number)) for number in range(3)]
    answer = stream(alice, begin, timeout=30_000)
    assert answer["start"] == begin
    assert ids(answer["chunk"]) == said
    empty = stream(alice, answer["end"])
    assert (empty["chunk"], empty["start"]) == ([], answer["end"])


@every_prefix
@requirement("G08", "G09")
def test_what_comes_ends_the_waiting(alice: Client, bob: Client, shared_room: str) -> None:
    begin = bob.now()
    waiting = bob.begin("/events", from_=begin, timeout=30_000)
    assert not waiting.done()
    said = alice.say(shared_room, "news")
    answer = waiting.result(10).json()
    assert ids(answer["chunk"]) == [said]
    assert answer["start"] == begin


@every_prefix
@requirement("G08")
def test_without_news_the_chunk_is_empty(alice: Client, bob: Client, room: str) -> None:
    begin, begun = bob.now(), time.monotonic()
    alice.say(room, "among ourselves")
    answer = stream(bob, begin, timeout=200)
    assert 0.2 <= time.monotonic() - begun < 5
    assert answer["chunk"] == []


@every_prefix
@requirement("G08", "G09")
def test_every_event_comes_once_and_in_order(alice: Client, bob: Client, shared_room: str) -> None:
    """More than fit into one answer."""
    token = bob.now()
    said = [alice.say(shared_room, str(number)) for number in range(230)]
    heard: list[str] = []
    while chunk := (answer := stream(bob, token))["chunk"]:
        heard += ids(chunk)
        token = answer["end"]
    assert heard == said


@every_prefix
def test_events_of_all_rooms_come_in_the_order_of_the_log(alice: Client, bob: Client) -> None:
    rooms = [alice.create_room(preset="public_chat") for _ in range(3)]
    for room in rooms:
        bob.join(room)
    token = bob.now()
    said = [alice.say(rooms[number % 3], str(number)) for number in (2, 0, 1, 0, 2, 2, 1)]
    assert ids(stream(bob, token)["chunk"]) == said


@every_prefix
@requirement("G09", "M01")
def test_the_stream_is_of_the_rooms_one_is_in(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    token = bob.now()
    alice.say(room, "before")
    bob.join(room)
    alice.say(room, "while")
    bob.leave(room)
    alice.say(room, "after")
    chunk = stream(bob, token)["chunk"]
    assert [event.get("state_key", "message") for event in chunk] == [bob.user_id, "message", bob.user_id]
    assert texts(chunk) == ["while"]


@every_prefix
@requirement("G09")
def test_an_invitation_comes_on_the_stream(alice: Client, bob: Client, room: str, prefix: str) -> None:
    token = bob.now()
    alice.invite(room, bob.user_id)
    alice.say(room, "not for guests")
    [event] = stream(bob, token)["chunk"]
    assert (event["state_key"], event["content"]["membership"]) == (bob.user_id, "invite")
    assert ("invite_room_state" in event) == (prefix == V1)


@every_prefix
def test_without_a_token_the_stream_begins_now(alice: Client, room: str) -> None:
    alice.say(room, "before")
    answer = alice.must("GET", "/events")
    assert answer["chunk"] == []
    said = alice.say(room, "after")
    assert ids(stream(alice, answer["end"])["chunk"]) == [said]


@pytest.mark.parametrize(
    "query",
    [{"from_": "START"}, {"from_": "s99999999999999"}, {"timeout": "-1"}, {"timeout": "soon"}],
)
@every_prefix
@requirement("R06")
def test_a_bad_query_is_refused(alice: Client, query: dict[str, Any]) -> None:
    assert error_of(alice.call("GET", "/events", **query)) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "many"}, {"archived": "maybe"}])
@every_prefix
def test_a_bad_beginning_is_refused(alice: Client, query: dict[str, Any]) -> None:
    assert error_of(alice.call("GET", "/initialSync", **query)) == (400, "M_INVALID_PARAM")


@every_prefix
@requirement("G04", "G05")
def test_a_left_room_is_shown_as_it_was(alice: Client, bob: Client, shared_room: str) -> None:
    alice.set_state(shared_room, "m.room.topic", {"topic": "then"})
    bob.leave(shared_room)
    alice.set_state(shared_room, "m.room.topic", {"topic": "now"})
    alice.say(shared_room, "after")
    archived = initial_sync(bob, archived="true")["rooms"]
    [from_all] = [shown for shown in archived if shown["room_id"] == shared_room]
    for shown in (from_all, initial_room(bob, shared_room)):
        assert shown["membership"] == "leave"
        topics = [event["content"] for event in shown["state"] if event["type"] == "m.room.topic"]
        assert topics == [{"topic": "then"}]
        assert texts(shown["messages"]["chunk"]) == []
        assert shown["messages"]["chunk"][-1]["state_key"] == bob.user_id


@every_prefix
@requirement("G05", "M01")
def test_a_room_is_not_shown_to_strangers(alice: Client, bob: Client, room: str) -> None:
    path = path_of("rooms", room, "initialSync")
    assert error_of(bob.call("GET", path)) == (403, "M_FORBIDDEN")
    alice.invite(room, bob.user_id)
    assert error_of(bob.call("GET", path)) == (403, "M_FORBIDDEN")


@requirement("V01", "V02")
def test_the_form_is_that_of_2015(alice: Client, room: str) -> None:
    client = alice.under(V1)
    client.say(room, "hello")
    shown = initial_room(client, room)
    for event in (*shown["state"], *shown["messages"]["chunk"]):
        assert event["user_id"] == event["sender"] == alice.user_id
        assert isinstance(event["age"], int)
        assert event["room_id"] == room
