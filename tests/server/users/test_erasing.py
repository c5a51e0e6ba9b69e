"""What was taken back leaves the files, and nothing that is derived from the log changes by that.

Each test plants a marker and looks for it in the raw bytes of every file of log and views.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from eventlog.check import inspect
from eventlog.log import Entry, Position
from eventlog.verifying import Finding
from projections import timeline
from projections.facts import ErasureCompleted, Fact, Transaction
from projections.follower import catch_up, open_views
from projections.sessions import Session
from server.app import Running
from server.config import log_path
from server.rooms.creation import CreateRoom, InitialState, RoomRequest, create_room
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from server.users.account import Deactivate, deactivate, give_up_and_erase
from server.users.erasing import Eraser, erasing
from server.users.profiles import ChangeProfile, change_profile
from server.users.registration import Register, register
from server.users.sessions import NewSession
from tests.harness.dying_eraser import MOMENTS
from tests.harness.local_homeserver import Ticking, local_homeserver
from tests.harness.remains import is_found

pytestmark = pytest.mark.anyio

ALICE, BOB = Session("@alice:localhost", "PHONE"), Session("@bob:localhost", "LAPTOP")
MARKER = "planted-marker-0123456789"
DAY = 86_400_000
RETENTION = 7 * DAY


def files_with(marker: str, data: Path) -> list[str]:
    files = [file for file in sorted(data.rglob("*")) if file.is_file()]
    return [str(file.relative_to(data)) for file in files if is_found(marker, file)]


class House:
    """A homeserver with Alice, Bob, and a room that both are in."""

    def __init__(self, parts: Running, clock: Ticking, data: Path) -> None:
        self.parts = parts
        self.clock = clock
        self.data = data
        self.eraser = Eraser(parts.homeserver, parts.writer, RETENTION)
        self.room_id = ""

    async def move_in(self, version: str) -> None:
        decide = self.parts.writer.decide
        for who, name in ((ALICE, "alice"), (BOB, "bob")):
            await decide(
                register,
                Register(name, "hash", NewSession(who.device_id, f"{name}-token", f"device of {name}")),
            )
        request = RoomRequest(
            preset="public_chat",
            room_version=version,
            initial_state=[InitialState("m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})],
        )
        self.room_id = await decide(create_room, CreateRoom(ALICE, request))
        await self.state(BOB, "m.room.member", BOB.user_id, {"membership": "join"})

    async def say(self, who: Session, body: str, txn_id: str | None = None) -> str:
        request = f"PUT /rooms/{self.room_id}/send/m.room.message"
        transaction = None if txn_id is None else Transaction(who.device_id, request, txn_id)
        content = {"msgtype": "m.text", "body": body}
        message = SendMessage(who, self.room_id, "m.room.message", content, transaction)
        return await self.parts.writer.decide(send_message, message)

    async def state(self, who: Session, event_type: str, state_key: str, content: dict[str, object]) -> str:
        change = SetState(who, self.room_id, event_type, state_key, content)
        return await self.parts.writer.decide(set_state, change)

    async def redact(self, event_id: str) -> str:
        return await self.parts.writer.decide(redact, Redact(ALICE, self.room_id, event_id, {}))

    async def entries(self) -> list[Entry]:
        return [entry async for entry in self.parts.homeserver.log.read()]

    async def digest_when_rebuilt(self) -> str:
        log = self.parts.homeserver.log
        views = open_views(self.data / "rebuilt", log)
        try:
            await catch_up(log, views)
            return views.digest()
        finally:
            views.close()

    def is_clean(self) -> bool:
        return not [report for report in inspect(log_path(self.data)) if isinstance(report, Finding)]


@asynccontextmanager
async def house(data: Path, *, version: str = "12") -> AsyncIterator[House]:
    clock = Ticking()
    async with local_homeserver(data, now=clock) as parts:
        made = House(parts, clock, data)
        await made.move_in(version)
        yield made


@pytest.mark.parametrize("size", [1, 5_000], ids=["in a page", "in pages of its own"])
async def test_redacted_content_leaves_the_files(tmp_path: Path, size: int) -> None:
    async with house(tmp_path) as home:
        said = await home.say(BOB, MARKER + "x" * size)
        for number in range(30):  # each leaves a copy of the page behind
            await home.say(ALICE, f"number {number}")
        await home.redact(said)
        assert files_with(MARKER, tmp_path) == ["log/data.mdb"]
        home.clock.now += RETENTION
        assert await home.eraser.erase_what_is_due()
        assert files_with(MARKER, tmp_path) == []
        await home.say(ALICE, "after that")
        assert files_with(MARKER, tmp_path) == []


async def test_redacted_content_is_retained_for_a_while(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.redact(await home.say(BOB, MARKER))
        home.clock.now += RETENTION - 1_000
        assert await home.eraser.erase_what_is_due()
        assert "log/data.mdb" in files_with(MARKER, tmp_path)


@pytest.mark.parametrize("version", ["6", "9", "11", "12"])
async def test_views_are_rebuilt_the_same(tmp_path: Path, version: str) -> None:
    """Also those of redactions and of the room's first event, of which old versions prune what matters."""
    async with house(tmp_path, version=version) as home:
        said = await home.say(BOB, MARKER, "1")
        redaction = await home.redact(said)
        await home.redact(redaction)
        await home.redact(await home.state(ALICE, "m.room.topic", "", {"topic": MARKER}))
        await home.redact(
            await home.state(
                BOB,
                "m.room.member",
                BOB.user_id,
                {
                    "membership": "join",
                    "displayname": MARKER,
                },
            )
        )
        with home.parts.homeserver.views.read() as view:
            first = [event.event_id for event in timeline.events_between(view, 0, home.parts.writer.head)]
        for event_id in first[:8]:
            await home.redact(event_id)
        home.clock.now += RETENTION
        assert await home.eraser.erase_what_is_due()
        assert await home.digest_when_rebuilt() == home.parts.homeserver.views.digest()
        await home.say(ALICE, "the room goes on")
        assert await home.digest_when_rebuilt() != ""
        assert files_with(MARKER, tmp_path) == []


async def test_the_chain_holds_and_names_the_order(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        said = await home.say(BOB, MARKER)
        await home.redact(said)
        before = await home.entries()
        home.clock.now += RETENTION
        await home.eraser.erase_what_is_due()
        after = await home.entries()
        kept = [(entry.digest, entry.chain) for entry in after[: len(before)]]
        assert kept == [(entry.digest, entry.chain) for entry in before]
        [erased] = [entry for entry in after if entry.erased]
        assert erased.erased is not None
        ordering = after[erased.erased.ordered_by - 1]
        assert b'"payload_erased","position":%d,' % erased.position in ordering.payload
        assert home.is_clean()


async def test_a_repeat_is_answered_the_erased_event(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        said = await home.say(BOB, MARKER, "1")
        await home.redact(said)
        home.clock.now += RETENTION
        await home.eraser.erase_what_is_due()
        assert await home.say(BOB, MARKER, "1") == said


async def test_two_events_of_an_entry_are_erased_one_after_the_other(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        request = RoomRequest(name=MARKER + "-name", topic=MARKER + "-topic")
        home.room_id = await home.parts.writer.decide(create_room, CreateRoom(ALICE, request))
        with home.parts.homeserver.views.read() as view:
            ids = {
                e.event.type: e.event_id
                for e in timeline.events_between(view, 0, home.parts.writer.head)
                if e.room_id == home.room_id
            }
        for event_type, left in (("m.room.name", ["log/data.mdb"]), ("m.room.topic", [])):
            await home.redact(ids[event_type])
            home.clock.now += RETENTION
            await home.eraser.erase_what_is_due()
            assert files_with(MARKER + "-name", tmp_path) == []
            assert bool(files_with(MARKER + "-topic", tmp_path)) == bool(left)
        assert await home.digest_when_rebuilt() == home.parts.homeserver.views.digest()


async def test_an_erased_user_leaves_the_files(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        decide = home.parts.writer.decide
        await home.say(BOB, MARKER)
        await home.state(BOB, "m.room.member", BOB.user_id, {"membership": "join", "displayname": MARKER})
        await decide(change_profile, ChangeProfile(BOB, "displayname", MARKER))
        await home.say(ALICE, "hers stays")
        assert files_with("device of bob", tmp_path) == ["log/data.mdb", "views/data.mdb"]
        await decide(give_up_and_erase, BOB.user_id)
        assert files_with(MARKER, tmp_path) == ["log/data.mdb", "views/data.mdb"]
        assert await home.eraser.erase_what_is_due()
        assert files_with(MARKER, tmp_path) == []
        assert files_with("device of bob", tmp_path) == []
        assert files_with("hers stays", tmp_path) == ["log/data.mdb"]
        assert await home.digest_when_rebuilt() == home.parts.homeserver.views.digest()
        assert home.is_clean()


async def test_what_an_erased_user_made_of_a_room_stays(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.parts.writer.decide(give_up_and_erase, ALICE.user_id)
        await home.eraser.erase_what_is_due()
        assert files_with("m.megolm.v1.aes-sha2", tmp_path) == ["log/data.mdb"]


async def test_who_had_left_already_can_still_be_erased(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        decide = home.parts.writer.decide
        await home.say(BOB, MARKER)
        await decide(deactivate, Deactivate(BOB, erase=False))
        await home.eraser.erase_what_is_due()
        assert "log/data.mdb" in files_with(MARKER, tmp_path)
        await decide(give_up_and_erase, BOB.user_id)
        await home.eraser.erase_what_is_due()
        assert files_with(MARKER, tmp_path) == []


async def test_what_was_completed_is_not_looked_for_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.say(BOB, MARKER)
        await home.parts.writer.decide(give_up_and_erase, BOB.user_id)
        await home.eraser.erase_what_is_due()
        head = home.parts.writer.head
        await home.eraser.erase_what_is_due()
        assert home.parts.writer.head == head


async def test_a_reader_of_an_older_state_puts_it_off(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.redact(await home.say(BOB, MARKER))
        home.clock.now += RETENTION
        reader = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _READER, str(log_path(tmp_path))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert reader.stdout is not None
        assert await reader.stdout.readline() == b"reading\n"
        assert not await home.eraser.erase_what_is_due()
        await reader.communicate(b"\n")
        assert await home.eraser.erase_what_is_due()
        assert files_with(MARKER, tmp_path) == []


_READER = """
import lmdb, sys
environment = lmdb.open(sys.argv[1], readonly=True, max_dbs=2, map_size=0)
with environment.begin():
    print("reading", flush=True)
    sys.stdin.readline()
"""


async def test_the_task_erases_what_falls_due(tmp_path: Path) -> None:
    async with house(tmp_path) as home, erasing(home.parts.homeserver, home.parts.writer, RETENTION):
        completed = asyncio.Event()

        def hear(_: Position, facts: Sequence[Fact]) -> None:
            if any(isinstance(fact, ErasureCompleted) for fact in facts):
                completed.set()

        home.parts.writer.listen(hear)
        await home.say(BOB, MARKER)
        await home.parts.writer.decide(give_up_and_erase, BOB.user_id)
        async with asyncio.timeout(30):
            await completed.wait()
        assert files_with(MARKER, tmp_path) == []


@pytest.mark.parametrize("moment", MOMENTS)
async def test_who_was_killed_in_the_middle_goes_on(tmp_path: Path, moment: str) -> None:
    async with house(tmp_path) as home:
        said = await home.say(BOB, MARKER, "1")
        await home.redact(said)
        now = home.clock.now
    died = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-m", "tests.harness.dying_eraser", str(tmp_path), str(now), moment], check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert bool(files_with(MARKER, tmp_path)) == (moment != "after scrub")
    async with local_homeserver(tmp_path, now=Ticking(now)) as parts:
        assert await Eraser(parts.homeserver, parts.writer, 0).erase_what_is_due()
        assert files_with(MARKER, tmp_path) == []
        home = House(parts, Ticking(now), tmp_path)
        assert await home.digest_when_rebuilt() == parts.homeserver.views.digest()
        assert home.is_clean()


async def test_writing_goes_on_meanwhile(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        said = [await home.say(BOB, f"{MARKER} {number}") for number in range(40)]

        async def chat(number: int) -> None:
            for _ in range(25):
                await home.say(ALICE, f"chatter {number}" + "." * number * 100)

        async def take_back() -> None:
            for event_id in said:
                await home.redact(event_id)
                home.clock.now += RETENTION
                await home.eraser.erase_what_is_due()

        await asyncio.gather(take_back(), *map(chat, range(20)))
        assert files_with(MARKER, tmp_path) == []
        assert home.is_clean()
        assert await home.digest_when_rebuilt() == home.parts.homeserver.views.digest()
