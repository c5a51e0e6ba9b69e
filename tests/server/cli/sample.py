"""A small log, written out: one of most kinds of fact, two rooms, and text that means harm."""

import json

import msgspec

from projections.facts import (
    AccountRegistered,
    AliasSet,
    Fact,
    RoomEvent,
    RoomListed,
    ServerNamed,
    SessionOpened,
    Transaction,
)

ALICE = "@alice:localhost"
ROOM = "!room:localhost"
OTHER_ROOM = "!other:localhost"
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
TOKEN_DIGEST = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def room_event(
    event_id: str,
    event_type: str,
    content: object,
    state_key: str | None = None,
    room_id: str = ROOM,
    prev: str | None = None,
) -> RoomEvent:
    fields = {
        "type": event_type,
        "sender": ALICE,
        "room_id": room_id,
        "content": content,
        "origin_server_ts": 1_700_000_000_000,
        "prev_events": [prev] if prev else [],
    } | ({} if state_key is None else {"state_key": state_key})
    stored = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return RoomEvent(event_id, msgspec.Raw(stored.encode()), Transaction("PHONE", "PUT /send", "1"))


def creation(room_id: str, name: str) -> list[Fact]:
    return [
        room_event(f"$create-{name}", "m.room.create", {"room_version": "11"}, "", room_id),
        room_event(
            f"$alice-{name}", "m.room.member", {"membership": "join"}, ALICE, room_id, f"$create-{name}"
        ),
    ]


ENTRIES: list[list[Fact]] = [
    [ServerNamed("localhost", 1)],
    [
        AccountRegistered(ALICE, PASSWORD_HASH, 2),
        SessionOpened(ALICE, "PHONE", TOKEN_DIGEST, 2, display_name='Alice\'s "phone"\n99 forged'),
    ],
    [*creation(ROOM, "room"), AliasSet("#room:localhost", ROOM, ALICE), RoomListed(ROOM, is_public=True)],
    [room_event("$name-1", "m.room.name", {"name": "Before"}, "", prev="$alice-room")],
    [room_event("$hello", "m.room.message", {"body": "Grüße\u2028\x9b31m", "n": 1.0}, prev="$name-1")],
    creation(OTHER_ROOM, "other"),
    [room_event("$name-2", "m.room.name", {"name": "Af\x9bter"}, "", prev="$hello")],
]
"""Positions 1 to 7."""
