"""What does a durable send over HTTP cost? The server beside the same server that stores nothing.

    load generator (own process, own core) -> loopback -> `roomlog serve` (own process, own core)
                                                       -> `bench.ceiling`, in turns with it

Many users on keep-alive connections send messages with transaction ids that are all different into a few
rooms; each waits for its answer before it sends again. The server is started as users start it, but for
the rate limits, which are off: they are there to stop just this. The *ceiling* has the same uvicorn
configuration and connection class, and one Starlette route that reads the body and answers a constant.

The ratio of events to requests per second compares the two in time, and has the disk in it. The ratio of
CPU times has not, and is the steadier one when a core is the limit or the machine has other work. With one
connection nothing is shared: `bare.py` sets the median against the ceiling's and one fdatasync of 4 KiB.

The size of batches is counted by LMDB: the log makes one write transaction, and one flush, for each. What
the disk alone would do with such batches is asked afterwards: the same entries, read from the server's
log, are appended to a new one, and to LMDB with nothing around it, so many at a time as the server did.

What each half of a send costs is asked of servers that leave the other half out: see `bare.py`.

Does it matter where they talk? The same users send into one hot room, and into 1,000 rooms in turn.

Where the microseconds of a send go, with 64 connections, of the server's CPU time. At 160cca4, with 1,000,000
events before, as `bare.py` prints it with each run:

    sockets, HTTP, route, who asks, how often, body, answer            33
    gathering a batch, the decision                                    16
    folding into the views, telling who follows                        22
    the log: encoding, a thread, compressing, chaining, one flush      27

They are differences between servers, and the machine moves each by a few. By library, from what perf sampled
of the same load (`perf record -e cpu-clock -F 1999 -p …`): the interpreter 60 %, the kernel 16, LMDB 9, the C
library 5, and 2 each for zstd, OpenSSL's hashes, llhttp, msgspec and uvloop. By py-spy no function of ours
has more than a fifteenth of the event loop's thread.

Before most of it was made faster (46e964e, 10,000 events before, by perf and py-spy):

    event loop and sockets: uvloop, the kernel                         18
    HTTP of a request: llhttp, the connection                          13
    route, who asks, how often, body, transaction                      20
    decide: a repeat? allowed? canonical? its hashes                   24
    fold into the views, hand them to LMDB, commit without a flush     18
    gather a batch, encode it, tell who follows                         9
    write the answer                                                    4
    the log's thread: seal, compress, put, one flush for the batch     19

Since then batches are of all 64, compressing takes less, only a few batches are remembered, an exchange and a
turn are made of less, and answers leave before the views commit.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import append, bare, report
from bench.append import AtBatch, flush_latencies
from bench.bare import Bare
from bench.figures import Latencies, LatencySpread, Spread
from bench.histories import Histories, populate
from bench.load import Sent
from bench.processes import Server, places, serving
from bench.progress import Progress
from bench.sending import Answering, Load, Senders, cpu_us, per_second, serve_options
from bench.session import Data, EventsBefore, Json, Part, Repetitions, Seconds, Seed, run
from bench.workload import SEED
from eventlog.engines import open_log
from eventlog.lmdb_file import DATA_FILE
from server.config import log_path, log_url

CONNECTIONS = (1, 16, 64, 256)
_FLUSH_SECONDS = 0.3
_RAW_SECONDS = 0.3
_RAW_PAYLOADS = 4_096


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    connections: tuple[int, ...] = CONNECTIONS
    rooms: int = 16
    spread_connections: int = 64
    """Those that send into one room, and into many."""
    many_rooms: int = 1_000
    events_before: int = 10_000
    repetitions: int = 3
    seconds: float = 1.5
    """For each repetition at each number of connections, for the server and for the ceiling."""


class AtConnections(msgspec.Struct, frozen=True):
    connections: int
    send: Answering
    batch: Spread
    """Events that shared a flush, on average over a repetition."""
    ceiling: Answering
    ratio: Spread
    """Events per second to the ceiling's requests per second."""
    cpu_ratio: Spread
    """CPU time of the ceiling's requests to that of the events: 1 if storing cost nothing."""
    raw: AtBatch
    """The same entries in batches of the same size, without a server."""
    ratio_to_raw: float
    """Events per second to those of `Log.append` alone, both the median."""

    @property
    def is_bound_by_the_generator(self) -> bool:
        return self.send.is_bound_by_the_generator or self.ceiling.is_bound_by_the_generator


class OneRoomOrMany(msgspec.Struct, frozen=True):
    connections: int
    many_rooms: int
    one: Answering
    many: Answering
    ratio: Spread
    """Events per second into one room to those into many."""


class Sends(msgspec.Struct, frozen=True):
    flush_mode: str
    dedup: str
    rooms: int
    events_before: int
    entries_before: int
    log_bytes_before: int
    log_bytes_after: int
    body_bytes: float
    fdatasync: LatencySpread
    at_connections: list[AtConnections]
    one_room_or_many: OneRoomOrMany
    bare: list[Bare] = []
    """Servers that leave something out, at one connection and at `spread_connections`."""


class _Pair(NamedTuple):
    """One repetition of two runs, one right after the other."""

    first: Sent
    second: Sent


class _Runs(NamedTuple):
    flushes: list[Latencies]
    beside_ceiling: dict[int, list[_Pair]]
    """By the number of connections: the server and the ceiling."""
    one_room_or_many: list[_Pair]


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Sends:
    data = directory / "data"
    log_file = log_path(data) / DATA_FILE
    progress.step("send: prepare a log")
    histories.lend(plan.seed, plan.events_before, data, progress)
    senders = Senders(
        max(plan.connections), plan.rooms, spread=plan.spread_connections, many_rooms=plan.many_rooms
    )
    entries = uvloop.run(populate(data, plan.seed, senders.entries))
    before = log_file.stat().st_size
    runs = _runs(directory, data, plan, senders, progress)
    measured_bare = bare.measure(
        directory / "bare",
        histories,
        progress,
        seed=plan.seed,
        events_before=plan.events_before,
        connections=sorted({1, plan.spread_connections}),
        rooms=plan.rooms,
        repetitions=plan.repetitions,
        seconds=plan.seconds,
    )
    progress.step("send: the same entries without a server")
    payloads = uvloop.run(_last_payloads(data))
    return Sends(
        flush_mode=report.FLUSH_MODE,
        dedup="on, all transaction ids different",
        rooms=plan.rooms,
        events_before=plan.events_before,
        entries_before=entries,
        log_bytes_before=before,
        log_bytes_after=log_file.stat().st_size,
        body_bytes=sum(len(body.encode()) for body in senders.bodies) / len(senders.bodies),
        fdatasync=LatencySpread.of(runs.flushes),
        at_connections=[
            _at_connections(directory / "raw", connections, pairs, payloads, plan)
            for connections, pairs in runs.beside_ceiling.items()
        ],
        one_room_or_many=_one_room_or_many(plan, runs.one_room_or_many),
        bare=measured_bare,
    )


def _runs(directory: Path, data: Path, plan: Plan, senders: Senders, progress: Progress) -> _Runs:
    where = places()
    log_file = log_path(data) / DATA_FILE
    runs = _Runs([], {connections: [] for connections in plan.connections}, [])
    load = Load(where, senders.bodies, plan.seconds)
    with ExitStack() as stack:
        server = stack.enter_context(serving("server.cli", *serve_options(data), cores=where.measured))
        ceiling = stack.enter_context(serving("bench.ceiling", cores=where.measured))
        for repetition in range(plan.repetitions):
            # In turns, so that neither is always the one that comes first.
            is_turned = repetition % 2 == 1
            runs.flushes.append(flush_latencies(directory, min(plan.seconds, _FLUSH_SECONDS)))
            for connections, pairs in runs.beside_ceiling.items():
                progress.step(f"send: {connections} connections, repetition {repetition + 1}")
                pairs.append(
                    _beside_ceiling(load, server, ceiling, senders, connections, log_file, is_turned)
                )
            progress.step(f"send: one room or many, repetition {repetition + 1}")
            runs.one_room_or_many.append(_in_one_and_many(load, server, senders, is_turned))
    return runs


def _beside_ceiling(
    load: Load,
    server: Server,
    ceiling: Server,
    senders: Senders,
    connections: int,
    log_file: Path,
    is_turned: bool,
) -> _Pair:
    who = senders.in_a_few_rooms[:connections]
    if is_turned:
        of_ceiling = load.on(ceiling, who)
        return _Pair(load.on(server, who, log_file), of_ceiling)
    of_server = load.on(server, who, log_file)
    return _Pair(of_server, load.on(ceiling, who))


def _in_one_and_many(load: Load, server: Server, senders: Senders, is_turned: bool) -> _Pair:
    if is_turned:
        many = load.on(server, senders.in_many_rooms)
        return _Pair(load.on(server, senders.in_one_room), many)
    one = load.on(server, senders.in_one_room)
    return _Pair(one, load.on(server, senders.in_many_rooms))


async def _last_payloads(data: Path) -> list[bytes]:
    """What the server appended last; it must have been ended."""
    async with open_log(log_url(data)) as log:
        after = max(0, await log.head() - _RAW_PAYLOADS)
        return [entry.payload async for entry in log.read(after=after)]


def _at_connections(
    raw_path: Path, connections: int, pairs: Sequence[_Pair], payloads: list[bytes], plan: Plan
) -> AtConnections:
    sends, ceilings = [pair.first for pair in pairs], [pair.second for pair in pairs]
    batch = Spread.of([sent.events / max(1, sent.flushes) for sent in sends])
    send = Answering.of(sends)
    raw, _ = append.at_batch(
        raw_path,
        max(1, round(batch.median)),
        payloads,
        repetitions=plan.repetitions,
        seconds=min(plan.seconds, _RAW_SECONDS),
    )
    return AtConnections(
        connections=connections,
        send=send,
        batch=batch,
        ceiling=Answering.of(ceilings),
        ratio=Spread.of([per_second(pair.first) / per_second(pair.second) for pair in pairs]),
        cpu_ratio=Spread.of([cpu_us(pair.second) / cpu_us(pair.first) for pair in pairs]),
        raw=raw,
        ratio_to_raw=send.per_second.median / raw.log.entries_per_second.median,
    )


def _one_room_or_many(plan: Plan, pairs: Sequence[_Pair]) -> OneRoomOrMany:
    return OneRoomOrMany(
        connections=plan.spread_connections,
        many_rooms=plan.many_rooms,
        one=Answering.of([pair.first for pair in pairs]),
        many=Answering.of([pair.second for pair in pairs]),
        ratio=Spread.of([per_second(pair.first) / per_second(pair.second) for pair in pairs]),
    )


def told(measured: Sends) -> list[RenderableType]:
    figures = report.table("connections", "per second", "p50 ms", "p99 ms", "CPU µs", "batch")
    ratios = report.table(
        "connections", "send ÷ ceiling", "by CPU time", "generator: send", "generator: ceiling"
    )
    raw = report.table("batch", "Log.append entries/s", "LMDB alone entries/s", "send ÷ Log.append")
    for at in measured.at_connections:
        figures.add_row(f"{at.connections} send", *at.send.cells(), report.cell(at.batch))
        figures.add_row(f"{at.connections} ceiling", *at.ceiling.cells())
        ratios.add_row(
            str(at.connections),
            report.cell(at.ratio),
            report.cell(at.cpu_ratio),
            report.percent_cell(at.send.generator_cpu_share),
            report.percent_cell(at.ceiling.generator_cpu_share),
        )
        appends = at.raw.log.entries_per_second, at.raw.lmdb.entries_per_second
        raw.add_row(str(at.raw.batch), *map(report.cell, appends), report.number(at.ratio_to_raw))
    return [
        "[bold]send[/bold]: PUT …/send over HTTP, and the ceiling: the same server without storing anything",
        figures,
        ratios,
        "[bold]send[/bold]: the same entries in batches of the same size, without a server",
        raw,
        *_told_rooms(measured.one_room_or_many),
        *bare.told(measured.bare),
        *_remarks(measured),
        f"flush: {measured.flush_mode}",
    ]


def _told_rooms(measured: OneRoomOrMany) -> Iterator[RenderableType]:
    figures = report.table("rooms", "per second", "p50 ms", "p99 ms", "CPU µs", "one ÷ many")
    figures.add_row("1", *measured.one.cells(), report.cell(measured.ratio))
    figures.add_row(f"{measured.many_rooms:,}", *measured.many.cells())
    yield f"[bold]send[/bold]: {measured.connections} connections into one hot room, and spread over many"
    yield figures


def _remarks(measured: Sends) -> Iterator[str]:
    yield "generator: the share of its core that the load generator, bench.load, needed"
    bound = [str(at.connections) for at in measured.at_connections if at.is_bound_by_the_generator]
    if bound:
        yield f"at {', '.join(bound)} connections the generator was the limit, and not the server"
    yield f"fdatasync of 4 KiB: p50 {report.inline(measured.fdatasync.p50_ms)} ms"
    size_before = report.log_size(measured.entries_before, measured.log_bytes_before)
    size_after = f"{measured.log_bytes_after / 1e6:,.1f} MB at the end"
    bodies = f"bodies of {measured.body_bytes:,.0f} bytes on average"
    yield f"{size_before} at the start, {size_after}; {measured.rooms} rooms; {bodies}"
    yield f"dedup {measured.dedup}; rate limits off"


def part(plan: Plan) -> Part[Sends]:
    return Part(
        name="send",
        steps=3 + plan.repetitions * (len(plan.connections) + 1),
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 1.5,
    connections: Annotated[
        list[int],
        typer.Option(min=1, max=1024, help="May be given several times; 1, 16, 64, 256 unless set."),
    ] = list(CONNECTIONS),  # noqa: B006 - typer copies it
    rooms: Annotated[int, typer.Option(min=1, help="Over which the connections are spread.")] = 16,
    many_rooms: Annotated[int, typer.Option(min=1, help="Beside one hot room.")] = 1_000,
    events_before: EventsBefore = 10_000,
) -> None:
    """Measure sends over HTTP beside a server that stores nothing."""
    plan = Plan(
        seed=seed,
        connections=tuple(connections),
        rooms=rooms,
        many_rooms=many_rooms,
        events_before=events_before,
        repetitions=repetitions,
        seconds=seconds,
    )
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
