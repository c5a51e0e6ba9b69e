"""Writes golden logs: run by hand, when a release brings facts that no golden log has.

    python -m tests.golden.writing log v0.1.0       a new log, of today's facts; never over an old one
    python -m tests.golden.writing digests          the digests of all logs, after a projection changed

The events of rooms come from real decisions, so that their hashes are real, and what is erased was erased
by the eraser itself; all other facts are stated. Clock and chance are given: the same code writes the same
log.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from eventlog.engines import open_log
from eventlog.log import Erased
from projections.facts import (
    AccountDeactivated,
    AccountRegistered,
    AliasRemoved,
    AliasSet,
    AppserviceTransactionBegun,
    DeviceRenamed,
    Fact,
    FilterStored,
    PasswordChanged,
    ProfileChanged,
    RefreshConfirmed,
    RequestAnswered,
    RoomForgotten,
    RoomListed,
    ServerNamed,
    SessionClosed,
    SessionOpened,
    SessionRefreshed,
    Transaction,
    end_of,
    order_of,
)
from projections.follower import catch_up, open_views
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.room_versions import SUPPORTED
from projections.sessions import Session
from server.app import Running
from server.cli.ndjson import decode_line, line_of, payload_of
from server.rooms.creation import CreateRoom, InitialState, RoomRequest, create_room
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from server.users.account import Deactivate, deactivate
from server.users.erasing import Eraser
from server.writer import Decided, Turn
from tests.harness.local_homeserver import local_homeserver

HERE = Path(__file__).parent
ALICE, BOB = Session("@alice:localhost", "PHONE"), Session("@bob:localhost", "LAPTOP")
CAROL = "@carol:localhost"
TIME = 1_700_000_000_000
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
DIGESTS = [f"{number:064x}" for number in range(1, 8)]

PEOPLE: list[list[Fact]] = [
    [ServerNamed("localhost", TIME)],
    [
        AccountRegistered(ALICE.user_id, PASSWORD_HASH, TIME),
        SessionOpened(ALICE.user_id, ALICE.device_id, DIGESTS[0], TIME, display_name="Alice\N{SNOWMAN}"),
    ],
    [AccountRegistered(BOB.user_id, "", TIME)],
    [SessionOpened(BOB.user_id, BOB.device_id, DIGESTS[1], TIME, None, DIGESTS[2], TIME + 1000)],
    [SessionRefreshed(BOB.user_id, BOB.device_id, DIGESTS[3], DIGESTS[4], TIME + 2000, TIME + 900)],
    [RefreshConfirmed(BOB.user_id, BOB.device_id)],
    [AccountRegistered(CAROL, PASSWORD_HASH, TIME), SessionOpened(CAROL, "A", DIGESTS[5], TIME)],
    [SessionOpened(CAROL, "B", DIGESTS[6], TIME, display_name="")],
    [ProfileChanged(BOB.user_id, "displayname", TIME, msgspec.Raw(b'"Bob"'))],
    [ProfileChanged(CAROL, "displayname", TIME, msgspec.Raw(b'"Carol"'))],
]


def last_facts(room_id: str) -> list[list[Fact]]:
    filter_json = msgspec.Raw(b'{"room":{"timeline":{"limit":5}}}')
    upgrade = Transaction(ALICE.device_id, "PUT /rooms/!room/upgrade", "7")
    return [
        [DeviceRenamed(CAROL, "A", 'Carol\'s "telephone"\n')],
        [SessionClosed(CAROL, "A"), SessionClosed(CAROL, "B")],
        [PasswordChanged(CAROL, PASSWORD_HASH + "2", TIME)],
        [AccountDeactivated(CAROL, TIME, erase=True)],
        [AliasSet("#a:localhost", room_id, ALICE.user_id), AliasSet("#ä:localhost", room_id, BOB.user_id)],
        [AliasRemoved("#a:localhost"), RoomListed(room_id, is_public=True)],
        [RoomListed(room_id, is_public=False), RoomListed("!other:localhost", is_public=True)],
        [FilterStored(ALICE.user_id, "1", filter_json)],
        [RequestAnswered(ALICE.user_id, upgrade, {"replacement_room": "!next:localhost"})],
        [RoomForgotten(CAROL, room_id)],
        [ProfileChanged(ALICE.user_id, "displayname", TIME, msgspec.Raw(b'"Alice"'))],
        [ProfileChanged(ALICE.user_id, "com.example.none", TIME, msgspec.Raw(b"null"))],
        [ProfileChanged(BOB.user_id, "avatar_url", TIME)],
        [AppserviceTransactionBegun("irc", 0, (), end_of(10), TIME)],
        [AppserviceTransactionBegun("irc", 1, (order_of(11), order_of(13, 2)), order_of(13, 2), TIME + 5)],
    ]


def state_facts(_: Turn, facts: list[Fact]) -> Decided[None]:
    return Decided(None, facts)


class Room:
    """A room of one version, and the decisions that make its events."""

    def __init__(self, parts: Running, room_id: str) -> None:
        self.room_id = room_id
        self._decide = parts.writer.decide

    async def say(self, who: Session, content: dict[str, Any], txn_id: str | None = None) -> str:
        request = f"PUT /rooms/{self.room_id}/send/m.room.message"
        transaction = None if txn_id is None else Transaction(who.device_id, request, txn_id)
        message = SendMessage(who, self.room_id, "m.room.message", content, transaction)
        return await self._decide(send_message, message)

    async def state(self, who: Session, event_type: str, state_key: str, content: dict[str, Any]) -> str:
        return await self._decide(set_state, SetState(who, self.room_id, event_type, state_key, content))

    async def member(self, who: Session, user_id: str, membership: str) -> str:
        content = {"membership": membership, "displayname": "Anybody", "reason": "because"}
        return await self.state(who, "m.room.member", user_id, content)

    async def redact(self, who: Session, event_id: str, txn_id: str | None = None) -> str:
        request = f"PUT /rooms/{self.room_id}/redact/{event_id}"
        transaction = None if txn_id is None else Transaction(who.device_id, request, txn_id)
        return await self._decide(
            redact, Redact(who, self.room_id, event_id, {"reason": "spam"}, transaction)
        )


async def write_room(parts: Running, version: str) -> str:
    """Everything that events can do to one another; returns the room's id."""
    request = RoomRequest(
        preset="public_chat",
        visibility="public",
        room_version=version,
        room_alias_name=f"version-{version}",
        name=f"Version {version}",
        topic="Grüße, \N{GREEK SMALL LETTER OMEGA}, \U0001f600",
        invite=[BOB.user_id, CAROL],
        initial_state=[InitialState("org.example.own", {"a": [1, None, True, {"b": ""}]}, "key")],
    )
    room = Room(parts, await parts.writer.decide(create_room, CreateRoom(ALICE, request)))
    joined = await room.member(BOB, BOB.user_id, "join")
    kept = await room.say(ALICE, {"msgtype": "m.text", "body": '\u2028\0"\\/<>&\x7f'}, "1")
    regretted = await room.say(BOB, {"msgtype": "m.text", "body": "regretted"}, "1")
    await room.say(BOB, {"n": [2**53 - 1, -(2**53) + 1, 0], "\ue000": 1, "\U00010000": 2})
    own = await room.redact(BOB, regretted, "2")
    await room.redact(ALICE, regretted)  # changes nothing: it is pruned already
    await room.redact(ALICE, joined)
    await room.redact(ALICE, own)
    await room.state(ALICE, "m.room.topic", "", {"topic": "second"})
    creator = {} if SUPPORTED[version].creators_outrank_all else {ALICE.user_id: 100}
    levels = {"users": {BOB.user_id: 50} | creator, "invite": 0, "notifications": {"room": 20}}
    levels_id = await room.state(ALICE, "m.room.power_levels", "", levels)
    await room.state(ALICE, "m.room.join_rules", "", {"join_rule": "invite", "allow": []})
    await room.redact(ALICE, levels_id)
    await room.member(BOB, CAROL, "invite")
    await room.member(ALICE, CAROL, "ban")
    await room.member(ALICE, CAROL, "leave")
    await room.state(ALICE, "m.room.history_visibility", "", {"history_visibility": "joined"})
    await room.member(BOB, BOB.user_id, "leave")
    assert await room.say(ALICE, {"body": "a repeat"}, "1") == kept
    return room.room_id


async def erase(parts: Running) -> None:
    """First what was redacted, and Carol; then Bob, so that entries that invited both are erased twice."""
    eraser = Eraser(parts.homeserver, parts.writer, retention=0)
    assert await eraser.erase_what_is_due()
    await parts.writer.decide(deactivate, Deactivate(BOB, erase=True))
    assert await eraser.erase_what_is_due()


async def new_log() -> bytes:
    """A log of today's facts, as NDJSON."""
    with tempfile.TemporaryDirectory() as directory:
        async with local_homeserver(Path(directory)) as parts:
            for facts in PEOPLE:
                await parts.writer.decide(state_facts, facts)
            rooms = [await write_room(parts, version) for version in SUPPORTED]
            for facts in last_facts(rooms[-1]):
                await parts.writer.decide(state_facts, facts)
            await erase(parts)
            return b"".join([line_of(entry) async for entry in parts.homeserver.log.read()])


def payloads_in(ndjson: bytes) -> list[bytes | Erased]:
    return [payload_of(decode_line(line)) for line in ndjson.splitlines()]


async def digest_of(payloads: list[bytes | Erased], projection: Projection) -> str:
    """What a log amounts to in the views of one projection."""
    with tempfile.TemporaryDirectory() as directory:
        async with open_log("memory:") as log:
            await log.append(payloads, after=0)
            views = open_views(Path(directory), log, projections=[projection])
            try:
                await catch_up(log, views, projections=[projection])
                return views.digest()
            finally:
                views.abandon()


def digests_of(payloads: list[bytes | Erased]) -> str:
    return "".join(
        f"{projection.name} {projection.version} {asyncio.run(digest_of(payloads, projection))}\n"
        for projection in PROJECTIONS
    )


def main(what: str, version: str = "") -> None:
    if what == "log":
        file = HERE / f"{version}.ndjson"
        if file.exists():
            raise SystemExit(f"{file} is there; what was released does not change")
        file.write_bytes(asyncio.run(new_log()))
    for file in HERE.glob("*.ndjson"):
        file.with_suffix(".digests").write_text(digests_of(payloads_in(file.read_bytes())))


if __name__ == "__main__":
    main(*sys.argv[1:])
