"""Making a room: its first events, what overrides what, and that it is there whole or not at all."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from projections import timeline
from projections.room_versions import SUPPORTED
from projections.sessions import Session
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from tests.harness.client import Client, error_of, path_of
from tests.harness.local_homeserver import local_homeserver
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

_numbers = itertools.count(1)


def state_of(client: Client, room: str) -> dict[tuple[str, str], Any]:
    """(type, state key) -> content."""
    return {(event["type"], event["state_key"]): event["content"] for event in client.state(room)}


@every_prefix
@requirement("M08", "M09")
def test_a_room_begins_with_its_first_events(alice: Client) -> None:
    answer = alice.must("POST", "/createRoom", {"room_version": "11"})
    assert answer.keys() == {"room_id"}
    state = state_of(alice, answer["room_id"])
    assert list(state) == [
        ("m.room.create", ""),
        ("m.room.member", alice.user_id),
        ("m.room.power_levels", ""),
        ("m.room.join_rules", ""),
        ("m.room.history_visibility", ""),
        ("m.room.guest_access", ""),
    ]
    assert state["m.room.create", ""] == {"room_version": "11"}
    assert state["m.room.member", alice.user_id] == {"membership": "join"}
    levels = state["m.room.power_levels", ""]
    assert levels["users"] == {alice.user_id: 100}
    assert (levels["users_default"], levels["events_default"], levels["state_default"]) == (0, 0, 50)


@requirement("M08")
def test_a_body_is_not_needed(alice: Client) -> None:
    assert alice.must("POST", "/createRoom").keys() == {"room_id"}


@pytest.mark.parametrize(
    ("request_body", "rules"),
    [
        ({}, ("invite", "shared", "can_join")),
        ({"visibility": "private"}, ("invite", "shared", "can_join")),
        ({"visibility": "public"}, ("public", "shared", "forbidden")),
        ({"preset": "private_chat"}, ("invite", "shared", "can_join")),
        ({"preset": "trusted_private_chat"}, ("invite", "shared", "can_join")),
        ({"preset": "public_chat"}, ("public", "shared", "forbidden")),
        ({"preset": "private_chat", "visibility": "public"}, ("invite", "shared", "can_join")),
    ],
)
@every_prefix
@requirement("M08")
def test_a_preset_sets_the_rules(
    alice: Client, request_body: dict[str, object], rules: tuple[str, str, str]
) -> None:
    state = state_of(alice, alice.create_room(**request_body))
    assert rules == (
        state["m.room.join_rules", ""]["join_rule"],
        state["m.room.history_visibility", ""]["history_visibility"],
        state["m.room.guest_access", ""]["guest_access"],
    )


@requirement("M08", "M09")
def test_who_is_trusted_gets_the_creators_level(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="trusted_private_chat", invite=[bob.user_id], room_version="11")
    levels = state_of(alice, room)["m.room.power_levels", ""]
    assert levels["users"] == {alice.user_id: 100, bob.user_id: 100}


@every_prefix
@requirement("M08")
def test_initial_state_beats_the_preset(alice: Client) -> None:
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room = alice.create_room(preset="public_chat", initial_state=[rules])
    assert state_of(alice, room)["m.room.join_rules", ""] == {"join_rule": "knock"}


@every_prefix
@requirement("M08")
def test_name_and_topic_beat_initial_state(alice: Client) -> None:
    initial = [
        {"type": "m.room.name", "content": {"name": "from initial_state"}},
        {"type": "m.room.topic", "state_key": "", "content": {"topic": "from initial_state"}},
        {"type": "m.room.topic", "state_key": "other", "content": {"topic": "kept"}},
    ]
    room = alice.create_room(name="Tea", topic="Earl Grey", initial_state=initial)
    state = state_of(alice, room)
    assert state["m.room.name", ""] == {"name": "Tea"}
    assert state["m.room.topic", ""] == {"topic": "Earl Grey"}
    assert state["m.room.topic", "other"] == {"topic": "kept"}


@requirement("M08")
def test_what_is_overridden_never_happened(alice: Client) -> None:
    room = alice.create_room(
        name="Tea", initial_state=[{"type": "m.room.name", "content": {"name": "Coffee"}}]
    )
    named = [event for event in alice.messages(room, limit=50)["chunk"] if event["type"] == "m.room.name"]
    assert [event["content"] for event in named] == [{"name": "Tea"}]


@every_prefix
@requirement("M08")
def test_the_server_says_who_created_what(alice: Client) -> None:
    asked = {
        "creator": "@mallory:localhost",
        "room_version": "1",
        "type": "com.example.own",
        "m.federate": False,
    }
    room = alice.create_room(creation_content=asked, room_version="11")
    expected = {"room_version": "11", "type": "com.example.own", "m.federate": False}
    assert state_of(alice, room)["m.room.create", ""] == expected


@pytest.mark.parametrize("version", SUPPORTED)
@requirement("M08")
def test_nobody_else_is_named_as_the_creator(alice: Client, version: str) -> None:
    room = alice.create_room(creation_content={"creator": "@mallory:localhost"}, room_version=version)
    named = state_of(alice, room)["m.room.create", ""].get("creator")
    assert named == (alice.user_id if int(version) < 11 else None)


@every_prefix
@requirement("M08")
def test_a_room_begins_in_one_order(alice: Client, bob: Client) -> None:
    initial = [
        {"type": "com.example.own", "state_key": "key", "content": {}},
        {"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}},
    ]
    room = alice.create_room(
        room_alias_name=f"ordered{next(_numbers)}",
        initial_state=initial,
        name="Tea",
        topic="Earl Grey",
        invite=[bob.user_id],
    )
    history = alice.messages(room, dir="f", limit=100)["chunk"]
    assert [(event["type"], event["state_key"]) for event in history] == [
        ("m.room.create", ""),
        ("m.room.member", alice.user_id),
        ("m.room.power_levels", ""),
        ("m.room.canonical_alias", ""),
        ("m.room.join_rules", ""),
        ("m.room.history_visibility", ""),
        ("com.example.own", "key"),
        ("m.room.guest_access", ""),
        ("m.room.name", ""),
        ("m.room.topic", ""),
        ("m.room.member", bob.user_id),
    ]


@every_prefix
@requirement("M08", "M09")
def test_power_levels_are_laid_over(alice: Client) -> None:
    override = {"events_default": 10, "events": {"com.example.own": 20}, "own": 1}
    room = alice.create_room(power_level_content_override=override, room_version="11")
    levels = state_of(alice, room)["m.room.power_levels", ""]
    assert {name: levels[name] for name in override} == override
    assert levels["users"] == {alice.user_id: 100}


@every_prefix
@requirement("M08", "M04")
def test_guests_are_invited_from_the_start(alice: Client, bob: Client) -> None:
    since = bob.now()
    room = alice.create_room(invite=[bob.user_id], is_direct=True)
    member = state_of(alice, room)["m.room.member", bob.user_id]
    assert member == {"membership": "invite", "is_direct": True}
    assert list(bob.sync(since=since)["rooms"]["invite"]) == [room]


@every_prefix
@requirement("M08", "M13")
def test_a_room_gets_its_alias(alice: Client) -> None:
    localpart = f"created{next(_numbers)}"
    alias = f"#{localpart}:localhost"
    room = alice.create_room(room_alias_name=localpart)
    assert alice.must("GET", path_of("directory", "room", alias))["room_id"] == room
    assert state_of(alice, room)["m.room.canonical_alias", ""] == {"alias": alias}


@every_prefix
@requirement("M08", "R03")
def test_a_taken_alias_makes_no_room(alice: Client) -> None:
    localpart = f"taken{next(_numbers)}"
    alice.create_room(room_alias_name=localpart)
    since = alice.now()
    answer = alice.call("POST", "/createRoom", {"room_alias_name": localpart})
    assert error_of(answer) == (400, "M_ROOM_IN_USE")
    assert alice.sync(since=since)["next_batch"] == since


REFUSED: dict[str, tuple[object, tuple[int, str]]] = {
    "preset": ({"preset": "secret_chat"}, (400, "M_INVALID_PARAM")),
    "visibility": ({"visibility": "hidden"}, (400, "M_INVALID_PARAM")),
    "version": ({"room_version": "0"}, (400, "M_UNSUPPORTED_ROOM_VERSION")),
    "type of version": ({"room_version": 11}, (400, "M_BAD_JSON")),
    "alias": ({"room_alias_name": "a:b"}, (400, "M_INVALID_PARAM")),
    "empty alias": ({"room_alias_name": ""}, (400, "M_INVALID_PARAM")),
    "long alias": ({"room_alias_name": "a" * 255}, (400, "M_INVALID_PARAM")),
    "guest": ({"invite": ["nobody"]}, (400, "M_INVALID_PARAM")),
    "guests": ({"invite": "nobody"}, (400, "M_BAD_JSON")),
    "e-mail": ({"invite_3pid": [{"medium": "email"}]}, (400, "M_SERVER_NOT_TRUSTED")),
    "oneself": ({"invite": ["@alice:localhost"]}, (400, "M_INVALID_ROOM_STATE")),
    "levels": ({"power_level_content_override": {"ban": "50"}}, (400, "M_INVALID_ROOM_STATE")),
    "no levels left": (
        {"power_level_content_override": {"users": {}}, "room_version": "11"},
        (400, "M_INVALID_ROOM_STATE"),
    ),
    "second creation": (
        {"initial_state": [{"type": "m.room.create", "content": {}}]},
        (400, "M_INVALID_ROOM_STATE"),
    ),
    "forced join": (
        {
            "initial_state": [
                {
                    "type": "m.room.member",
                    "state_key": "@bob:localhost",
                    "content": {"membership": "join"},
                }
            ]
        },
        (400, "M_INVALID_ROOM_STATE"),
    ),
    "fraction": ({"creation_content": {"a": 1.5}}, (400, "M_BAD_JSON")),
    "large number": ({"initial_state": [{"type": "a", "content": {"a": 2**53}}]}, (400, "M_BAD_JSON")),
    "state without type": ({"initial_state": [{"content": {}}]}, (400, "M_MISSING_PARAM")),
    "content as text": ({"initial_state": [{"type": "a", "content": "{}"}]}, (400, "M_BAD_JSON")),
    "long type": ({"initial_state": [{"type": "a" * 256, "content": {}}]}, (413, "M_TOO_LARGE")),
    "too much": ({"initial_state": [{"type": "a", "content": {}}] * 501}, (413, "M_TOO_LARGE")),
    "array": ([], (400, "M_BAD_JSON")),
}


@pytest.mark.parametrize("case", REFUSED)
@requirement("M08", "R03", "V07")
def test_a_refused_room_is_not_there_at_all(alice: Client, case: str) -> None:
    body, error = REFUSED[case]
    since = alice.now()
    assert error_of(alice.call("POST", "/createRoom", body)) == error
    assert alice.sync(since=since)["next_batch"] == since


@requirement("M08")
def test_a_room_in_the_list_says_so(alice: Client) -> None:
    rooms = [alice.create_room(visibility=visibility) for visibility in ("public", "private")]
    shown = [alice.must("GET", path_of("rooms", room, "initialSync"))["visibility"] for room in rooms]
    assert shown == ["public", "private"]


@pytest.mark.anyio
@requirement("V08")
async def test_every_event_is_deeper_than_the_one_before(tmp_path: Path) -> None:
    """Clients are not shown the depth; other servers would be."""
    creator = Session("@alice:localhost", "PHONE")
    async with local_homeserver(tmp_path) as parts:
        room = await parts.writer.decide(create_room, CreateRoom(creator, RoomRequest(name="Tea")))
        with parts.homeserver.views.read() as view:
            events = timeline.events_in_room(view, room, after=0, before=1 << 60, backwards=False)
            depths = [found.event.depth for found in events]
    assert depths == list(range(1, len(depths) + 1))
    assert len(depths) == 7
