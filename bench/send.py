"""What does a durable send over HTTP cost? The server beside the same server that stores nothing.

    load generator (own process, own core) -> loopback -> `roomlog serve` (own process, own core)
                                                       -> `bench.ceiling`, in turns with it

Many users on keep-alive connections send messages with transaction ids that are all different into a few
rooms; each waits for its answer before it sends again. The server is started as users start it, but for
the rate limits, which are off: they are there to stop just this. The *ceiling* has the same uvicorn
configuration and connection class, and one Starlette route that reads the body and answers a constant.

The ratio of events to requests per second compares the two in time, and has the disk in it. The ratio of
CPU times has not, and is the steadier one when a core is the limit or the machine has other work. With one
connection nothing is shared: the median is set against the ceiling's median and one fdatasync of 4 KiB.

The size of batches is counted by LMDB: the log makes one write transaction, and one flush, for each.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.append import flush_latencies
from bench.author import Author, Facts, Room, authoring, token_of
from bench.figures import Latencies, LatencySpread, Spread
from bench.load import Sender, SendMessages, Sent, put_load_on_server
from bench.processes import Places, Server, places, serving
from bench.progress import Progress
from bench.session import Data, Json, Part, Repetitions, Seconds, Seed, run
from bench.workload import SEED, life_of_a_server, message, write_log
from eventlog.engines import open_log
from eventlog.lmdb_file import DATA_FILE
from server.config import log_url

CONNECTIONS = (1, 16, 64)
_BODIES = 256
_FLUSH_SECONDS = 0.3
_BOUND_BY_THE_GENERATOR = 0.9
"""Above this share of a core the load generator may be what limits."""


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    connections: tuple[int, ...] = CONNECTIONS
    rooms: int = 16
    events_before: int = 10_000
    repetitions: int = 3
    seconds: float = 1.5
    """For each repetition at each number of connections, for the server and for the ceiling."""


class Answering(msgspec.Struct, frozen=True):
    """How a server did."""

    per_second: Spread
    latency: LatencySpread
    cpu_us: Spread
    """Of the server's process, for each request."""
    generator_cpu_share: Spread


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

    @property
    def is_bound_by_the_generator(self) -> bool:
        shares = (self.send.generator_cpu_share.maximum, self.ceiling.generator_cpu_share.maximum)
        return max(shares) >= _BOUND_BY_THE_GENERATOR


class Sends(msgspec.Struct, frozen=True):
    flush_mode: str
    dedup: str
    rooms: int
    entries_before: int
    log_bytes_before: int
    log_bytes_after: int
    body_bytes: float
    fdatasync: LatencySpread
    at_connections: list[AtConnections]
    p50_to_floor: Spread | None
    """With one connection: p50 to the sum of the p50 of fdatasync and that of the ceiling."""


class _Pair(msgspec.Struct, frozen=True):
    """One repetition: the server, and right before or after it the ceiling."""

    send: Sent
    ceiling: Sent


def measure(directory: Path, plan: Plan, progress: Progress) -> Sends:
    data, where = directory / "data", places()
    progress.step("send: prepare a log")
    senders, bodies, entries = uvloop.run(_prepare(data, plan))
    log_file = data / "log" / DATA_FILE
    before = log_file.stat().st_size
    options = ("serve", "--port", "0", "--data", str(data), "--rate-limits", "off")
    with (
        serving("server.cli", *options, cores=where.measured) as server,
        serving("bench.ceiling", cores=where.measured) as ceiling,
    ):
        load = _Load(plan, where, senders, bodies, log_file)
        flushes: list[Latencies] = []
        pairs: dict[int, list[_Pair]] = {connections: [] for connections in plan.connections}
        for repetition in range(plan.repetitions):
            flushes.append(flush_latencies(directory, min(plan.seconds, _FLUSH_SECONDS)))
            for connections in plan.connections:
                progress.step(f"send: {connections} connections, repetition {repetition + 1}")
                # In turns, so that neither is always the one that comes first.
                pairs[connections].append(
                    load.on_both(server, ceiling, connections, ceiling_first=repetition % 2 == 1)
                )
    return Sends(
        flush_mode=report.FLUSH_MODE,
        dedup="on, all transaction ids different",
        rooms=plan.rooms,
        entries_before=entries,
        log_bytes_before=before,
        log_bytes_after=log_file.stat().st_size,
        body_bytes=sum(len(body.encode()) for body in bodies) / len(bodies),
        fdatasync=LatencySpread.of(flushes),
        at_connections=[_at_connections(connections, of) for connections, of in pairs.items()],
        p50_to_floor=_p50_to_floor(pairs[1], flushes) if 1 in pairs else None,
    )


async def _prepare(data: Path, plan: Plan) -> tuple[list[Sender], list[str], int]:
    """Write the log that the server finds. Returns who may send, what they send, and the log's length."""
    senders: list[Sender] = []
    with authoring(plan.seed) as author:
        async with open_log(log_url(data)) as log:
            await write_log(log, _entries(author, plan, senders))
            entries = await log.head()
        bodies = [msgspec.json.encode(message(author)).decode() for _ in range(_BODIES)]
    return senders, bodies, entries


def _entries(author: Author, plan: Plan, senders: list[Sender]) -> Iterator[Facts]:
    """Some history, and then one user for each connection, evenly over the rooms; fills `senders`."""
    yield author.name_server()
    yield from life_of_a_server(author, plan.events_before)
    rooms: list[Room] = []
    for number in range(max(plan.connections)):
        user, facts = author.register(f"sender{number}")
        yield facts
        if number < plan.rooms:
            room, facts = author.create_room(user)
            rooms.append(room)
            yield facts
        else:
            room = rooms[number % plan.rooms]
            yield author.join(room, user)
        senders.append(Sender(token_of(user.user_id), room.room_id))


class _Load:
    """The load on either server, with transaction ids that were never used before."""

    def __init__(
        self, plan: Plan, where: Places, senders: list[Sender], bodies: list[str], log_file: Path
    ) -> None:
        self._plan = plan
        self._where = where
        self._senders = senders
        self._bodies = bodies
        self._log_file = log_file
        self._runs = 0

    def on_both(self, server: Server, ceiling: Server, connections: int, *, ceiling_first: bool) -> _Pair:
        if ceiling_first:
            of_ceiling = self._on(ceiling, connections, None)
            return _Pair(self._on(server, connections, str(self._log_file)), of_ceiling)
        of_server = self._on(server, connections, str(self._log_file))
        return _Pair(of_server, self._on(ceiling, connections, None))

    def _on(self, server: Server, connections: int, log_file: str | None) -> Sent:
        self._runs += 1
        wanted = SendMessages(
            host=server.host,
            port=server.port,
            server_pid=server.pid,
            log_file=log_file,
            senders=self._senders[:connections],
            bodies=self._bodies,
            run=f"run{self._runs}",
            seconds=self._plan.seconds,
            warm_up_seconds=self._plan.seconds / 5,
        )
        return put_load_on_server(wanted, Sent, cores=self._where.measuring)


def _at_connections(connections: int, pairs: Sequence[_Pair]) -> AtConnections:
    sends, ceilings = [pair.send for pair in pairs], [pair.ceiling for pair in pairs]
    return AtConnections(
        connections=connections,
        send=_answering(sends),
        batch=Spread.of([sent.events / max(1, sent.flushes) for sent in sends]),
        ceiling=_answering(ceilings),
        ratio=Spread.of([_per_second(pair.send) / _per_second(pair.ceiling) for pair in pairs]),
        cpu_ratio=Spread.of([_cpu_us(pair.ceiling) / _cpu_us(pair.send) for pair in pairs]),
    )


def _answering(runs: Sequence[Sent]) -> Answering:
    return Answering(
        per_second=Spread.of([_per_second(sent) for sent in runs]),
        latency=LatencySpread.of([sent.latencies for sent in runs]),
        cpu_us=Spread.of([_cpu_us(sent) for sent in runs]),
        generator_cpu_share=Spread.of([sent.generator_cpu_share for sent in runs]),
    )


def _per_second(sent: Sent) -> float:
    return sent.events / sent.seconds


def _cpu_us(sent: Sent) -> float:
    return sent.server_cpu_seconds / sent.events * 1e6


def _p50_to_floor(pairs: Sequence[_Pair], flushes: Sequence[Latencies]) -> Spread:
    return Spread.of(
        [
            pair.send.latencies.p50 / (flush.p50 + pair.ceiling.latencies.p50)
            for pair, flush in zip(pairs, flushes, strict=True)
        ]
    )


def told(measured: Sends) -> list[RenderableType]:
    figures = report.table("connections", "per second", "p50 ms", "p99 ms", "batch", "CPU µs")
    ratios = report.table(
        "connections", "send ÷ ceiling", "by CPU time", "generator: send", "generator: ceiling"
    )
    for at in measured.at_connections:
        figures.add_row(f"{at.connections} send", *_cells(at.send, report.cell(at.batch)))
        figures.add_row(f"{at.connections} ceiling", *_cells(at.ceiling, ""))
        ratios.add_row(
            str(at.connections),
            report.cell(at.ratio),
            report.cell(at.cpu_ratio),
            report.percent_cell(at.send.generator_cpu_share),
            report.percent_cell(at.ceiling.generator_cpu_share),
        )
    return [
        "[bold]send[/bold]: PUT …/send over HTTP, and the ceiling: the same server without storing anything",
        figures,
        ratios,
        *_remarks(measured),
        f"flush: {measured.flush_mode}",
    ]


def _cells(of: Answering, batch: str) -> tuple[str, ...]:
    latency = of.latency
    return (
        report.cell(of.per_second),
        report.cell(latency.p50_ms),
        report.cell(latency.p99_ms),
        batch,
        report.cell(of.cpu_us),
    )


def _remarks(measured: Sends) -> Iterator[str]:
    yield "generator: the load generator's share of its core"
    bound = [str(at.connections) for at in measured.at_connections if at.is_bound_by_the_generator]
    if bound:
        yield f"at {', '.join(bound)} connections the generator was the limit, and not the server"
    if measured.p50_to_floor is not None:
        ratio, fdatasync = measured.p50_to_floor, measured.fdatasync.p50_ms.median
        yield (
            f"1 connection: p50 ÷ (p50 of fdatasync, {report.number(fdatasync)} ms, + p50 of the ceiling) = "
            f"{ratio.median:.2f} ({ratio.minimum:.2f}–{ratio.maximum:.2f})"
        )
    size_before = report.log_size(measured.entries_before, measured.log_bytes_before)
    size_after = f"{measured.log_bytes_after / 1e6:,.1f} MB at the end"
    bodies = f"bodies of {measured.body_bytes:,.0f} bytes on average"
    yield f"{size_before} at the start, {size_after}; {measured.rooms} rooms; {bodies}"
    yield f"dedup {measured.dedup}; rate limits off"


def part(plan: Plan) -> Part[Sends]:
    return Part(
        name="send",
        steps=1 + plan.repetitions * len(plan.connections),
        measure=lambda directory, progress: measure(directory, plan, progress),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 1.5,
    connections: Annotated[
        list[int], typer.Option(min=1, max=1024, help="May be given several times; 1, 16 and 64 unless set.")
    ] = list(CONNECTIONS),  # noqa: B006 - typer copies it
    rooms: Annotated[int, typer.Option(min=1, help="Over which the connections are spread.")] = 16,
    events_before: Annotated[int, typer.Option(min=20, help="Already in the log when it begins.")] = 10_000,
) -> None:
    """Measure sends over HTTP beside a server that stores nothing."""
    plan = Plan(
        seed=seed,
        connections=tuple(connections),
        rooms=rooms,
        events_before=events_before,
        repetitions=repetitions,
        seconds=seconds,
    )
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
