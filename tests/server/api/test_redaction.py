"""Taking an event's content back: who may, what stays, and that nobody reads the rest by any way."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from projections.room_versions import SUPPORTED
from tests.harness.client import V1, Client, error_of, path_of
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

SECRET = "unsayable"


def only(room_id: str, **more: object) -> str:
    """A filter for one room."""
    return json.dumps({"room": {"rooms": [room_id], **more}})


Read = Callable[[Client, str, str, str], Any]
"""By a reader, in a room, of an event, or of what came since a token."""

READS: dict[str, Read] = {
    "event": lambda reader, room, event, _: reader.event(room, event),
    "events": lambda reader, _, event, __: reader.must("GET", path_of("events", event)),
    "messages": lambda reader, room, *_: reader.messages(room, limit=100),
    "messages on": lambda reader, room, _, since: reader.messages(room, dir="f", from_=since),
    "state": lambda reader, room, *_: reader.state(room),
    "state event": lambda reader, room, *_: reader.must(
        "GET", path_of("rooms", room, "state", "m.room.topic"), format="event"
    ),
    "first sync": lambda reader, room, *_: reader.sync(filter=only(room)),
    "sync": lambda reader, _, __, since: reader.sync(since=since),
    "full sync": lambda reader, room, _, since: reader.sync(
        since=since, full_state="true", filter=only(room)
    ),
    "short sync": lambda reader, room, *_: reader.sync(filter=only(room, timeline={"limit": 1})),
    "initialSync": lambda reader, *_: reader.must("GET", "/initialSync", limit=100),
    "room's initialSync": lambda reader, room, *_: reader.must("GET", path_of("rooms", room, "initialSync")),
    "stream": lambda reader, _, __, since: reader.must("GET", "/events", from_=since),
}
"""Every way by which somebody may come across an event of a room, or of its state."""


def redact_path(room: str, event_id: str, *txn_id: str) -> str:
    return path_of("rooms", room, "redact", event_id, *txn_id)


@every_prefix
@requirement("M10", "M11", "V03", "V04")
def test_a_redacted_message_is_empty(alice: Client, room: str, prefix: str) -> None:
    said = alice.say(room, SECRET)
    before = alice.event(room, said)
    redaction_id = alice.redact(room, said, reason="slip")
    event = alice.event(room, said)
    assert event["content"] == {}
    kept = ("event_id", "type", "room_id", "sender", "origin_server_ts")
    assert [event[name] for name in kept] == [before[name] for name in kept]
    because = event["unsigned"]["redacted_because"]
    assert (because["event_id"], because["type"], because["redacts"]) == (
        redaction_id,
        "m.room.redaction",
        said,
    )
    assert because["content"] == {"reason": "slip", "redacts": said}
    if prefix == V1:
        assert event["redacted_because"] == because


@pytest.mark.parametrize("read", READS)
@every_prefix
@requirement("M10")
def test_no_way_leads_to_what_was_redacted(alice: Client, bob: Client, read: str) -> None:
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    since, secret = bob.now(), f"{SECRET} in {room}"
    message = alice.say(room, secret)
    topic = alice.set_state(room, "m.room.topic", {"topic": secret})
    later = alice.set_state(room, "m.room.topic", {"topic": "sayable"})

    def shown() -> str:
        return json.dumps([READS[read](bob, room, event, since) for event in (message, topic, later)])

    assert secret in shown()
    for event_id in (message, topic):
        alice.redact(room, event_id)
    assert secret not in shown()


@requirement("M10")
def test_a_waiting_reader_hears_of_the_redaction(alice: Client, bob: Client, shared_room: str) -> None:
    said = alice.say(shared_room, SECRET)
    since = bob.now()
    redaction_id = alice.redact(shared_room, said)
    [event] = bob.sync(since=since)["rooms"]["join"][shared_room]["timeline"]["events"]
    assert (event["event_id"], event["redacts"]) == (redaction_id, said)
    assert event["content"] == {"redacts": said}


@pytest.mark.parametrize(
    ("event_type", "content", "kept"),
    [
        ("m.room.join_rules", {"join_rule": "invite", "x": 1}, {"join_rule": "invite"}),
        (
            "m.room.history_visibility",
            {"history_visibility": "joined", "x": 1},
            {"history_visibility": "joined"},
        ),
        ("m.room.topic", {"topic": "t"}, {}),
        ("m.room.aliases", {"aliases": ["#a:localhost"]}, {}),
        ("com.example.own", {"membership": "join"}, {}),
    ],
)
@requirement("M10")
def test_redacted_state_stays_the_state(
    alice: Client, room: str, event_type: str, content: dict[str, object], kept: dict[str, object]
) -> None:
    event_id = alice.set_state(room, event_type, content)
    alice.redact(room, event_id)
    assert alice.must("GET", path_of("rooms", room, "state", event_type)) == kept
    assert event_id in [event["event_id"] for event in alice.state(room)]


@requirement("M10")
def test_a_redacted_member_is_still_one(alice: Client, bob: Client, shared_room: str) -> None:
    content = {"membership": "join", "displayname": SECRET}
    event_id = bob.set_state(shared_room, "m.room.member", content, bob.user_id)
    bob.redact(shared_room, event_id)
    assert bob.event(shared_room, event_id)["content"] == {"membership": "join"}
    assert bob.say(shared_room, "still here")


@requirement("M10", "M09")
def test_redacted_power_levels_still_hold(alice: Client, bob: Client, shared_room: str) -> None:
    levels = alice.must("GET", path_of("rooms", shared_room, "state", "m.room.power_levels"))
    content = levels | {"events_default": 50, "own": SECRET}
    event_id = alice.set_state(shared_room, "m.room.power_levels", content)
    alice.redact(shared_room, event_id)
    assert alice.event(shared_room, event_id)["content"] == levels | {"events_default": 50}
    path = path_of("rooms", shared_room, "send", "m.room.message", "1")
    assert error_of(bob.call("PUT", path, {"msgtype": "m.text", "body": ""})) == (403, "M_FORBIDDEN")


@requirement("M10")
def test_a_redacted_create_event_keeps_its_content(alice: Client) -> None:
    room = alice.create_room(creation_content={"type": "com.example.own"})
    [create] = [event for event in alice.state(room) if event["type"] == "m.room.create"]
    alice.redact(room, create["event_id"])
    assert alice.event(room, create["event_id"])["content"] == create["content"]


@requirement("M10", "S30")
def test_what_was_replaced_is_not_shown_unredacted(alice: Client, room: str) -> None:
    first = alice.set_state(room, "m.room.topic", {"topic": SECRET})
    second = alice.set_state(room, "m.room.topic", {"topic": "sayable"})
    alice.redact(room, first)
    assert alice.event(room, second)["unsigned"]["prev_content"] == {}


@requirement("M10")
def test_the_first_redaction_stays_the_reason(alice: Client, room: str) -> None:
    said = alice.say(room, SECRET)
    first = alice.redact(room, said, reason="first")
    assert alice.redact(room, said, reason="second") != first
    assert alice.event(room, said)["unsigned"]["redacted_because"]["event_id"] == first


@requirement("M10")
def test_redacting_a_redaction_brings_nothing_back(alice: Client, room: str) -> None:
    said = alice.say(room, SECRET)
    redaction_id = alice.redact(room, said, reason=SECRET)
    alice.redact(room, redaction_id)
    event = alice.event(room, said)
    assert event["content"] == {}
    assert event["unsigned"]["redacted_because"]["content"] == {"redacts": said}


def test_a_chain_of_redactions_is_shown_one_deep(alice: Client, room: str) -> None:
    """Each takes back the one before. An answer that goes down the whole chain has no bound."""
    said = alice.say(room, SECRET)
    last = said
    for _ in range(3):
        last = alice.redact(room, last)
    because = alice.event(room, said)["unsigned"]["redacted_because"]
    assert because["redacts"] == said
    assert because["unsigned"].keys() == {"age", "membership", "transaction_id"}


@every_prefix
@requirement("M11", "V03")
def test_a_redaction_can_be_posted(alice: Client, room: str) -> None:
    said = alice.say(room, SECRET)
    redaction_id = alice.must("POST", redact_path(room, said), {"reason": "slip"})["event_id"]
    assert alice.must("POST", redact_path(room, said))["event_id"] != redaction_id  # a body is not needed
    shown = alice.event(room, redaction_id)
    assert (shown["redacts"], shown["content"]["reason"]) == (said, "slip")


@pytest.mark.parametrize("version", SUPPORTED)
@every_prefix
@requirement("M11", "V03")
def test_a_redaction_can_be_sent(alice: Client, version: str) -> None:
    room = alice.create_room(room_version=version)
    said = alice.say(room, SECRET)
    redaction_id = alice.send(room, {"redacts": said, "reason": "slip"}, event_type="m.room.redaction")
    because = alice.event(room, said)["unsigned"]["redacted_because"]
    assert (because["event_id"], because["redacts"]) == (redaction_id, said)
    shown = alice.event(room, redaction_id)
    assert (shown["redacts"], shown["content"]["reason"]) == (said, "slip")
    assert alice.event(room, said)["content"] == {}


@pytest.mark.parametrize("version", SUPPORTED)
@requirement("M10")
def test_what_is_kept_depends_on_the_version(alice: Client, version: str) -> None:
    room = alice.create_room(room_version=version, creation_content={"m.federate": False})
    number, state = int(version), {event["type"]: event for event in alice.state(room)}
    create, levels = state["m.room.create"], state["m.room.power_levels"]
    rules = alice.set_state(room, "m.room.join_rules", {"join_rule": "invite", "allow": [], "x": 1})
    for event_id in (create["event_id"], levels["event_id"], rules):
        alice.redact(room, event_id)

    def kept(event_id: str) -> set[str]:
        return set(alice.event(room, event_id)["content"])

    assert kept(create["event_id"]) == (set(create["content"]) if number >= 11 else {"creator"})
    assert ("invite" in kept(levels["event_id"])) == (number >= 11)
    assert kept(levels["event_id"]) >= {"ban", "events", "events_default", "kick", "redact", "users"}
    assert kept(rules) == {"join_rule"} | ({"allow"} if number >= 8 else set())


@pytest.mark.parametrize("content", [{}, {"redacts": None}, {"redacts": ["$a"]}])
@requirement("M11")
def test_a_redaction_without_a_target_is_refused(
    alice: Client, room: str, content: dict[str, object]
) -> None:
    path = path_of("rooms", room, "send", "m.room.redaction", "1")
    assert error_of(alice.call("PUT", path, content)) == (400, "M_MISSING_PARAM")


@requirement("M11")
def test_the_target_of_the_path_counts(alice: Client, room: str) -> None:
    said, other = alice.say(room, SECRET), alice.say(room, "sayable")
    alice.redact(room, said, redacts=other)
    assert alice.event(room, said)["content"] == {}
    assert alice.event(room, other)["content"]["body"] == "sayable"


@every_prefix
@requirement("M11")
def test_who_may_redact(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    by_alice, by_bob, also_by_bob = (
        alice.say(shared_room, "a"),
        bob.say(shared_room, "b"),
        bob.say(shared_room, "c"),
    )

    def redact(client: Client, event_id: str) -> int:
        return client.call("PUT", redact_path(shared_room, event_id, "1"), {}).status_code

    assert redact(bob, by_alice) == 403
    assert redact(carol, by_bob) == 403
    assert redact(bob, by_bob) == 200
    assert redact(alice, also_by_bob) == 200
    assert alice.event(shared_room, by_alice)["content"]["body"] == "a"


@requirement("M11", "M09")
def test_redacting_ones_own_asks_for_a_level_too(alice: Client, bob: Client) -> None:
    override = {"events": {"m.room.redaction": 50}, "redact": 0}
    room = alice.create_room(preset="public_chat", power_level_content_override=override)
    bob.join(room)
    answer = bob.call("PUT", redact_path(room, bob.say(room, "mine"), "1"), {})
    assert error_of(answer) == (403, "M_FORBIDDEN")


@requirement("M11")
def test_the_redact_level_is_the_rooms(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat", power_level_content_override={"redact": 0})
    bob.join(room)
    said = alice.say(room, SECRET)
    bob.redact(room, said)
    assert alice.event(room, said)["content"] == {}


@every_prefix
@requirement("M11")
def test_what_is_not_there_cannot_be_redacted(alice: Client, room: str) -> None:
    elsewhere = alice.say(alice.create_room(), "elsewhere")
    before = alice.messages(room)["chunk"][0]["event_id"]
    for event_id in ("$unheard-of", elsewhere, room, "x" * 300):
        answer = alice.call("PUT", redact_path(room, event_id, "1"), {})
        assert error_of(answer) == (404, "M_NOT_FOUND")
    assert alice.messages(room)["chunk"][0]["event_id"] == before
