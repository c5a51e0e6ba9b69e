"""POST /account/deactivate with `erase`: what becomes of what somebody said."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import PASSWORD, Client, path_of
from tests.harness.server_process import serving
from tests.server.conftest import NewUser, every_prefix

SECRET = "what nobody else shall read"
SAID = {"msgtype": "m.text", "body": SECRET}


@pytest.fixture
def leaver(new_user: NewUser) -> Client:
    """Somebody who will give their account up."""
    user = new_user()
    user.must("PUT", path_of("profile", user.user_id, "displayname"), {"displayname": SECRET})
    return user


@pytest.fixture
def left_room(alice: Client, leaver: Client) -> str:
    """A room of Alice's in which they have spoken, and set the topic."""
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    leaver.join(room)
    leaver.set_state(room, "m.room.topic", {"topic": "Tea"})
    leaver.send(room, SAID)
    return room


def give_up(leaver: Client, *, erase: bool) -> None:
    auth = {"type": "m.login.password", "password": PASSWORD, "user": leaver.user_id}
    leaver.must("POST", "/account/deactivate", {"auth": auth, "erase": erase})


def said_in(reader: Client, room: str, author: Client) -> list[Any]:
    """What the author's messages say, by every way in which the reader comes by them."""
    chunk = reader.messages(room, limit=100)["chunk"]
    [event_id] = [
        event["event_id"]
        for event in chunk
        if event["sender"] == author.user_id and event["type"] == "m.room.message"
    ]
    around = reader.must("GET", path_of("rooms", room, "context", event_id))
    section = reader.sync()["rooms"]["join"][room]["timeline"]["events"]
    [synced] = [event for event in section if event["event_id"] == event_id]
    [paged] = [event for event in chunk if event["event_id"] == event_id]
    shown = (paged, reader.event(room, event_id), around["event"], synced)
    return [event["content"] for event in shown]


@every_prefix
def test_newcomers_read_nothing_of_the_erased(
    alice: Client, bob: Client, leaver: Client, left_room: str
) -> None:
    give_up(leaver, erase=True)
    bob.join(left_room)
    assert said_in(bob, left_room, leaver) == [{}] * 4
    assert (
        SECRET
        not in bob.http.get(bob.prefix + "/sync", headers={"Authorization": f"Bearer {bob.token}"}).text
    )
    assert SECRET not in str(bob.messages(left_room, limit=100))


def test_soon_nobody_reads_it(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--rate-limits", "off") as server:
        alice, leaver = (server.client().register(name) for name in ("alice", "leaver"))
        room = alice.create_room(preset="public_chat")
        leaver.join(room)
        leaver.send(room, SAID)
        give_up(leaver, erase=True)
        deadline = time.monotonic() + 30
        while said_in(alice, room, leaver) != [{}] * 4:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_leaving_alone_hides_nothing(bob: Client, leaver: Client, left_room: str) -> None:
    give_up(leaver, erase=False)
    bob.join(left_room)
    assert said_in(bob, left_room, leaver) == [SAID] * 4


def test_the_room_keeps_the_state_that_they_gave_it(bob: Client, leaver: Client, left_room: str) -> None:
    give_up(leaver, erase=True)
    bob.join(left_room)
    assert bob.must("GET", path_of("rooms", left_room, "state", "m.room.topic")) == {"topic": "Tea"}
    [topic] = [event for event in bob.state(left_room) if event["type"] == "m.room.topic"]
    assert topic["content"] == {"topic": "Tea"}


def test_their_profile_goes_with_them(alice: Client, leaver: Client) -> None:
    give_up(leaver, erase=True)
    assert alice.must("GET", path_of("profile", leaver.user_id)) == {}


def test_their_profile_stays_without_erasure(alice: Client, leaver: Client) -> None:
    give_up(leaver, erase=False)
    assert alice.must("GET", path_of("profile", leaver.user_id)) == {"displayname": SECRET}
