"""What the specification's schemas say of the events that the server makes, and of answers that clients feed.

Every answer in these tests is judged besides, like all that a test's client gets.
"""

import itertools
from typing import Any
from urllib.parse import parse_qsl

import pytest

from projections.room_versions import SUPPORTED
from tests.contract.contract import Fault, Json, contract
from tests.contract.judging import Deviation, all_faults, deviations
from tests.harness.client import PREFIXES, Client, path_of
from tests.server.conftest import every_prefix

PRESETS = ("private_chat", "trusted_private_chat", "public_chat")
MADE_BY_THE_SERVER = {
    "m.room.canonical_alias",
    "m.room.create",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.member",
    "m.room.name",
    "m.room.power_levels",
    "m.room.redaction",
    "m.room.tombstone",
    "m.room.topic",
}
ILL_TYPED: list[Json] = [None, True, 1, "text", "", [1], [{}], {"a": 1}]
FED_BY_CLIENTS = {
    "m.room.avatar": ("url", "info"),
    "m.room.encryption": ("algorithm",),
    "m.room.guest_access": ("guest_access",),
    "m.room.history_visibility": ("history_visibility",),
    "m.room.join_rules": ("join_rule", "allow"),
    "m.room.name": ("name",),
    "m.room.pinned_events": ("pinned",),
    "m.room.topic": ("topic", "m.topic"),
}
"""Fields that answers repeat outside of the event, or decide by, and that nobody made sure of."""

_numbers = itertools.count(1)


@pytest.mark.parametrize("deviation", deviations(), ids=lambda one: f"{one.operation} {one.pointer}")
def test_every_deviation_is_still_one(deviation: Deviation, alice: Client, room: str) -> None:
    method, target = deviation.request.format(room_id=room).split(" ")
    path, _, query = target.partition("?")
    shown: list[Fault] = []
    for prefix in PREFIXES:
        answer = alice.under(prefix).call(method, path, None, **dict[str, Any](parse_qsl(query)))
        shown += all_faults(method, prefix + path, answer.status_code, answer.content)
    assert any(deviation.excuses(fault) for fault in shown), "It is none any more: take it off the list."


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("version", SUPPORTED)
def test_events_of_the_server_have_their_form(
    alice: Client, bob: Client, carol: Client, version: str, preset: str
) -> None:
    room = well_used_room(alice, bob, carol, version, preset)
    events = alice.messages(room, limit=100)["chunk"]
    assert {event["type"] for event in events} == MADE_BY_THE_SERVER
    assert [event for event in events if "redacted_because" in event["unsigned"]]
    assert wrong(events) == []
    assert wrong(alice.state(room)) == []


@every_prefix
def test_one_event_of_the_state_has_its_form(alice: Client, room: str) -> None:
    for event_type in ("m.room.create", "m.room.power_levels"):
        path = path_of("rooms", room, "state", event_type)
        assert wrong([alice.must("GET", path, format="event")]) == []


def test_a_wrong_event_is_seen(alice: Client, room: str) -> None:
    """A check of these checks."""
    alice.set_state(room, "m.room.name", {"name": 1})
    assert wrong(alice.state(room)) == ['m.room.name 200: /content/name: it is not of type "string": 1']


@pytest.mark.parametrize("value", ILL_TYPED, ids=str)
def test_no_answer_repeats_what_is_ill_typed(alice: Client, bob: Client, value: Json) -> None:
    """Whatever a room says of itself, the answers about it have their form: they are judged as they come."""
    room = alice.create_room(
        preset="public_chat",
        visibility="public",
        creation_content={"type": value},
        initial_state=[{"type": "m.room.canonical_alias", "content": {"alias": value, "alt_aliases": value}}],
    )
    bob.join(room)
    for event_type, fields in FED_BY_CLIENTS.items():
        alice.call("PUT", path_of("rooms", room, "state", event_type, ""), dict.fromkeys(fields, value))
    member = {"membership": "join", "displayname": value, "avatar_url": value, "reason": value}
    bob.call("PUT", path_of("rooms", room, "state", "m.room.member", bob.user_id), member)
    for client in map(bob.under, PREFIXES):
        for path in ("state", "members", "joined_members", "messages", "initialSync", "aliases"):
            client.must("GET", path_of("rooms", room, path), dir="b")
        for path in ("/publicRooms", "/initialSync", "/sync"):
            client.must("GET", path)


def well_used_room(alice: Client, bob: Client, carol: Client, version: str, preset: str) -> str:
    """A room in which the server has made every event that it makes by itself."""
    room = alice.create_room(
        preset=preset,
        room_version=version,
        room_alias_name=f"contract{next(_numbers)}",
        name="Tea",
        topic="Earl Grey",
        invite=[bob.user_id],
        is_direct=True,
    )
    bob.join(room)
    for call in ("invite", "kick", "ban", "unban"):
        body = {"user_id": carol.user_id, "reason": "noise"}
        alice.must("POST", path_of("rooms", room, call), body)
    (name,) = (event for event in alice.state(room) if event["type"] == "m.room.name")
    alice.redact(room, name["event_id"], reason="not tea")
    alice.must("POST", path_of("rooms", room, "upgrade"), {"new_version": version})
    return room


def wrong(events: list[Json]) -> list[str]:
    """What the schemas find wrong with these events, or with the redaction of one that has nothing left."""
    found: list[str] = []
    for event in events:
        redaction = event.get("unsigned", {}).get("redacted_because")
        found += map(str, contract().event_faults(event if redaction is None else redaction))
    return found
