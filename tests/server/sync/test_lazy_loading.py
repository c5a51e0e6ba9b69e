"""Member events that come only when they are needed."""

import json

import pytest

from tests.harness.client import Client, path_of
from tests.server.conftest import NewUser
from tests.server.sync.following import Json, ids, joined, members_in, room_filter, state_of

LAZILY = {"lazy_load_members": True}


@pytest.fixture
def crowd(new_user: NewUser) -> list[Client]:
    return [new_user() for _ in range(4)]


@pytest.fixture
def hall(alice: Client, crowd: list[Client]) -> str:
    """A room of Alice's with a name, so that nobody stands for it, in which the crowd is."""
    room = alice.create_room(preset="public_chat", name="Hall")
    for client in crowd:
        client.join(room)
    return room


def lazily(room_id: str, **timeline: Json) -> str:
    return room_filter(room_id, state=LAZILY, timeline=timeline)


def test_a_first_sync_has_who_spoke_and_oneself(alice: Client, crowd: list[Client], hall: str) -> None:
    for client in crowd[:2]:
        client.say(hall, "hello")
    section = joined(alice, hall, filter=lazily(hall, limit=2))
    expected = sorted([alice.user_id, crowd[0].user_id, crowd[1].user_id])
    assert members_in(section["state"]["events"]) == expected
    everything = state_of(alice.state(hall))
    others = {key: value for key, value in everything.items() if key[0] != "m.room.member"}
    assert others.items() <= state_of(section["state"]["events"]).items()


def test_all_members_come_unless_asked_otherwise(alice: Client, crowd: list[Client], hall: str) -> None:
    alice.say(hall, "hello")
    section = joined(alice, hall, filter=room_filter(hall, timeline={"limit": 1}))
    assert len(members_in(section["state"]["events"])) == 1 + len(crowd)


def test_later_syncs_have_who_spoke(alice: Client, crowd: list[Client], hall: str) -> None:
    since = alice.sync()["next_batch"]
    crowd[2].say(hall, "hello")
    section = joined(alice, hall, since=since, filter=lazily(hall))
    assert members_in(section["state"]["events"]) == [crowd[2].user_id]


def test_an_answer_asked_for_again_has_them_again(alice: Client, crowd: list[Client], hall: str) -> None:
    """It may have been lost on its way."""
    since = alice.sync()["next_batch"]
    crowd[2].say(hall, "hello")
    first, again = (joined(alice, hall, since=since, filter=lazily(hall)) for _ in range(2))
    assert ids(first["state"]["events"]) == ids(again["state"]["events"]) != []


def test_a_gap_has_all_who_changed_in_it(alice: Client, bob: Client, crowd: list[Client], hall: str) -> None:
    since = alice.sync()["next_batch"]
    bob.join(hall)
    crowd[0].leave(hall)
    named = {"membership": "join", "displayname": "Number One"}
    crowd[1].set_state(hall, "m.room.member", named, crowd[1].user_id)
    for _ in range(3):
        crowd[2].say(hall, "hello")
    section = joined(alice, hall, since=since, filter=lazily(hall, limit=2))
    assert section["timeline"]["limited"] is True
    changed = [bob.user_id, crowd[0].user_id, crowd[1].user_id]
    assert members_in(section["state"]["events"]) == sorted([*changed, crowd[2].user_id])


def test_who_comes_in_has_their_own(alice: Client, bob: Client, hall: str) -> None:
    since = bob.sync()["next_batch"]
    bob.join(hall)
    alice.say(hall, "hello")
    section = joined(bob, hall, since=since, filter=lazily(hall, limit=1))
    assert members_in(section["state"]["events"]) == sorted([alice.user_id, bob.user_id])


def test_full_state_has_ones_own(alice: Client, hall: str) -> None:
    since = alice.sync()["next_batch"]
    section = joined(alice, hall, since=since, full_state="true", filter=lazily(hall))
    assert members_in(section["state"]["events"]) == [alice.user_id]


def test_heroes_come_with_their_member_events(alice: Client, crowd: list[Client]) -> None:
    room = alice.create_room(preset="public_chat")
    for client in crowd:
        client.join(room)
    alice.say(room, "hello")
    section = joined(alice, room, filter=lazily(room, limit=1))
    heroes = section["summary"]["m.heroes"]
    assert heroes == [client.user_id for client in crowd]
    assert members_in(section["state"]["events"]) == sorted([alice.user_id, *heroes])


def test_a_sender_is_as_before_the_timeline_or_as_after_it(
    alice: Client, crowd: list[Client], hall: str
) -> None:
    guest = crowd[0]
    [old] = [
        event["event_id"]
        for event in alice.must("GET", path_of("rooms", hall, "members"))["chunk"]
        if event["state_key"] == guest.user_id
    ]
    since = alice.sync()["next_batch"]
    guest.say(hall, "hello")
    named = {"membership": "join", "displayname": "Guest"}
    new = guest.set_state(hall, "m.room.member", named, guest.user_id)
    before = joined(alice, hall, since=since, filter=lazily(hall))
    assert ids(before["state"]["events"]) == [old]
    after = joined(alice, hall, since=since, filter=lazily(hall), use_state_after="true")
    assert ids(after["state_after"]["events"]) == [new]


def test_the_state_filter_is_for_members_too(alice: Client, hall: str) -> None:
    names_only = room_filter(hall, state={**LAZILY, "types": ["m.room.name"]}, timeline={"limit": 1})
    section = joined(alice, hall, filter=names_only)
    assert list(state_of(section["state"]["events"])) == [("m.room.name", "")]


def test_left_rooms_have_who_spoke(alice: Client, crowd: list[Client], hall: str) -> None:
    since = crowd[0].sync()["next_batch"]
    crowd[1].say(hall, "hello")
    crowd[0].leave(hall)
    section = crowd[0].sync(since=since, filter=lazily(hall))["rooms"]["leave"][hall]
    assert members_in(section["state"]["events"]) == sorted([crowd[0].user_id, crowd[1].user_id])


@pytest.mark.parametrize("redundant", [True, False])
def test_a_page_has_who_spoke_on_it(alice: Client, crowd: list[Client], hall: str, redundant: bool) -> None:
    crowd[0].say(hall, "long ago")
    crowd[3].say(hall, "then")
    alice.say(hall, "now")
    chosen = json.dumps({**LAZILY, "include_redundant_members": redundant, "types": ["m.room.message"]})
    page = alice.messages(hall, limit=2, filter=chosen)
    assert members_in(page["state"]) == sorted([alice.user_id, crowd[3].user_id])
    assert all(event["room_id"] == hall for event in page["state"])
    assert "state" not in alice.messages(hall, limit=2)


def test_an_empty_page_has_nobody(alice: Client, room: str) -> None:
    chosen = json.dumps({**LAZILY, "types": ["com.example.none"]})
    assert alice.messages(room, filter=chosen).keys() == {"start", "chunk"}


def test_a_context_has_who_spoke_in_it(alice: Client, crowd: list[Client], hall: str) -> None:
    crowd[0].say(hall, "out of sight")
    before = crowd[1].say(hall, "before")
    event_id = crowd[2].say(hall, "this")
    found = alice.must("GET", path_of("rooms", hall, "context", event_id), limit=2, filter=json.dumps(LAZILY))
    assert ids(found["events_before"]) == [before]
    assert members_in(found["state"]) == sorted([crowd[1].user_id, crowd[2].user_id])
    assert ("m.room.name", "") in state_of(found["state"])
