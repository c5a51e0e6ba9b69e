"""How long after a send's 200 does who waits get the event? And what does it cost to sync?

*Waiting*: clients hold a long poll, /sync or the older /events, each a user on a connection of its own. An
event is sent; measured is the time from the moment in which its sender has the 200 until a waiting client
has its answer, event included. Negative means that the client knew before the sender did, which is why the
sender's own time stands beside it. With one client it is the latency; with 100 in the room the last of them
also waits for 99 answers to be made, one after the other; with 100 of whom 99 are elsewhere it should be as
with one.

*Steady*: 1,000 events a second go into 100 rooms in turn, by the clock, while 100 clients wait, each in a
room of its own or all in one of the rooms: 1,000 answers a second either way.

*Initial*: the first /sync of accounts in 1, 100 and 1,000 rooms. *Incremental*: the same users are all in
the room of each new event; they ask what is new. The ratio says whether the cost grows with what changed
or with the rooms that there are.

Delays are taken in the load generator's process, by one clock. Server and generator are on cores of their
own where there are two.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.figures import LatencySpread, Spread
from bench.histories import Histories, populate
from bench.processes import Memory, memory_of, places, serving
from bench.progress import Progress
from bench.reading import Readers, ReadLoad
from bench.sending import serve_options
from bench.session import Data, EventsBefore, Json, Part, Repetitions, Seconds, Seed, run
from bench.steady_load import SentSteadily
from bench.sync_load import Asked, Compared, Waited
from bench.workload import SEED
from eventlog.lmdb_file import DATA_FILE
from server.config import log_path

Call = Literal["sync", "events"]
CALLS: tuple[Call, ...] = ("sync", "events")
WAITING = (1, 100, 1_000)
ROOMS = (1, 100, 1_000)


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    waiting: tuple[int, ...] = WAITING
    rooms: tuple[int, ...] = ROOMS
    """Of the accounts that sync; the first is what the others are compared with."""
    steady_waiting: int = 100
    per_second: float = 1_000
    events_before: int = 10_000
    repetitions: int = 3
    seconds: float = 0.8
    """For each repetition of each figure."""


class Waiting(msgspec.Struct, frozen=True):
    call: Call
    waiting: int
    in_room: int
    """How many of them an event concerns."""
    after_200: LatencySpread
    """Until the waiting clients have their answers, each of them a sample."""
    send: LatencySpread
    """Until the sender has its 200, from its request on: who waits may also keep the sender waiting."""


class Steady(msgspec.Struct, frozen=True):
    call: Call
    waiting: int
    rooms_of_the_waiting: int
    """One for each, or one for all."""
    wanted_per_second: float
    per_second: Spread
    after_200: LatencySpread
    send: LatencySpread
    lost: int
    """Answers that had not come seconds after the last event; 0 unless the server is overwhelmed."""


class Account(msgspec.Struct, frozen=True):
    rooms: int
    initial: LatencySpread
    initial_bytes: int
    incremental: LatencySpread
    ratio: Spread
    """Median of an incremental sync to that of the first account."""


class Syncs(msgspec.Struct, frozen=True):
    flush_mode: str
    events_before: int
    entries_before: int
    log_bytes_before: int
    waiting: list[Waiting]
    steady: list[Steady]
    accounts: list[Account]
    memory_before: Memory
    """Of the server, when it was ready."""
    memory_after: Memory


class _Crowd(NamedTuple):
    waiting: int
    in_room: int


class _Runs(NamedTuple):
    waited: dict[tuple[Call, _Crowd], list[Waited]]
    steady: dict[tuple[Call, int], list[SentSteadily]]
    asked: list[Asked]
    compared: list[Compared]
    memory: list[Memory]


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Syncs:
    data = directory / "data"
    progress.step("sync: prepare a log")
    histories.lend(plan.seed, plan.events_before, data, progress)
    readers = Readers(max(*plan.waiting, plan.steady_waiting), plan.steady_waiting, plan.rooms)
    entries = uvloop.run(populate(data, plan.seed, readers.entries))
    log_bytes = (log_path(data) / DATA_FILE).stat().st_size
    runs = _runs(data, plan, readers, progress)
    return Syncs(
        flush_mode=report.FLUSH_MODE,
        events_before=plan.events_before,
        entries_before=entries,
        log_bytes_before=log_bytes,
        waiting=[_waiting(call, crowd, of) for (call, crowd), of in runs.waited.items()],
        steady=[_steady(plan, call, rooms, of) for (call, rooms), of in runs.steady.items()],
        accounts=_accounts(plan, runs),
        memory_before=runs.memory[0],
        memory_after=runs.memory[-1],
    )


def _runs(data: Path, plan: Plan, readers: Readers, progress: Progress) -> _Runs:
    where = places()
    runs = _Runs(
        {(call, crowd): [] for call in CALLS for crowd in _crowds(plan)},
        {(call, rooms): [] for call in CALLS for rooms in (plan.steady_waiting, 1)},
        [],
        [],
        [],
    )
    with serving("server.cli", *serve_options(data), cores=where.measured) as server:
        load = ReadLoad(server, where, readers, plan.seconds)
        runs.memory.append(memory_of(server.pid))
        for repetition in range(plan.repetitions):
            for (call, crowd), waited in runs.waited.items():
                progress.step(f"sync: {crowd.waiting} in /{call}, repetition {repetition + 1}")
                waited.append(load.wait_for_news(call, crowd.waiting, crowd.in_room))
            for (call, rooms), steady in runs.steady.items():
                progress.step(f"sync: steady, /{call}, repetition {repetition + 1}")
                steady.append(
                    load.send_steadily(call, plan.steady_waiting, plan.per_second, in_one_room=rooms == 1)
                )
            progress.step(f"sync: accounts, repetition {repetition + 1}")
            runs.asked.append(load.sync_at_first())
            runs.compared.append(load.compare_accounts())
        runs.memory.append(memory_of(server.pid))
    return runs


def _crowds(plan: Plan) -> list[_Crowd]:
    """Of each size: those who wait for something else but for one, and those who wait for the same."""
    return [_Crowd(waiting, in_room) for waiting in plan.waiting for in_room in sorted({1, waiting})]


def _waiting(call: Call, crowd: _Crowd, of: Sequence[Waited]) -> Waiting:
    return Waiting(
        call=call,
        waiting=crowd.waiting,
        in_room=crowd.in_room,
        after_200=LatencySpread.of([one.after_200 for one in of]),
        send=LatencySpread.of([one.send for one in of]),
    )


def _steady(plan: Plan, call: Call, rooms: int, of: Sequence[SentSteadily]) -> Steady:
    return Steady(
        call=call,
        waiting=plan.steady_waiting,
        rooms_of_the_waiting=rooms,
        wanted_per_second=plan.per_second,
        per_second=Spread.of([one.per_second for one in of]),
        after_200=LatencySpread.of([one.after_200 for one in of]),
        send=LatencySpread.of([one.send for one in of]),
        lost=sum(one.lost for one in of),
    )


def _accounts(plan: Plan, runs: _Runs) -> list[Account]:
    return [
        Account(
            rooms=rooms,
            initial=LatencySpread.of([one.latencies[index] for one in runs.asked]),
            initial_bytes=runs.asked[-1].answer_bytes[index],
            incremental=LatencySpread.of([one.readers[index] for one in runs.compared]),
            ratio=Spread.of([one.readers[index].p50 / one.readers[0].p50 for one in runs.compared]),
        )
        for index, rooms in enumerate(plan.rooms)
    ]


def told(measured: Syncs) -> list[RenderableType]:
    delays = report.table("call", "waiting", "in the room", "p50 ms", "p99 ms", "send p50 ms", "answers")
    for one in measured.waiting:
        cells = one.after_200.p50_ms, one.after_200.p99_ms, one.send.p50_ms
        crowd = str(one.waiting), str(one.in_room)
        delays.add_row(f"/{one.call}", *crowd, *map(report.cell, cells), f"{one.after_200.samples:,}")
    return [
        "[bold]sync[/bold]: from a send's 200 to the answer of who waits; below 0 it came before the 200",
        delays,
        *_told_steady(measured.steady),
        *_told_accounts(measured.accounts),
        f"{report.log_size(measured.entries_before, measured.log_bytes_before)} at the start",
        f"memory at the start: {report.memory_size(measured.memory_before)}",
        f"memory at the end: {report.memory_size(measured.memory_after)}",
        "dedup on, all transaction ids different; rate limits off",
        f"flush: {measured.flush_mode}",
    ]


def _told_steady(measured: Sequence[Steady]) -> Iterator[RenderableType]:
    first = measured[0]
    yield (
        f"[bold]sync[/bold]: the same with {first.waiting} waiting, at {first.wanted_per_second:,.0f} sends/s"
    )
    figures = report.table("call", "rooms", "sends/s", "p50 ms", "p99 ms", "send p99 ms", "lost")
    for one in measured:
        cells = one.per_second, one.after_200.p50_ms, one.after_200.p99_ms, one.send.p99_ms
        figures.add_row(
            f"/{one.call}", str(one.rooms_of_the_waiting), *map(report.cell, cells), str(one.lost)
        )
    yield figures


def _told_accounts(measured: Sequence[Account]) -> Iterator[RenderableType]:
    figures = report.table(
        "rooms of the account", "initial p50 ms", "initial kB", "new event p50 ms", "p99 ms", "÷ the first"
    )
    for one in measured:
        incremental = one.incremental.p50_ms, one.incremental.p99_ms, one.ratio
        figures.add_row(
            f"{one.rooms:,}",
            report.cell(one.initial.p50_ms),
            report.number(one.initial_bytes / 1e3),
            *map(report.cell, incremental),
        )
    yield "[bold]sync[/bold]: initial /sync, and incremental /sync with one new event"
    yield figures


def part(plan: Plan) -> Part[Syncs]:
    return Part(
        name="sync",
        steps=1 + plan.repetitions * (len(CALLS) * (len(_crowds(plan)) + 2) + 1),
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 0.8,
    waiting: Annotated[
        list[int], typer.Option(min=1, max=5_000, help="Clients that wait at once; several times for more.")
    ] = list(WAITING),  # noqa: B006 - typer copies it
    rooms: Annotated[
        list[int], typer.Option(min=1, max=10_000, help="Of an account; several times for more accounts.")
    ] = list(ROOMS),  # noqa: B006
    per_second: Annotated[float, typer.Option(min=1, help="Sends, while 100 wait.")] = 1_000,
    events_before: EventsBefore = 10_000,
) -> None:
    """Measure how soon waiting clients are answered, and what initial and incremental syncs take."""
    plan = Plan(
        seed=seed,
        waiting=tuple(waiting),
        rooms=tuple(rooms),
        per_second=per_second,
        events_before=events_before,
        repetitions=repetitions,
        seconds=seconds,
    )
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
