"""What does a durable entry cost? `Log.append` beside LMDB with nothing around it.

The floor puts the same payloads into an LMDB environment with the same settings of the flush, in batches
of the same size, one after the other from one thread. What the log adds is its promises: a digest and a
link of the chain for each entry, the look whether there is room on the disk, and a thread, so that an
event loop can go on while the disk works. They take turns, batch by batch, so that all meet the same
disk; what else keeps it busy at the moment moves the figures by half, the ratio by much less.

Between the two stands what cannot be left out, *bare*: LMDB alone once more, on a thread of its own, with
each payload hashed and compressed, and as many bytes hashed besides as a header has. Waking that thread and
being woken by it, and the libraries in C that hash and compress, take their time from everybody.

Also here: how long the disk needs to make 4 KiB durable, because that is what a batch of one waits for
(LMDB waits twice: once for the pages, once for the meta page).
"""

import itertools
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import lmdb
import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.figures import Latencies, LatencySpread, Spread
from bench.progress import Progress
from bench.session import Data, Json, Part, Repetitions, Seconds, Seed, run
from bench.workload import SEED, entries_of
from eventlog.compression import Compression
from eventlog.engines import open_log
from eventlog.envelope import HEADER
from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_log import MAP_BYTES
from eventlog.log import Log
from eventlog.store_thread import StoreThread
from projections.dictionary import entry_dictionary
from projections.facts import encode_entry

BATCHES = (1, 16, 64, 256, 1024)
_PAYLOADS = 4_096
"""Different ones; after the last the first comes again."""
_PAGE_BYTES = 4_096


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    batches: tuple[int, ...] = BATCHES
    repetitions: int = 3
    seconds: float = 0.6
    """For each repetition of each batch size, the log and its floor together."""


class Appending(msgspec.Struct, frozen=True):
    entries_per_second: Spread
    batch: LatencySpread


class AtBatch(msgspec.Struct, frozen=True):
    batch: int
    log: Appending
    lmdb: Appending
    ratio: Spread
    """Entries per second of the log to those of LMDB alone."""
    bare_ratio: Spread | None = None
    """Those of LMDB on a thread, with hashed and compressed payloads, to those of LMDB alone."""


class Appends(msgspec.Struct, frozen=True):
    flush_mode: str
    payload_bytes: float
    """On average."""
    entries: int
    """In the largest log at the end; each begins empty."""
    log_bytes: int
    fdatasync: LatencySpread
    at_batches: list[AtBatch]


class _Turns(NamedTuple):
    """One repetition: the seconds that each batch took, the same batches on both sides."""

    of_log: list[float]
    of_lmdb: list[float]
    of_bare: list[float]


class _Size(NamedTuple):
    """Of a log."""

    entries: int
    size: int


def measure(directory: Path, plan: Plan, progress: Progress) -> Appends:
    payloads = list(itertools.islice(map(encode_entry, entries_of(plan.seed, 2 * _PAYLOADS)), _PAYLOADS))
    progress.step("append: fdatasync of 4 KiB")
    flushes = [flush_latencies(directory, plan.seconds / 2) for _ in range(plan.repetitions)]
    at_batches: list[AtBatch] = []
    largest = _Size(0, 0)
    for batch in plan.batches:
        progress.step(f"append: batches of {batch}")
        path = directory / f"append-{batch}"
        of_batch, size = at_batch(path, batch, payloads, repetitions=plan.repetitions, seconds=plan.seconds)
        at_batches.append(of_batch)
        largest = max(largest, size)
    return Appends(
        flush_mode=report.FLUSH_MODE,
        payload_bytes=sum(map(len, payloads)) / len(payloads),
        entries=largest.entries,
        log_bytes=largest.size,
        fdatasync=LatencySpread.of(flushes),
        at_batches=at_batches,
    )


def at_batch(
    path: Path, batch: int, payloads: Sequence[bytes], *, repetitions: int, seconds: float
) -> tuple[AtBatch, _Size]:
    """Append these payloads, again and again, in batches of that size; nothing of it is left in `path`."""
    runs, size = uvloop.run(_appended(path, _batches(payloads, batch), repetitions, seconds))
    shutil.rmtree(path)
    found = AtBatch(
        batch=batch,
        log=_appending(batch, [one.of_log for one in runs]),
        lmdb=_appending(batch, [one.of_lmdb for one in runs]),
        ratio=Spread.of([sum(one.of_lmdb) / sum(one.of_log) for one in runs]),
        bare_ratio=Spread.of([sum(one.of_lmdb) / sum(one.of_bare) for one in runs]),
    )
    return found, size


async def _appended(
    path: Path, batches: Iterator[list[bytes]], repetitions: int, seconds: float
) -> tuple[list[_Turns], _Size]:
    async with open_log(f"lmdb:{path / 'log'}", dictionary=entry_dictionary()) as log:
        thread = StoreThread("bare")
        with _open_floor(path / "floor") as floor, _open_floor(path / "bare") as bare:
            put_bare = partial(_put_bare, thread, bare, Compression(entry_dictionary()))
            runs = [await _take_turns(log, floor, put_bare, batches, seconds) for _ in range(repetitions)]
        thread.end()
        return runs, _Size(await log.head(), (path / "log" / DATA_FILE).stat().st_size)


async def _take_turns(
    log: Log,
    floor: lmdb.Environment,
    put_bare: Callable[[Sequence[bytes]], Awaitable[None]],
    batches: Iterator[list[bytes]],
    seconds: float,
) -> _Turns:
    turns = _Turns([], [], [])
    head = await log.head()
    until = perf_counter() + seconds
    while perf_counter() < until or not turns.of_log:
        entries = next(batches)
        started = perf_counter()
        head = await log.append(entries, after=head)
        appended = perf_counter()
        _put(floor, entries)
        put = perf_counter()
        await put_bare(entries)
        turns.of_log.append(appended - started)
        turns.of_lmdb.append(put - appended)
        turns.of_bare.append(perf_counter() - put)
    return turns


def _put_bare(
    thread: StoreThread, bare: lmdb.Environment, compression: Compression, entries: Sequence[bytes]
) -> Awaitable[None]:
    return thread.call(lambda: _put(bare, [_sealed(payload, compression) for payload in entries]))


def _sealed(payload: bytes, compression: Compression) -> bytes:
    """As many hashes, and as many bytes, as an entry needs that is stored; only that it means nothing."""
    digest = sha256(payload).digest()
    header = digest + sha256(payload[: HEADER.size]).digest()
    return header[: HEADER.size] + compression.compress(payload)


def _put(environment: lmdb.Environment, entries: Sequence[bytes]) -> None:
    with environment.begin(write=True) as transaction:
        before = transaction.stat()["entries"]
        for position, payload in enumerate(entries, before + 1):
            transaction.put(position.to_bytes(8), payload, append=True)


def flush_latencies(directory: Path, seconds: float) -> Latencies:
    """How long the disk takes to make a page behind the end of a file durable."""
    file = directory / "fdatasync"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    taken: list[float] = []
    page = os.urandom(_PAGE_BYTES)
    try:
        until = perf_counter() + seconds
        while perf_counter() < until or not taken:
            started = perf_counter()
            os.write(descriptor, page)
            os.fdatasync(descriptor)
            taken.append(perf_counter() - started)
    finally:
        os.close(descriptor)
        file.unlink()
    return Latencies.of(taken)


def _open_floor(path: Path) -> lmdb.Environment:
    path.mkdir(parents=True)
    return lmdb.open(str(path), map_size=MAP_BYTES, sync=True, metasync=True, lib_version=0)


def _batches(payloads: Sequence[bytes], batch: int) -> Iterator[list[bytes]]:
    again = itertools.cycle(payloads)
    while True:
        yield list(itertools.islice(again, batch))


def _appending(batch: int, runs: Sequence[Sequence[float]]) -> Appending:
    return Appending(
        Spread.of([batch * len(seconds) / sum(seconds) for seconds in runs]),
        LatencySpread.of([Latencies.of(seconds) for seconds in runs]),
    )


def told(measured: Appends) -> list[RenderableType]:
    figures = report.table("batch", "entries/s", "p50 ms", "p99 ms", "log ÷ LMDB", "bare ÷ LMDB")
    for at in measured.at_batches:
        bare = () if at.bare_ratio is None else (report.cell(at.bare_ratio),)
        figures.add_row(f"{at.batch} log", *_cells(at.log), report.cell(at.ratio), *bare)
        figures.add_row(f"{at.batch} LMDB", *_cells(at.lmdb))
    disk = measured.fdatasync
    p50, p99 = report.number(disk.p50_ms.median), report.number(disk.p99_ms.median)
    size = report.log_size(measured.entries, measured.log_bytes)
    return [
        "[bold]append[/bold]: Log.append, LMDB alone with the same payloads, and bare: hashed and compressed",
        figures,
        f"payloads of {measured.payload_bytes:,.0f} bytes on average; logs begin empty, the largest: {size}",
        f"fdatasync of 4 KiB: p50 {p50} ms, p99 {p99} ms, {disk.samples:,} samples",
        f"flush: {measured.flush_mode}",
    ]


def _cells(of: Appending) -> tuple[str, str, str]:
    return (
        report.cell(of.entries_per_second),
        report.cell(of.batch.p50_ms),
        report.cell(of.batch.p99_ms),
    )


def part(plan: Plan) -> Part[Appends]:
    return Part(
        name="append",
        steps=1 + len(plan.batches),
        measure=lambda directory, progress, histories: measure(directory, plan, progress),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    seconds: Seconds = 0.6,
) -> None:
    """Measure `Log.append` beside LMDB alone."""
    plan = Plan(seed=seed, repetitions=repetitions, seconds=seconds)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
