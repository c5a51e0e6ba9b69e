"""The room in which the authorisation rules are tried, and the events that make it.

Alice made it and has level 100, Bob moderates with 50, Carol and Dan are in it with 0. Ivy is invited, Eve
is banned, Kim has knocked, Lou has left, Nina never was there.

Everything is written down as in room version 11; `as_in` makes of it what another version has instead.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from projections.events import Event, event_from
from projections.room_versions import RoomVersion
from server.rooms.auth_rules import StateKey, authorise
from server.rooms.refusal import Refused

ROOM = "!room:example.org"
ALICE, BOB, CAROL, DAN = "@alice:example.org", "@bob:example.org", "@carol:example.org", "@dan:example.org"
IVY, EVE, KIM = "@ivy:example.org", "@eve:example.org", "@kim:example.org"
LOU, NINA = "@lou:example.org", "@nina:example.org"
ZOE = "@zoe:elsewhere.example"

State = dict[StateKey, Event]

LEVELS: dict[str, Any] = {
    "users": {ALICE: 100, BOB: 50},
    "events": {"m.room.power_levels": 50, "m.room.tombstone": 100, "org.example.loud": 10},
    "notifications": {"room": 50},
    "ban": 50,
    "kick": 50,
    "redact": 50,
    "invite": 50,
    "state_default": 50,
    "events_default": 0,
    "users_default": 0,
}


def event(
    event_type: str,
    sender: str,
    content: dict[str, Any] | None = None,
    state_key: str | None = None,
    **fields: Any,
) -> Event:
    key = {} if state_key is None else {"state_key": state_key}
    made = {"type": event_type, "sender": sender, "content": content or {}, "room_id": ROOM, **key}
    return event_from({"origin_server_ts": 1, "prev_events": ["$last"], **made, **fields})


def member(sender: str, target: str, membership: Any, **content: Any) -> Event:
    return event("m.room.member", sender, {"membership": membership, **content}, target)


def message(sender: str, event_type: str = "m.room.message") -> Event:
    return event(event_type, sender, {"body": "hello"})


def power_levels(sender: str, content: dict[str, Any]) -> Event:
    return event("m.room.power_levels", sender, content, "")


def changed(**values: Any) -> dict[str, Any]:
    """The room's power levels, with some values replaced; `None` removes one."""
    return {name: value for name, value in {**LEVELS, **values}.items() if value is not None}


def create(sender: str = ALICE, content: dict[str, Any] | None = None, **fields: Any) -> Event:
    content = {"room_version": "11"} if content is None else content
    return event("m.room.create", sender, content, "", **{"prev_events": [], **fields})


def room(
    *,
    join_rule: str | None = "invite",
    levels: dict[str, Any] | None = LEVELS,
    created: Event | None = None,
    members: Mapping[str, str] | None = None,
) -> State:
    joined = dict.fromkeys([ALICE, BOB, CAROL, DAN], "join")
    others = {IVY: "invite", EVE: "ban", KIM: "knock", LOU: "leave"}
    events = [member(name, name, how) for name, how in {**joined, **others, **(members or {})}.items()]
    events.append(created or create())
    if join_rule is not None:
        events.append(event("m.room.join_rules", ALICE, {"join_rule": join_rule}, ""))
    if levels is not None:
        events.append(power_levels(ALICE, levels))
    return {(made.type, made.state_key or ""): made for made in events}


JUST_CREATED: State = {("m.room.create", ""): create()}

INVITE_BY_EMAIL = {"third_party_invite": {"signed": {"mxid": NINA, "token": "abc", "signatures": {}}}}


def authorised_by(user_id: Any) -> dict[str, Any]:
    return {"join_authorised_via_users_server": user_id}


def as_in(made: Event, version: RoomVersion) -> Event:
    """The event as a room of that version would have it."""
    fields = json.loads(msgspec.json.encode(made))
    content = fields["content"]
    if made.type == "m.room.create":
        if content.get("room_version") == "11":
            content["room_version"] = version.name
        if version.creator_is_in_content:
            content["creator"] = made.sender
        if version.room_id_is_hash:
            del fields["room_id"]
    elif made.type == "m.room.power_levels" and version.creators_outrank_all:
        users = content.get("users")
        if isinstance(users, dict):
            users.pop(ALICE, None)
    return event_from(fields)


def in_version(state: State, version: RoomVersion) -> State:
    return {at: as_in(standing, version) for at, standing in state.items()}


def refusal_of(made: Event, state: State, version: RoomVersion) -> tuple[str, str] | None:
    """The rule that refuses an event, and its words; `None` if no rule does. Nothing is translated."""
    try:
        authorise(made, state, version)
    except Refused as refusal:
        return refusal.rule, refusal.message
    return None


def refusing_rule(made: Event, state: State, version: RoomVersion) -> str | None:
    refusal = refusal_of(made, state, version)
    return None if refusal is None else refusal[0]
