"""To forget a room: whoever is out of it and wants to hear nothing more of it, not even its past."""

from collections.abc import Callable

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

FORBIDDEN = (403, "M_FORBIDDEN")


def forget(client: Client, room: str) -> object:
    return client.must("POST", path_of("rooms", room, "forget"), {})


@pytest.fixture
def guest(new_user: NewUser, shared_room: str) -> Client:
    """Was in the room and left it."""
    guest = new_user()
    guest.join(shared_room)
    guest.leave(shared_room)
    return guest


@every_prefix
def test_a_room_that_one_is_in_cannot_be_forgotten(bob: Client, shared_room: str) -> None:
    answer = bob.call("POST", path_of("rooms", shared_room, "forget"), {})
    assert error_of(answer) == (400, "M_UNKNOWN")


def test_an_invitation_is_answered_before_it_is_forgotten(alice: Client, bob: Client, room: str) -> None:
    alice.invite(room, bob.user_id)
    assert error_of(bob.call("POST", path_of("rooms", room, "forget"))) == (400, "M_UNKNOWN")
    bob.leave(room)
    assert forget(bob, room) == {}


READINGS: dict[str, Callable[[str], str]] = {
    "messages": lambda room: path_of("rooms", room, "messages"),
    "state": lambda room: path_of("rooms", room, "state"),
    "one state": lambda room: path_of("rooms", room, "state", "m.room.create"),
    "members": lambda room: path_of("rooms", room, "members"),
    "initialSync": lambda room: path_of("rooms", room, "initialSync"),
    "aliases": lambda room: path_of("rooms", room, "aliases"),
}


@pytest.mark.parametrize("reading", READINGS)
@every_prefix
def test_a_forgotten_room_is_closed(guest: Client, shared_room: str, reading: str) -> None:
    path = READINGS[reading](shared_room)
    assert guest.call("GET", path, dir="b").status_code == 200
    assert forget(guest, shared_room) == {}
    assert error_of(guest.call("GET", path, dir="b")) == FORBIDDEN


def test_a_forgotten_event_is_not_found(alice: Client, bob: Client, shared_room: str) -> None:
    event_id = alice.say(shared_room, "while you were here")
    path = path_of("rooms", shared_room, "event", event_id)
    bob.leave(shared_room)
    assert bob.call("GET", path).status_code == 200
    forget(bob, shared_room)
    assert error_of(bob.call("GET", path)) == (404, "M_NOT_FOUND")


@every_prefix
def test_a_forgotten_room_is_not_listed(guest: Client, shared_room: str) -> None:
    def is_listed() -> tuple[bool, bool]:
        archived = guest.must("GET", "/initialSync", archived="true")["rooms"]
        left = guest.sync(filter='{"room": {"include_leave": true}}')["rooms"]["leave"]
        return shared_room in [room["room_id"] for room in archived], shared_room in left

    assert is_listed() == (True, True)
    forget(guest, shared_room)
    assert is_listed() == (False, False)


def test_a_ban_of_who_forgot_is_not_told(alice: Client, guest: Client, shared_room: str) -> None:
    forget(guest, shared_room)
    since = guest.sync()["next_batch"]
    alice.must("POST", path_of("rooms", shared_room, "ban"), {"user_id": guest.user_id})
    assert guest.sync(since=since)["rooms"]["leave"] == {}
    assert error_of(guest.call("GET", path_of("rooms", shared_room, "state"))) == FORBIDDEN


def test_an_invitation_reminds_of_the_room(alice: Client, guest: Client, shared_room: str) -> None:
    forget(guest, shared_room)
    since = guest.sync()["next_batch"]
    alice.invite(shared_room, guest.user_id)
    assert list(guest.sync(since=since)["rooms"]["invite"]) == [shared_room]


def test_who_comes_back_has_the_past_again(alice: Client, guest: Client, shared_room: str) -> None:
    forget(guest, shared_room)
    event_id = alice.say(shared_room, "hello")
    guest.join(shared_room)
    assert guest.event(shared_room, event_id)["content"]["body"] == "hello"
    assert shared_room in guest.sync()["rooms"]["join"]


@every_prefix
def test_forgetting_tells_nobody_anything(alice: Client, bob: Client, room: str, shared_room: str) -> None:
    assert [forget(bob, unknown) for unknown in (room, "!nowhere:localhost")] == [{}, {}]
    bob.leave(shared_room)
    before = alice.sync()["next_batch"]
    assert [forget(bob, shared_room) for _ in range(2)] == [{}, {}]
    assert alice.sync(since=before)["rooms"]["join"] == {}
