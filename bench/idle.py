"""What do those cost who wait and hear nothing? Sends beside 10,000 idle long polls, and without them.

Each poll is a user's own, on a connection of its own; the users are members of rooms in which nobody
speaks. Ordinary senders are measured alone, then beside the polls, in turns; the ratio of their p99 says
how much is lost, the server's heap what a poll takes.

Every poll is an open file at either end. The limit of open files is raised to what the system permits
without privileges; where that is too little, there are fewer polls, and their number is told.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.author import Author, Facts, Room, token_of
from bench.figures import Spread
from bench.histories import Histories, populate
from bench.idle_load import Held, HoldPolls
from bench.load import Sent
from bench.processes import (
    Failed,
    Server,
    allow_open_files,
    at_work,
    memory_of,
    open_files_of,
    places,
    serving,
)
from bench.progress import Progress
from bench.sending import Answering, Load, Senders, serve_options
from bench.session import Data, EventsBefore, Json, Part, Repetitions, Seconds, Seed, run
from bench.workload import SEED
from eventlog.lmdb_file import DATA_FILE
from server.config import log_path

IDLE = 10_000
_USERS_OF_A_ROOM = 100
_FILES_BESIDES = 500
"""That a process needs for anything else."""
_SECONDS_TO_LET_GO = 30.0
_SECONDS_BETWEEN_LOOKS = 0.05


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    idle: int = IDLE
    connections: int = 16
    rooms: int = 16
    events_before: int = 10_000
    repetitions: int = 3
    seconds: float = 1.5
    """For each repetition, with the polls and without."""


class Idles(msgspec.Struct, frozen=True):
    flush_mode: str
    wanted: int
    idle: int
    """As many as could be held."""
    open_files_max: int
    connections: int
    events_before: int
    entries_before: int
    log_bytes_before: int
    alone: Answering
    beside: Answering
    p99_ratio: Spread
    """Of the senders beside the idle to the same alone."""
    heap_bytes_per_poll: float
    """When they come for the first time: what they leave behind is used again."""


class _Turn(NamedTuple):
    alone: Sent
    beside: Sent
    heap_bytes: int
    """By which the server's grew when the polls came."""


class _Idlers:
    """Users who come to a log; empty before `entries` is exhausted."""

    def __init__(self, users: int) -> None:
        self._users = users
        self.tokens: list[str] = []

    def entries(self, author: Author) -> Iterator[Facts]:
        room: Room | None = None
        for number in range(self._users):
            user, facts = author.register(f"idle{number}")
            yield facts
            if room is None or number % _USERS_OF_A_ROOM == 0:
                room, facts = author.create_room(user)
                yield facts
            else:
                yield author.join(room, user)
            self.tokens.append(token_of(user.user_id))


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Idles:
    data = directory / "data"
    progress.step("idle: prepare a log")
    open_files_max = allow_open_files()
    idle = max(1, min(plan.idle, open_files_max - _FILES_BESIDES))
    histories.lend(plan.seed, plan.events_before, data, progress)
    senders, idlers = Senders(plan.connections, plan.rooms), _Idlers(idle)
    uvloop.run(populate(data, plan.seed, senders.entries))
    entries = uvloop.run(populate(data, plan.seed, idlers.entries))
    log_bytes = (log_path(data) / DATA_FILE).stat().st_size
    turns = list(_turns(data, plan, senders, idlers, progress))
    return Idles(
        flush_mode=report.FLUSH_MODE,
        wanted=plan.idle,
        idle=idle,
        open_files_max=open_files_max,
        connections=plan.connections,
        events_before=plan.events_before,
        entries_before=entries,
        log_bytes_before=log_bytes,
        alone=Answering.of([turn.alone for turn in turns]),
        beside=Answering.of([turn.beside for turn in turns]),
        p99_ratio=Spread.of([turn.beside.latencies.p99 / turn.alone.latencies.p99 for turn in turns]),
        heap_bytes_per_poll=turns[0].heap_bytes / idle,
    )


def _turns(data: Path, plan: Plan, senders: Senders, idlers: _Idlers, progress: Progress) -> Iterator[_Turn]:
    where = places()
    with serving("server.cli", *serve_options(data), cores=where.measured) as server:
        load = Load(where, senders.bodies, plan.seconds)
        polls = msgspec.json.encode(HoldPolls(server.host, server.port, idlers.tokens))
        for repetition in range(plan.repetitions):
            progress.step(f"idle: repetition {repetition + 1}")
            alone = load.on(server, senders.in_a_few_rooms)
            heap_bytes, open_files = memory_of(server.pid).heap_bytes, open_files_of(server.pid)
            with at_work("bench.idle_load", polls, cores=where.measuring) as line:
                if msgspec.json.decode(line, type=Held).polls != len(idlers.tokens):
                    raise Failed("not all polls are held")
                heap_bytes = memory_of(server.pid).heap_bytes - heap_bytes
                beside = load.on(server, senders.in_a_few_rooms)
            _until_let_go(server, open_files)
            yield _Turn(alone, beside, heap_bytes)


def _until_let_go(server: Server, open_files: int) -> None:
    """Return when the server has closed the connections of the polls."""
    until = time.monotonic() + _SECONDS_TO_LET_GO
    while open_files_of(server.pid) > open_files:
        if time.monotonic() > until:
            raise Failed("the server does not let go of clients that have gone")
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def told(measured: Idles) -> list[RenderableType]:
    figures = report.table("idle long polls", "sends/s", "p50 ms", "p99 ms", "CPU µs", "p99 ÷ without")
    figures.add_row("0", *measured.alone.cells())
    figures.add_row(f"{measured.idle:,}", *measured.beside.cells(), report.cell(measured.p99_ratio))
    fewer = "" if measured.idle == measured.wanted else f", and not {measured.wanted:,}:"
    return [
        f"[bold]idle[/bold]: {measured.connections} connections send, beside long polls that hear nothing",
        figures,
        f"{measured.idle:,} polls{fewer} {measured.open_files_max:,} open files are permitted to a process",
        f"heap of the server for each poll: {measured.heap_bytes_per_poll / 1e3:,.1f} kB",
        f"{report.log_size(measured.entries_before, measured.log_bytes_before)} at the start",
        "dedup on, all transaction ids different; rate limits off",
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Idles]:
    return Part(
        name="idle",
        steps=1 + plan.repetitions,
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 1.5,
    idle: Annotated[int, typer.Option(min=1, help="Long polls that hear nothing.")] = IDLE,
    connections: Annotated[int, typer.Option(min=1, max=1024, help="That send.")] = 16,
    events_before: EventsBefore = 10_000,
) -> None:
    """Measure sends beside idle long polls."""
    plan = Plan(
        seed=seed,
        idle=idle,
        connections=connections,
        events_before=events_before,
        repetitions=repetitions,
        seconds=seconds,
    )
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
