"""The load generator: reads a plan on stdin, puts the load on a server, prints what it saw on stdout.

A process of its own, so that it neither shares an interpreter with what it measures nor hears its garbage
collector. With what it sent it reports which share of a core it used itself meanwhile: near 100% the figures
are those of the generator, and the report says so. Ours and not a general one: each request needs a
transaction id of its own, and the warm-up, the batches and the CPU time are those of the same moments.

Sending is a closed loop: each connection sends its next request when it has the answer to its last. The
first moments, in which caches and batches fill, are left out. What clients do that read is in
`sync_load.py`, and who sends at a rate of their own, however fast the answers are, in `steady_load.py`.
"""

import asyncio
import gc
import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec
import uvloop

from bench.connection import Connection, Refused, request_bytes
from bench.figures import Latencies
from bench.processes import Cores, answer_of, cpu_seconds
from bench.steady_load import SendSteadily, send_steadily
from bench.sync_load import Ask, CompareReaders, WaitForNews, ask, compare_readers, wait_for_news
from eventlog.lmdb_meta import read_meta


class Sender(msgspec.Struct, frozen=True):
    """Whoever sends on one connection, into these rooms in turn."""

    token: str
    room_ids: list[str]


class SendMessages(msgspec.Struct, frozen=True, tag=True):
    """Send from all of these at once, each on a connection of its own."""

    host: str
    port: int
    server_pid: int | None
    """`None` if it runs elsewhere, and its CPU time is nobody's business."""
    log_file: str | None
    """The server's LMDB file, which tells how many batches it was flushed for; `None`: it has none."""
    senders: list[Sender]
    bodies: list[str]
    run: str
    """Goes into the transaction ids: different for each run against one log."""
    seconds: float
    warm_up_seconds: float
    encrypted: bool = False
    """By TLS."""
    to_host: str = "localhost"
    """What the requests say whom they are for."""


class Sent(msgspec.Struct, frozen=True):
    events: int
    seconds: float
    latencies: Latencies
    server_cpu_seconds: float
    flushes: int
    generator_cpu_share: float


Plan: TypeAlias = SendMessages | SendSteadily | WaitForNews | CompareReaders | Ask
Seen = TypeVar("Seen", bound=msgspec.Struct)

_ROOMS = "/_matrix/client/v3/rooms"

_SECONDS_TO_END = 60
"""Besides those in which it measures: to start, to warm up, to wait for the last answers."""


class _Meters(NamedTuple):
    """Everything that is counted, as of one moment."""

    at: float
    events: int
    server_cpu_seconds: float
    own_cpu_seconds: float
    commits: int


async def send_messages(plan: SendMessages) -> Sent:
    """Raises `Refused`, in a group, as soon as anything is not answered with 200."""
    connections = [
        await Connection.open(plan.host, plan.port, encrypted=plan.encrypted) for _ in plan.senders
    ]
    latencies: list[float] = []
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number, (connection, sender) in enumerate(zip(connections, plan.senders, strict=True)):
            requests = _requests(plan, sender, number)
            group.create_task(_send_until(is_over, connection, requests, latencies))
        await asyncio.sleep(plan.warm_up_seconds)
        begin = _read_meters(plan, latencies)
        end = begin
        while end.events == begin.events:  # once, but if the time is short and the machine has other work
            await asyncio.sleep(plan.seconds)
            end = _read_meters(plan, latencies)
        is_over.set()
    for connection in connections:
        connection.close()
    seconds = end.at - begin.at
    return Sent(
        events=end.events - begin.events,
        seconds=seconds,
        latencies=Latencies.of(latencies[begin.events : end.events]),
        server_cpu_seconds=end.server_cpu_seconds - begin.server_cpu_seconds,
        flushes=end.commits - begin.commits,
        generator_cpu_share=(end.own_cpu_seconds - begin.own_cpu_seconds) / seconds,
    )


async def _send_until(
    is_over: asyncio.Event, connection: Connection, requests: Iterator[bytes], latencies: list[float]
) -> None:
    while not is_over.is_set():
        request = next(requests)
        started = perf_counter()
        answer = await connection.must(request)
        latencies.append(answer.at - started)


def _requests(plan: SendMessages, sender: Sender, number: int) -> Iterator[bytes]:
    """One after the other with a transaction id of its own; only that is put in while the clock runs."""
    before = [f"PUT {_ROOMS}/{quote(room_id, safe='')}/send/m.room.message/" for room_id in sender.room_ids]
    behind = [
        request_bytes("PUT", "\0", sender.token, body.encode(), host=plan.to_host).partition(b"\0")[2]
        for body in plan.bodies
    ]
    # Each sender begins with another body.
    bodies = itertools.islice(itertools.cycle(behind), number % len(behind), None)
    rooms = itertools.cycle([path.encode() for path in before])
    for count, (room, body) in enumerate(zip(rooms, bodies, strict=False)):
        yield b"%b%b.%d.%d%b" % (room, plan.run.encode(), number, count, body)


def _read_meters(plan: SendMessages, latencies: list[float]) -> _Meters:
    return _Meters(
        at=perf_counter(),
        events=len(latencies),
        server_cpu_seconds=0.0 if plan.server_pid is None else cpu_seconds(plan.server_pid),
        own_cpu_seconds=time.process_time(),
        # LMDB counts its write transactions, and the log makes one for each batch.
        commits=0 if plan.log_file is None else read_meta(Path(plan.log_file)).transaction,
    )


def put_load_on_server(plan: Plan, seen: type[Seen], *, cores: Cores) -> Seen:
    """Carry out the plan in a process of its own. Raises `Failed` if the server refused anything."""
    answer = answer_of(
        "bench.load", msgspec.json.encode(plan), cores=cores, seconds_max=plan.seconds + _SECONDS_TO_END
    )
    return msgspec.json.decode(answer, type=seen)


async def carry_out(plan: Plan) -> msgspec.Struct:
    match plan:
        case SendMessages():
            return await send_messages(plan)
        case SendSteadily():
            return await send_steadily(plan)
        case Ask():
            return await ask(plan)
        case WaitForNews():
            return await wait_for_news(plan)
        case CompareReaders():
            return await compare_readers(plan)


if __name__ == "__main__":
    # A collection in the middle would be taken for the server's latency; a run is too short to need one.
    gc.disable()
    wanted: Plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    try:
        sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(carry_out(wanted))))
    except* (Refused, OSError) as refusals:
        sys.exit(f"the load generator gave up: {refusals.exceptions[0]}")
