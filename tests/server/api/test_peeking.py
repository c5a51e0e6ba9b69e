"""Looking at a room without being in it, where anybody may read."""

import pytest

from tests.harness.client import V1, Client, Json, error_of, path_of, texts
from tests.server.conftest import NewUser, every_prefix
from tests.server.sync.following import state_of

WORLD_READABLE = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}

requirement = pytest.mark.requirement


@pytest.fixture
def window(alice: Client) -> str:
    """A room of Alice's that anybody may look into."""
    return alice.create_room(initial_state=[WORLD_READABLE], topic="tea")


def events(client: Client, room_id: str, **query: object) -> Json:
    return client.must("GET", "/events", room_id=room_id, **query)


@every_prefix
@requirement("G08")
def test_what_came_is_told(alice: Client, bob: Client, window: str, room: str, prefix: str) -> None:
    start = bob.must("GET", "/events")["end"]
    for text in ("one", "two"):
        alice.say(window, text)
        alice.say(room, "elsewhere")
    told = events(bob, window, from_=start)
    assert (told["start"], texts(told["chunk"])) == (start, ["one", "two"])
    assert {"user_id" in event for event in told["chunk"]} == {prefix == V1}
    assert events(bob, window, from_=told["end"])["chunk"] == []


def test_what_comes_ends_the_waiting(alice: Client, bob: Client, window: str, room: str) -> None:
    start = bob.must("GET", "/events")["end"]
    waiting = bob.begin("/events", room_id=window, from_=start, timeout=30_000)
    alice.say(room, "elsewhere")
    assert not waiting.done()
    alice.say(window, "here")
    assert texts(waiting.result(10).json()["chunk"]) == ["here"]


def test_many_look_at_once(alice: Client, bob: Client, carol: Client, window: str) -> None:
    start = bob.must("GET", "/events")["end"]
    polls = [
        client.begin("/events", room_id=window, from_=start, timeout=30_000) for client in (bob, bob, carol)
    ]
    alice.say(window, "here")
    assert [texts(poll.result(10).json()["chunk"]) for poll in polls] == [["here"]] * 3


def test_who_waits_in_vain_is_answered_in_time(bob: Client, window: str) -> None:
    assert events(bob, window, timeout=50)["chunk"] == []


def test_a_closed_window_shows_nothing_more(alice: Client, bob: Client, window: str) -> None:
    start = bob.must("GET", "/events")["end"]
    waiting = bob.begin("/events", room_id=window, from_=start, timeout=30_000)
    alice.set_state(window, "m.room.history_visibility", {"history_visibility": "shared"})
    [last] = waiting.result(10).json()["chunk"]
    assert last["content"] == {"history_visibility": "shared"}
    alice.say(window, "among ourselves")
    refused = bob.call("GET", "/events", room_id=window, from_=start)
    assert error_of(refused) == (403, "M_FORBIDDEN")


@every_prefix
def test_a_closed_room_is_not_looked_into(alice: Client, bob: Client, room: str) -> None:
    for room_id in (room, "!no:where"):
        refused = bob.call("GET", "/events", room_id=room_id)
        assert error_of(refused) == (403, "M_FORBIDDEN")


def test_members_may_name_their_room_too(alice: Client, bob: Client, shared_room: str, window: str) -> None:
    start = bob.must("GET", "/events")["end"]
    alice.say(window, "elsewhere")
    alice.say(shared_room, "here")
    assert texts(events(bob, shared_room, from_=start)["chunk"]) == ["here"]


@every_prefix
@requirement("G05")
def test_a_glance_shows_state_and_messages(alice: Client, new_user: NewUser, window: str) -> None:
    alice.say(window, "hello")
    shown = new_user().must("GET", path_of("rooms", window, "initialSync"), limit=1)
    assert (shown["room_id"], shown["membership"]) == (window, "leave")
    assert texts(shown["messages"]["chunk"]) == ["hello"]
    assert ("m.room.topic", "") in state_of(shown["state"])


def test_a_glance_at_a_room_one_is_invited_to(alice: Client, bob: Client, window: str) -> None:
    alice.invite(window, bob.user_id)
    shown = bob.must("GET", path_of("rooms", window, "initialSync"))
    assert shown["membership"] == "invite"
    assert ("m.room.topic", "") in state_of(shown["state"])


@every_prefix
@requirement("G07")
def test_who_never_was_inside_keeps_no_archive(alice: Client, new_user: NewUser, room: str) -> None:
    """A refused invite gives no right to the room's state."""
    guest = new_user()
    alice.invite(room, guest.user_id)
    guest.leave(room)
    [shown] = guest.must("GET", "/initialSync", archived="true")["rooms"]
    assert (shown["room_id"], shown["membership"]) == (room, "leave")
    assert (shown["state"], texts(shown["messages"]["chunk"])) == ([], [])
