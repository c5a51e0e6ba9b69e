"""What does an event cost that is folded into all views? The fold beside reading the same log for nothing.

The log is generated from the seed: accounts, rooms, members, state, messages, reactions, redactions in the
proportions of `workload.py`. It is folded into fresh views, by the code that `roomlog rebuild` and a start
without views use. The *floor* reads the same entries, verifies digests and chain as reading always does,
and decodes facts and events, which every fold has to; then it drops them.

The views' digest is over every row of every table. For one seed and one number of events it is the same on
every machine; two machines that differ have found a bug, and so have two repetitions, which is an error.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.figures import Spread
from bench.processes import pinned, places
from bench.progress import Progress
from bench.session import Data, Json, Part, Repetitions, Seed, run
from bench.workload import EVENTS_MIN, SEED, entries_of, write_log
from eventlog.engines import open_log
from eventlog.lmdb_file import DATA_FILE
from eventlog.log import Log
from projections.facts import RoomEvent, decode_entry
from projections.follower import catch_up, open_views
from server.config import log_url, views_path

EVENTS = 50_000
EVENTS_MAX = 1_000_000


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    events: int = EVENTS
    repetitions: int = 3


class Rebuilds(msgspec.Struct, frozen=True):
    flush_mode: str
    events: int
    entries: int
    log_bytes: int
    views_bytes: int
    views_digest: str
    fold_events_per_second: Spread
    fold_seconds: Spread
    scan_events_per_second: Spread
    ratio: Spread
    """Events per second of the fold to those of the scan."""


class DifferentDigests(Exception):
    """The same log was folded into different views."""


class _Run(NamedTuple):
    """One repetition."""

    fold_seconds: float
    scan_seconds: float
    digest: str
    views_bytes: int


def measure(directory: Path, plan: Plan, progress: Progress) -> Rebuilds:
    # One core, as on a server that has others for something else; the log's thread is on it too.
    with pinned(places().measured):
        return uvloop.run(_measure(directory, plan, progress))


async def _measure(directory: Path, plan: Plan, progress: Progress) -> Rebuilds:
    progress.step(f"rebuild: generate {plan.events:,} events")
    async with open_log(log_url(directory)) as log:
        entries = entries_of(plan.seed, plan.events)
        await write_log(log, entries, lambda position: progress.within(position, plan.events))
        runs: list[_Run] = []
        for repetition in range(plan.repetitions):
            progress.step(f"rebuild: repetition {repetition + 1}")
            runs.append(await _fold_and_scan(log, views_path(directory), progress))
        return _rebuilds(plan, runs, await log.head(), (directory / "log" / DATA_FILE).stat().st_size)


async def _fold_and_scan(log: Log, path: Path, progress: Progress) -> _Run:
    views = open_views(path, identity=log.identity)
    try:
        started = perf_counter()
        await catch_up(log, views, progress.within)
        folded = perf_counter()
        await _scan(log)
        scanned = perf_counter()
        return _Run(
            folded - started, scanned - folded, views.digest(), (path / "data.mdb").stat().st_blocks * 512
        )
    finally:
        views.abandon()
        shutil.rmtree(path)


async def _scan(log: Log) -> None:
    async for entry in log.read():
        for fact in decode_entry(entry.payload):
            if isinstance(fact, RoomEvent):
                _ = fact.event  # decoded when it is first asked for


def _rebuilds(plan: Plan, runs: Sequence[_Run], entries: int, log_bytes: int) -> Rebuilds:
    digests = {one.digest for one in runs}
    if len(digests) > 1:
        raise DifferentDigests(f"one log, folded {len(runs)} times, made views with {sorted(digests)}")
    return Rebuilds(
        flush_mode=report.VIEWS_FLUSH_MODE,
        events=plan.events,
        entries=entries,
        log_bytes=log_bytes,
        views_bytes=runs[0].views_bytes,
        views_digest=digests.pop(),
        fold_events_per_second=Spread.of([plan.events / one.fold_seconds for one in runs]),
        fold_seconds=Spread.of([one.fold_seconds for one in runs]),
        scan_events_per_second=Spread.of([plan.events / one.scan_seconds for one in runs]),
        ratio=Spread.of([one.scan_seconds / one.fold_seconds for one in runs]),
    )


def told(measured: Rebuilds) -> list[RenderableType]:
    figures = report.table("events", "fold events/s", "seconds", "scan events/s", "fold ÷ scan")
    figures.add_row(
        f"{measured.events:,}",
        report.cell(measured.fold_events_per_second),
        report.cell(measured.fold_seconds),
        report.cell(measured.scan_events_per_second),
        report.cell(measured.ratio),
    )
    size = report.log_size(measured.entries, measured.log_bytes)
    return [
        "[bold]rebuild[/bold]: all views from the log, and only reading it; one core",
        figures,
        f"{size}; views {measured.views_bytes / 1e6:,.1f} MB",
        f"digest of the views {measured.views_digest}",
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Rebuilds]:
    return Part(
        name="rebuild",
        steps=1 + plan.repetitions,
        measure=lambda directory, progress: measure(directory, plan, progress),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    events: Annotated[
        int, typer.Option(min=EVENTS_MIN, max=EVENTS_MAX, help="Room events in the generated log.")
    ] = EVENTS,
) -> None:
    """Measure a rebuild of all views beside a scan of the log."""
    plan = Plan(seed=seed, events=events, repetitions=repetitions)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
