"""The summary of a room: counts, and who stands for a room without a name."""

import pytest

from tests.harness.client import Client
from tests.server.conftest import NewUser
from tests.server.sync.following import Json, joined


@pytest.fixture
def crowd(new_user: NewUser) -> list[Client]:
    return [new_user() for _ in range(7)]


@pytest.fixture
def party(alice: Client, crowd: list[Client]) -> str:
    """A room without a name, in which the crowd is, one after the other."""
    room = alice.create_room(preset="public_chat")
    for client in crowd:
        client.join(room)
    return room


def user_ids(*clients: Client) -> list[str]:
    return [client.user_id for client in clients]


def summary_since(client: Client, room: str, since: str) -> Json:
    return joined(client, room, since=since)["summary"]


def test_the_first_five_others_are_the_heroes(alice: Client, crowd: list[Client], party: str) -> None:
    assert joined(alice, party)["summary"]["m.heroes"] == user_ids(*crowd[:5])
    assert joined(crowd[0], party)["summary"]["m.heroes"] == user_ids(alice, *crowd[1:5])


def test_what_is_as_it_was_is_left_out(alice: Client, crowd: list[Client], party: str) -> None:
    since = alice.sync()["next_batch"]
    alice.say(party, "hello")
    assert summary_since(alice, party, since) == {}
    named = {"membership": "join", "displayname": "The Last"}
    crowd[6].set_state(party, "m.room.member", named, crowd[6].user_id)
    assert summary_since(alice, party, since) == {}


def test_a_count_that_changed_is_told(alice: Client, bob: Client, crowd: list[Client], party: str) -> None:
    since = alice.sync()["next_batch"]
    alice.invite(party, bob.user_id)
    assert summary_since(alice, party, since) == {"m.invited_member_count": 1}
    bob.join(party)
    assert summary_since(alice, party, since) == {"m.joined_member_count": 9}
    bob.leave(party)
    crowd[6].leave(party)
    assert summary_since(alice, party, since) == {"m.joined_member_count": 7}


def test_heroes_that_changed_are_told(alice: Client, crowd: list[Client], party: str) -> None:
    since = alice.sync()["next_batch"]
    crowd[1].leave(party)
    heroes = user_ids(crowd[0], *crowd[2:6])
    assert summary_since(alice, party, since) == {"m.heroes": heroes, "m.joined_member_count": 7}


def test_a_name_takes_the_place_of_heroes(alice: Client, crowd: list[Client], party: str) -> None:
    since = alice.sync()["next_batch"]
    alice.set_state(party, "m.room.name", {"name": "Party"})
    crowd[0].leave(party)
    assert summary_since(alice, party, since) == {"m.joined_member_count": 7}
    since = alice.sync()["next_batch"]
    alice.set_state(party, "m.room.name", {})
    assert summary_since(alice, party, since) == {"m.heroes": user_ids(*crowd[1:6])}


def test_who_left_stands_for_a_room_that_nobody_is_in(alice: Client, bob: Client, carol: Client) -> None:
    room = alice.create_room(preset="public_chat")
    for client in (bob, carol):
        client.join(room)
    for client in (bob, carol):
        client.leave(room)
    assert joined(alice, room)["summary"]["m.heroes"] == user_ids(bob, carol)


def test_changes_out_of_the_timelines_sight_are_told(alice: Client, bob: Client, party: str) -> None:
    """The summary is of the room, not of the events that a client wants."""
    since = alice.sync()["next_batch"]
    bob.join(party)
    messages = '{"room": {"timeline": {"types": ["m.room.message"]}, "state": {"types": []}}}'
    summary = joined(alice, party, since=since, filter=messages)["summary"]
    assert summary == {"m.joined_member_count": 9}
