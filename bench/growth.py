"""What becomes of it all when the log gets long? The same questions to servers with more behind them.

One server for each length of the log, all at once on the same core, asked in turns: who is not asked
costs nothing, and all meet the same machine. Asked are a send at 64 connections beside the ceiling, a
long poll, an incremental /sync, and the state of a room.

Sends get slower with what is behind them, because rows are put into tables that are longer. How much of that
nobody can leave out is asked of a server that does the *least* (`bare.py`), with a copy of the same log and
views. All servers are sent to one right after the other, before anything else is asked.

*Bytes on disk* are those of a log and views that were generated and folded, after a clean close: blocks
of the file system, not lengths, since the file under open views is as long as its map and mostly a hole.
The entries of that log are as long as stands beside the figures. *Heap* is anonymous memory; mapped pages
of LMDB are the system's cache and stand apart.

*Ready* is from the start of the process, interpreter and imports included, to the line with the address:
after a clean stop (restart), without views (rebuild), and with views that a crash of the machine left, which
come back to their restore point, or are thrown away if they have none (recovery). For the last two the log is
dropped from the page cache first, as a crash would do. Nothing was sent since the point: what was, is folded
as fast as in a rebuild.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import bare, report
from bench.crash import crash, restore_point, wait_for_restore_point
from bench.figures import LatencySpread, Spread
from bench.histories import Histories, allocated_bytes, flush, populate
from bench.load import Sent
from bench.processes import Memory, Server, memory_of, places, serving
from bench.progress import Progress
from bench.reading import Readers, ReadLoad
from bench.sending import SLICES, Answering, Load, Senders, per_second, serve_options
from bench.session import Data, Json, Part, Repetitions, Seconds, Seed, run
from bench.sync_load import Asked, Compared, Waited
from bench.workload import EVENTS_MIN, SEED
from eventlog.engines import open_log
from server.config import log_path, log_url, views_path

EVENTS = (10_000, 100_000)
EVENTS_MAX = 10_000_000
_ROOMS = 16
_ROUNDS = 2 * SLICES
"""Of sends, in a repetition: the differences looked for are smaller than those of the machine to itself."""
_MEMBERS = 100
"""Of the room whose state is read."""
_BYTES_AT_ONCE = 1 << 24


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    events: tuple[int, ...] = EVENTS
    connections: int = 64
    members: int = _MEMBERS
    repetitions: int = 3
    seconds: float = 1.5
    """For each repetition of each figure at each length."""


class Ready(msgspec.Struct, frozen=True):
    """Seconds; each was taken once."""

    restart: float
    rebuild: float
    recovery: float
    """Without a restore point."""
    recovery_from_point: float | None = None


class AtLength(msgspec.Struct, frozen=True):
    events: int
    entries: int
    entry_bytes: float
    """On average, without the log's envelope."""
    log_bytes: int
    views_bytes: int
    ready: Ready
    send: Answering
    ratio: Spread
    """Sends per second to the ceiling's requests per second."""
    ratio_to_shortest: Spread
    """Sends per second to those with the shortest log."""
    waiting: LatencySpread
    """From a send's 200 to the answer of the one who waits."""
    incremental: LatencySpread
    state: LatencySpread
    """All state of a room."""
    state_bytes: int
    state_event: LatencySpread
    memory_before: Memory
    memory_after: Memory
    least: Answering | None = None
    """Of the server that does the least."""
    least_ratio_to_shortest: Spread | None = None

    @property
    def bytes_per_event(self) -> float:
        return (self.log_bytes + self.views_bytes) / self.events


class Growths(msgspec.Struct, frozen=True):
    flush_mode: str
    connections: int
    members: int
    at_lengths: list[AtLength]


class _Stored(NamedTuple):
    """What a history takes on disk, when nobody is using it."""

    entries: int
    payload_bytes: int
    log_bytes: int
    views_bytes: int


class _Sends(NamedTuple):
    """One round at one length."""

    sent: Sent
    least: Sent
    ceiling: Sent


class _Reads(NamedTuple):
    """One repetition at one length."""

    waited: Waited
    compared: Compared
    state: Asked


class _Subject(NamedTuple):
    """A server with a log of one length, and those who come to it."""

    server: Server
    least: Server
    stored: _Stored
    ready: Ready
    memory: Memory
    senders: Senders
    load: Load
    reads: ReadLoad


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Growths:
    where = places()
    sends: dict[int, list[_Sends]] = {events: [] for events in sorted(plan.events)}
    reads: dict[int, list[_Reads]] = {events: [] for events in sends}
    with ExitStack() as stack:
        subjects = {
            events: _subject(stack, directory / str(events), plan, events, progress, histories)
            for events in sends
        }
        ceiling = stack.enter_context(serving("bench.ceiling", cores=where.measured))
        for repetition in range(plan.repetitions):
            progress.step(f"growth: sends, repetition {repetition + 1}")
            for _ in range(_ROUNDS):
                for events, sent in _round(subjects, ceiling):
                    sends[events].append(sent)
            progress.step(f"growth: reads, repetition {repetition + 1}")
            for events, read in reads.items():
                read.append(_reads(subjects[events].reads))
        return Growths(
            flush_mode=report.FLUSH_MODE,
            connections=plan.connections,
            members=plan.members,
            at_lengths=[
                _at_length(events, subjects[events], sent, sends[min(sends)], reads[events])
                for events, sent in sends.items()
            ],
        )


def _subject(
    stack: ExitStack, data: Path, plan: Plan, events: int, progress: Progress, histories: Histories
) -> _Subject:
    progress.step(f"growth: prepare {events:,} events")
    histories.lend(plan.seed, events, data, progress)
    stored = uvloop.run(_stored(data))
    senders = Senders(plan.connections, _ROOMS)
    readers = Readers(plan.members, 1, [1])
    uvloop.run(populate(data, plan.seed, senders.entries))
    uvloop.run(populate(data, plan.seed, readers.entries))
    least = data.with_name(f"{events}-least")
    shutil.copytree(data, least)
    flush(least)
    progress.step(f"growth: start with {events:,} events")
    ready, server = _started(stack, data)
    flush(data)
    _look_through(views_path(least))
    where = places()
    return _Subject(
        server=server,
        least=bare.serve(stack, "least", least),
        stored=stored,
        ready=ready,
        memory=memory_of(server.pid),
        senders=senders,
        load=Load(where, senders.bodies, plan.seconds / SLICES),
        reads=ReadLoad(server, where, readers, plan.seconds / 3),
    )


async def _stored(data: Path) -> _Stored:
    log_bytes, views_bytes = allocated_bytes(log_path(data)), allocated_bytes(views_path(data))
    async with open_log(log_url(data), read_only=True) as log:
        payload_bytes = 0
        async for entry in log.read():
            payload_bytes += len(entry.payload)
        return _Stored(await log.head(), payload_bytes, log_bytes, views_bytes)


def _started(stack: ExitStack, data: Path) -> tuple[Ready, Server]:
    """Start it in all four ways; the last server is the one that stays."""
    options, cores = serve_options(data), places().measured
    shutil.rmtree(views_path(data))
    with serving("server.cli", *options, cores=cores, asked_to_stop=True) as rebuilt:
        pass
    with serving("server.cli", *options, cores=cores) as restarted:
        wait_for_restore_point(data)
    crash(data)
    with serving("server.cli", *options, cores=cores) as restored:
        wait_for_restore_point(data)
    crash(data)
    restore_point(data).unlink()
    recovered = stack.enter_context(serving("server.cli", *options, cores=cores))
    return Ready(
        restart=restarted.seconds_to_ready,
        rebuild=rebuilt.seconds_to_ready,
        recovery=recovered.seconds_to_ready,
        recovery_from_point=restored.seconds_to_ready,
    ), recovered


def _look_through(directory: Path) -> None:
    """So that it is in the page cache as what the other server has just made."""
    for path in directory.iterdir():
        with path.open("rb", buffering=0) as file:
            while file.read(_BYTES_AT_ONCE):
                pass


def _round(subjects: Mapping[int, _Subject], ceiling: Server) -> Iterator[tuple[int, _Sends]]:
    """All lengths one right after the other, then the least at all lengths; one ceiling is for all."""
    sent = {events: _sent(subject, subject.server) for events, subject in subjects.items()}
    least = {events: _sent(subject, subject.least) for events, subject in subjects.items()}
    of_ceiling = _sent(subjects[min(subjects)], ceiling)
    for events in subjects:
        yield events, _Sends(sent[events], least[events], of_ceiling)


def _sent(subject: _Subject, server: Server) -> Sent:
    return subject.load.on(server, subject.senders.in_a_few_rooms)


def _reads(load: ReadLoad) -> _Reads:
    return _Reads(
        waited=load.wait_for_news("sync", 1, 1),
        compared=load.compare_accounts(),
        state=load.read_state(),
    )


def _at_length(
    events: int, subject: _Subject, sends: list[_Sends], shortest: list[_Sends], reads: list[_Reads]
) -> AtLength:
    stored = subject.stored
    pairs = list(zip(sends, shortest, strict=True))
    return AtLength(
        events=events,
        entries=stored.entries,
        entry_bytes=stored.payload_bytes / stored.entries,
        log_bytes=stored.log_bytes,
        views_bytes=stored.views_bytes,
        ready=subject.ready,
        send=Answering.of([one.sent for one in sends]),
        ratio=Spread.of([per_second(one.sent) / per_second(one.ceiling) for one in sends]),
        ratio_to_shortest=Spread.of([per_second(one.sent) / per_second(short.sent) for one, short in pairs]),
        least=Answering.of([one.least for one in sends]),
        least_ratio_to_shortest=Spread.of(
            [per_second(one.least) / per_second(short.least) for one, short in pairs]
        ),
        waiting=LatencySpread.of([one.waited.after_200 for one in reads]),
        incremental=LatencySpread.of([one.compared.readers[0] for one in reads]),
        state=LatencySpread.of([one.state.latencies[0] for one in reads]),
        state_bytes=reads[-1].state.answer_bytes[0],
        state_event=LatencySpread.of([one.state.latencies[1] for one in reads]),
        memory_before=subject.memory,
        memory_after=memory_of(subject.server.pid),
    )


def told(measured: Growths) -> list[RenderableType]:
    sends = report.table("events", "sends/s", "p50 ms", "p99 ms", "CPU µs", "÷ ceiling", "÷ shortest")
    least = report.table("events", "sends/s", "p50 ms", "p99 ms", "CPU µs", "÷ shortest")
    reads = report.table(
        "events", "waiting p99 ms", "new event p50 ms", "state p50 ms", "its kB", "topic p50 ms"
    )
    storage = report.table("events", "log B/event", "views B/event", "heap MB", "before", "mapped MB")
    ready = report.table("events", "restart s", "rebuild s", "recovery s", "from a restore point s")
    for at in measured.at_lengths:
        name = f"{at.events:,}"
        sends.add_row(name, *at.send.cells(), *map(report.cell, (at.ratio, at.ratio_to_shortest)))
        if at.least is not None and at.least_ratio_to_shortest is not None:
            least.add_row(name, *at.least.cells(), report.cell(at.least_ratio_to_shortest))
        reads.add_row(
            name,
            report.cell(at.waiting.p99_ms),
            report.cell(at.incremental.p50_ms),
            report.cell(at.state.p50_ms),
            report.number(at.state_bytes / 1e3),
            report.cell(at.state_event.p50_ms),
        )
        stored = (
            at.log_bytes / at.events,
            at.views_bytes / at.events,
            at.memory_after.heap_bytes / 1e6,
            at.memory_before.heap_bytes / 1e6,
            at.memory_after.mapped_bytes / 1e6,
        )
        storage.add_row(name, *map(report.number, stored))
        starts = at.ready.restart, at.ready.rebuild, at.ready.recovery, at.ready.recovery_from_point
        ready.add_row(name, *(report.number(start) for start in starts if start is not None))
    longest = measured.at_lengths[-1]
    return [
        f"[bold]growth[/bold]: {measured.connections} connections, by the events already in the log",
        sends,
        "[bold]growth[/bold]: the same to a server that does the least that has to be done",
        least,
        f"[bold]growth[/bold]: reading; the room has {measured.members} members",
        reads,
        "[bold]growth[/bold]: on disk at rest, and memory after the load and when it was ready",
        storage,
        "[bold]growth[/bold]: from the start of the process until it answers",
        ready,
        f"{report.log_size(longest.entries, longest.log_bytes)}; entries of {longest.entry_bytes:,.0f} bytes",
        "dedup on, all transaction ids different; rate limits off",
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Growths]:
    return Part(
        name="growth",
        steps=2 * (len(plan.events) + plan.repetitions),
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 1.5,
    events: Annotated[
        list[int],
        typer.Option(min=EVENTS_MIN, max=EVENTS_MAX, help="Length of a log; may be given several times."),
    ] = list(EVENTS),  # noqa: B006 - typer copies it
) -> None:
    """Measure sends, reads, storage, memory and starts by the length of the log."""
    plan = Plan(seed=seed, events=tuple(events), repetitions=repetitions, seconds=seconds)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
