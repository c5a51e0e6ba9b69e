"""How long after a send's 200 does who waits get the event? And what does an incremental sync cost?

*Waiting*: clients hold a long poll, /sync or the older /events, each a user on a connection of its own. An
event is sent; measured is the time from the moment in which its sender has the 200 until a waiting client
has its answer, event included. Negative means that the client knew before the sender did, which is why the
sender's own time stands beside it. With one client it is the latency; with 100 in the room the last of them
also waits for 99 answers to be made, one after the other; with 100 of whom 99 are elsewhere it should be as
with one.

*Incremental*: two users are in the room of each new event, one in no other room and one in many; both ask
what is new. The ratio says whether the cost grows with what changed or with the rooms that there are.

Delays are taken in the load generator's process, by one clock. Server and generator are on cores of their
own where there are two.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.author import Author, Facts, Room, authoring, token_of
from bench.figures import LatencySpread, Spread
from bench.load import put_load_on_server
from bench.processes import Places, Server, places, serving
from bench.progress import Progress
from bench.session import Data, Json, Part, Repetitions, Seconds, Seed, run
from bench.sync_load import Compared, CompareReaders, Waited, WaitForNews
from bench.workload import SEED, life_of_a_server, write_log
from eventlog.engines import open_log
from eventlog.lmdb_file import DATA_FILE
from server.config import log_url

Call = Literal["sync", "events"]
CALLS: tuple[Call, ...] = ("sync", "events")


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    waiting: int = 100
    rooms: int = 100
    """Of the user who is in many."""
    events_before: int = 10_000
    repetitions: int = 3
    seconds: float = 0.8
    """For each repetition of each figure."""


class Waiting(msgspec.Struct, frozen=True):
    call: str
    waiting: int
    in_room: int
    """How many of them an event concerns."""
    after_200: LatencySpread
    """Until the waiting clients have their answers, each of them a sample."""
    send: LatencySpread
    """Until the sender has its 200, from its request on: who waits may also keep the sender waiting."""


class Incremental(msgspec.Struct, frozen=True):
    rooms: int
    """Of the second user; the first one has 1."""
    in_one_room: LatencySpread
    in_many_rooms: LatencySpread
    ratio: Spread
    """Median with many rooms to the median with one."""


class Syncs(msgspec.Struct, frozen=True):
    flush_mode: str
    entries_before: int
    log_bytes_before: int
    waiting: list[Waiting]
    incremental: Incremental


class _People(NamedTuple):
    """Tokens, and the one room that all of them are in."""

    room_id: str
    own_room_id: str
    """In which there are only the sender and the first who waits."""
    sender: str
    waiting: list[str]
    in_many_rooms: str


class _Crowd(NamedTuple):
    waiting: int
    in_room: int


def measure(directory: Path, plan: Plan, progress: Progress) -> Syncs:
    data, where = directory / "data", places()
    progress.step("sync: prepare a log")
    people, entries = uvloop.run(_prepare(data, plan))
    log_bytes = (data / "log" / DATA_FILE).stat().st_size
    crowds = _crowds(plan)
    delays: dict[tuple[Call, _Crowd], list[Waited]] = {
        (call, crowd): [] for call in CALLS for crowd in crowds
    }
    compared: list[Compared] = []
    options = ("serve", "--port", "0", "--data", str(data), "--rate-limits", "off")
    with serving("server.cli", *options, cores=where.measured) as server:
        load = _Load(plan, people, server, where)
        for repetition in range(plan.repetitions):
            for (call, crowd), found in delays.items():
                progress.step(f"sync: {crowd.waiting} in /{call}, repetition {repetition + 1}")
                found.append(load.wait_for_news(call, crowd))
            progress.step(f"sync: incremental, repetition {repetition + 1}")
            compared.append(load.compare_readers())
    return Syncs(
        flush_mode=report.FLUSH_MODE,
        entries_before=entries,
        log_bytes_before=log_bytes,
        waiting=[
            Waiting(
                call=call,
                waiting=crowd.waiting,
                in_room=crowd.in_room,
                after_200=LatencySpread.of([one.after_200 for one in found]),
                send=LatencySpread.of([one.send for one in found]),
            )
            for (call, crowd), found in delays.items()
        ],
        incremental=Incremental(
            rooms=plan.rooms,
            in_one_room=LatencySpread.of([one.first for one in compared]),
            in_many_rooms=LatencySpread.of([one.second for one in compared]),
            ratio=Spread.of([one.second.p50 / one.first.p50 for one in compared]),
        ),
    )


def _crowds(plan: Plan) -> list[_Crowd]:
    """One who waits; many who wait for something else, and that one; many who wait for the same."""
    return [_Crowd(1, 1), _Crowd(plan.waiting, 1), _Crowd(plan.waiting, plan.waiting)]


async def _prepare(data: Path, plan: Plan) -> tuple[_People, int]:
    """Write the log that the server finds. Returns who is in it, and its length."""
    with authoring(plan.seed) as author:
        crowd = _CrowdAuthor(author, plan)
        async with open_log(log_url(data)) as log:
            await write_log(log, crowd.entries())
            return crowd.people(), await log.head()


class _CrowdAuthor:
    """Writes some history, and then the people and the rooms that are measured."""

    def __init__(self, author: Author, plan: Plan) -> None:
        self._author = author
        self._plan = plan
        self._rooms: list[Room] = []
        self._sender = ""
        self._in_many_rooms = ""
        self._waiting: list[str] = []

    def entries(self) -> Iterator[Facts]:
        author = self._author
        yield author.name_server()
        yield from life_of_a_server(author, self._plan.events_before)
        sender, facts = author.register("sender")
        yield facts
        many, facts = author.register("many")
        yield facts
        self._sender, self._in_many_rooms = token_of(sender.user_id), token_of(many.user_id)
        for _ in range(1 + self._plan.rooms):
            room, facts = author.create_room(sender)
            self._rooms.append(room)
            yield facts
        for room in self._rooms[1:]:
            yield author.join(room, many)
        for number in range(self._plan.waiting):
            user, facts = author.register(f"waiting{number}")
            self._waiting.append(token_of(user.user_id))
            yield facts
            yield author.join(self._rooms[1], user)
            if number == 0:
                yield author.join(self._rooms[0], user)

    def people(self) -> _People:
        """Once all entries have been made."""
        return _People(
            room_id=self._rooms[1].room_id,
            own_room_id=self._rooms[0].room_id,
            sender=self._sender,
            waiting=self._waiting,
            in_many_rooms=self._in_many_rooms,
        )


class _Load:
    """The load on the server, with transaction ids that were never used before."""

    def __init__(self, plan: Plan, people: _People, server: Server, where: Places) -> None:
        self._plan = plan
        self._people = people
        self._server = server
        self._where = where
        self._runs = 0

    def wait_for_news(self, call: Call, crowd: _Crowd) -> Waited:
        people, tokens = self._people, self._people.waiting[: crowd.waiting]
        wanted = WaitForNews(
            host=self._server.host,
            port=self._server.port,
            call=call,
            sender=people.sender,
            room_id=people.own_room_id if crowd.in_room == 1 else people.room_id,
            in_room=tokens[: crowd.in_room],
            elsewhere=tokens[crowd.in_room :],
            elsewhere_room_id=people.room_id,
            run=self._next_run(),
            seconds=self._plan.seconds,
        )
        return put_load_on_server(wanted, Waited, cores=self._where.measuring)

    def compare_readers(self) -> Compared:
        people = self._people
        wanted = CompareReaders(
            host=self._server.host,
            port=self._server.port,
            sender=people.sender,
            room_id=people.room_id,
            readers=(people.waiting[1], people.in_many_rooms),
            run=self._next_run(),
            seconds=self._plan.seconds,
        )
        return put_load_on_server(wanted, Compared, cores=self._where.measuring)

    def _next_run(self) -> str:
        self._runs += 1
        return f"run{self._runs}"


def told(measured: Syncs) -> list[RenderableType]:
    delays = report.table("call", "waiting", "in the room", "p50 ms", "p99 ms", "send p50 ms", "answers")
    for one in measured.waiting:
        delay = one.after_200
        cells = (delay.p50_ms, delay.p99_ms, one.send.p50_ms)
        crowd = str(one.waiting), str(one.in_room)
        delays.add_row(f"/{one.call}", *crowd, *map(report.cell, cells), f"{delay.samples:,}")
    reads = report.table("rooms of the user", "p50 ms", "p99 ms", "÷ 1 room", "answers")
    incremental = measured.incremental
    for rooms, of, ratio in (
        (1, incremental.in_one_room, ""),
        (incremental.rooms, incremental.in_many_rooms, report.cell(incremental.ratio)),
    ):
        reads.add_row(str(rooms), report.cell(of.p50_ms), report.cell(of.p99_ms), ratio, f"{of.samples:,}")
    return [
        "[bold]sync[/bold]: from a send's 200 to the answer of who waits; below 0 it came before the 200",
        delays,
        "[bold]sync[/bold]: incremental /sync with one new event",
        reads,
        f"{report.log_size(measured.entries_before, measured.log_bytes_before)} at the start",
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Syncs]:
    return Part(
        name="sync",
        steps=1 + plan.repetitions * (len(CALLS) * len(_crowds(plan)) + 1),
        measure=lambda directory, progress: measure(directory, plan, progress),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 0.8,
    waiting: Annotated[int, typer.Option(min=2, max=1000, help="Clients that wait at once.")] = 100,
    rooms: Annotated[int, typer.Option(min=1, help="Of the user who is in many.")] = 100,
) -> None:
    """Measure how soon waiting clients are answered, and incremental syncs."""
    plan = Plan(seed=seed, waiting=waiting, rooms=rooms, repetitions=repetitions, seconds=seconds)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
