"""To ask to be let in: knocking, and what becomes of it."""

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

FORBIDDEN = (403, "M_FORBIDDEN")


@pytest.fixture
def door(alice: Client) -> str:
    """A room of Alice's that people may ask to join."""
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    return alice.create_room(name="Tea room", initial_state=[rules])


def knock(client: Client, room_id_or_alias: str, **body: object) -> object:
    return client.must("POST", path_of("knock", room_id_or_alias), body)


def membership(observer: Client, room: str, user_id: str) -> object:
    return observer.must("GET", path_of("rooms", room, "state", "m.room.member", user_id))


@every_prefix
def test_a_knock_is_heard_in_the_room(alice: Client, bob: Client, door: str) -> None:
    assert knock(bob, door, reason="I bring scones") == {"room_id": door}
    assert membership(alice, door, bob.user_id) == {"membership": "knock", "reason": "I bring scones"}


def test_one_knocks_by_an_alias(alice: Client, bob: Client, door: str) -> None:
    alias = f"#knock-{door[1:8]}:localhost"
    alice.must("PUT", path_of("directory", "room", alias), {"room_id": door})
    assert knock(bob, alias) == {"room_id": door}
    assert error_of(bob.call("POST", path_of("knock", "#nowhere:localhost"), {})) == (404, "M_NOT_FOUND")


@every_prefix
def test_whoever_knocks_is_not_in(bob: Client, door: str) -> None:
    knock(bob, door)
    assert error_of(bob.call("POST", path_of("join", door), {})) == FORBIDDEN
    assert error_of(bob.call("GET", path_of("rooms", door, "state"))) == FORBIDDEN


def test_a_knock_is_answered_by_an_invitation(alice: Client, bob: Client, door: str) -> None:
    knock(bob, door)
    alice.invite(door, bob.user_id)
    bob.join(door)
    assert membership(alice, door, bob.user_id) == {"membership": "join"}


def test_a_knock_is_refused_by_a_kick(alice: Client, bob: Client, door: str) -> None:
    knock(bob, door)
    alice.must("POST", path_of("rooms", door, "kick"), {"user_id": bob.user_id, "reason": "full"})
    assert membership(alice, door, bob.user_id) == {"membership": "leave", "reason": "full"}


def test_a_knock_is_taken_back_by_leaving(alice: Client, bob: Client, door: str) -> None:
    knock(bob, door)
    bob.leave(door)
    assert membership(alice, door, bob.user_id) == {"membership": "leave"}


def test_a_knock_stands_in_its_section_of_sync(new_user: NewUser, door: str) -> None:
    guest = new_user()
    since = guest.sync()["next_batch"]
    knock(guest, door)
    for answer in (guest.sync(since=since), guest.sync()):
        [section] = answer["rooms"]["knock"].values()
        events = {event["type"]: event["content"] for event in section["knock_state"]["events"]}
        assert events["m.room.name"] == {"name": "Tea room"}
        assert events["m.room.member"] == {"membership": "knock"}


@pytest.mark.parametrize("rule", ["invite", "public", "private", "restricted"])
def test_other_join_rules_hear_no_knock(alice: Client, bob: Client, rule: str) -> None:
    room = alice.create_room()
    alice.set_state(room, "m.room.join_rules", {"join_rule": rule})
    assert error_of(bob.call("POST", path_of("knock", room), {})) == FORBIDDEN


@every_prefix
def test_an_unknown_room_hears_no_knock(bob: Client, room: str) -> None:
    answers = [bob.call("POST", path_of("knock", name), {}) for name in (room, "!nowhere:localhost")]
    assert {error_of(answer) for answer in answers} == {FORBIDDEN}
    assert len({answer.text for answer in answers}) == 1


def test_who_is_in_or_banned_does_not_knock(alice: Client, bob: Client, door: str) -> None:
    assert error_of(alice.call("POST", path_of("knock", door), {})) == FORBIDDEN
    alice.must("POST", path_of("rooms", door, "ban"), {"user_id": bob.user_id})
    assert error_of(bob.call("POST", path_of("knock", door), {})) == FORBIDDEN
