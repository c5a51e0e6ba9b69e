"""What of a send costs what? The same requests to servers that leave something out, beside the ceiling.

What is *answered* went through HTTP, the route, the token and the body, and nothing was decided or kept.
What is *decided* was in a batch besides, and all rules were asked; what was decided is dropped. What is
*unlogged* is folded into the views and told to those who follow, and nothing is flushed. Between that and
*everything* is the log. All in turns, so that what one does more than another is where the microseconds go.

What is *appended* puts a prepared entry into the log for each request, compressed, chained and flushed in
batches, and that is all: nothing is looked up, decided, hashed or folded.

What does the *least* does what nobody can leave out who gives the promises of this server: it looks the
transaction up, writes the event's canonical JSON, hashes it twice, appends it, and puts the four rows into
the views by which event, room and transaction are found again. It asks for no membership, no power level, no
limit and no form of a content, and knows but one kind of event. A server written as this one is, on the same
libraries and with the same history, can come near it and not past it.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import uvloop
from rich.console import RenderableType

from bench import report
from bench.append import flush_latencies
from bench.bare_server import LEFT
from bench.figures import Latencies, Spread
from bench.histories import Histories, populate
from bench.load import Sent
from bench.processes import Server, places, serving
from bench.progress import Progress
from bench.sending import SLICES, Answering, Load, Senders, cpu_us, per_second, serve_options

_STAGES = {
    "answered": "sockets, HTTP, route, who asks, how often, body, answer",
    "decided": "gathering a batch, the decision",
    "unlogged": "folding into the views, telling who follows",
    "everything": "the log: encoding, a thread, compressing, chaining, one flush for the batch",
}
"""In the order of a send; what each server does, the next one does as well."""
_FLUSH_SECONDS = 0.3


class Bare(msgspec.Struct, frozen=True):
    left: str
    """What is still done; one of `LEFT`."""
    connections: int
    send: Answering
    ratio: Spread
    """Requests per second to those of the ceiling."""
    cpu_ratio: Spread
    """CPU time of the ceiling's requests to that of these."""
    p50_to_floor: Spread
    """p50 to the sum of the p50 of fdatasync and that of the ceiling; it says something of one connection."""


def measure(
    directory: Path,
    histories: Histories,
    progress: Progress,
    *,
    seed: int,
    events_before: int,
    connections: Sequence[int],
    rooms: int,
    repetitions: int,
    seconds: float,
) -> list[Bare]:
    """Reports one step."""
    progress.step("send: with something left out")
    where = places()
    senders: dict[str, Senders] = {}
    with ExitStack() as stack:
        servers = {"ceiling": stack.enter_context(serving("bench.ceiling", cores=where.measured))}
        for left in LEFT:
            data = directory / left
            histories.lend(seed, events_before, data, progress)
            senders[left] = Senders(max(connections), rooms)
            uvloop.run(populate(data, seed, senders[left].entries))
            servers[left] = serve(stack, left, data)
        senders["ceiling"] = senders[LEFT[0]]
        load = Load(where, senders["ceiling"].bodies, seconds / SLICES)
        found: list[Bare] = []
        for number in connections:
            runs: dict[str, list[Sent]] = {name: [] for name in servers}
            flushes: list[Latencies] = []
            for _ in range(repetitions * SLICES):
                flushes.append(flush_latencies(directory, min(seconds, _FLUSH_SECONDS) / SLICES))
                for name, server in servers.items():
                    runs[name].append(load.on(server, senders[name].in_a_few_rooms[:number]))
            found += (_bare(left, number, runs[left], runs["ceiling"], flushes) for left in LEFT)
    return found


def serve(stack: ExitStack, left: str, data: Path) -> Server:
    """Of `LEFT`; it is killed when the stack is closed."""
    options = serve_options(data)
    return stack.enter_context(serving("bench.bare_server", left, *options, cores=places().measured))


def _bare(
    left: str, connections: int, runs: Sequence[Sent], ceilings: Sequence[Sent], flushes: Sequence[Latencies]
) -> Bare:
    pairs = list(zip(runs, ceilings, strict=True))
    return Bare(
        left=left,
        connections=connections,
        send=Answering.of(runs),
        ratio=Spread.of([per_second(sent) / per_second(ceiling) for sent, ceiling in pairs]),
        cpu_ratio=Spread.of([cpu_us(ceiling) / cpu_us(sent) for sent, ceiling in pairs]),
        p50_to_floor=Spread.of(
            [
                sent.latencies.p50 / (flush.p50 + ceiling.latencies.p50)
                for (sent, ceiling), flush in zip(pairs, flushes, strict=True)
            ]
        ),
    )


def told(measured: Sequence[Bare]) -> list[RenderableType]:
    figures = report.table(
        "only", "per second", "p50 ms", "p99 ms", "CPU µs", "÷ ceiling", "by CPU time", "p50 ÷ floor"
    )
    for bare in measured:
        ratios = map(report.cell, (bare.ratio, bare.cpu_ratio, bare.p50_to_floor))
        figures.add_row(f"{bare.connections} {bare.left}", *bare.send.cells(), *ratios)
    return ["[bold]send[/bold]: to servers that leave something out", figures, *_told_microseconds(measured)]


def _told_microseconds(measured: Sequence[Bare]) -> Iterator[RenderableType]:
    """What each stage of a send adds, by the medians of CPU time."""
    stages = report.table("stage", *(f"{number} connections" for number in _connections(measured)))
    cpu = {(bare.left, bare.connections): bare.send.cpu_us.median for bare in measured}
    before = dict.fromkeys(_connections(measured), 0.0)
    for left, stage in _STAGES.items():
        until = {number: cpu[left, number] for number in before}
        stages.add_row(stage, *(report.number(until[number] - before[number]) for number in before))
        before = until
    stages.add_row("all", *map(report.number, before.values()))
    yield "[bold]send[/bold]: what each stage adds, CPU µs of the server"
    yield stages


def _connections(measured: Sequence[Bare]) -> list[int]:
    return sorted({bare.connections for bare in measured})
