"""What does an event cost that is folded into all views? The fold beside reading the same log for nothing.

The log is generated from the seed: accounts, rooms, members, state, messages, reactions, redactions in the
proportions of `workload.py`. It is folded into fresh views, by the code that `roomlog rebuild` and a start
without views use. The *floor* reads the same entries, verifies digests and chain as reading always does,
and decodes facts and events, which every fold has to; then it drops them. What the views hold in the end is
put once more, into LMDB with nothing around it: each table's rows encoded, sorted, and put in as many
portions as the fold commits, each portion spread over the whole table, as keys made of digests are. Reading
and that together, with nothing between them, bound what a fold into these tables can reach.

How fast `roomlog check` walks the same logs is asked as well: all entries verified by processes of their own,
their start included, on as many cores as there are.

Logs of different lengths are folded in turns, the shortest before and after the others: what an event costs
in the longest, to what it costs in the shortest, says whether it gets dearer with all that was before.

The views' digest is over every row of every table. For one seed and one number of events it is the same on
every machine; two machines that differ have found a bug, and so have two repetitions, which is an error.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import lmdb
import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.figures import Spread
from bench.histories import Histories, allocated_bytes
from bench.processes import pinned, places
from bench.progress import Progress
from bench.session import Data, Json, Part, Repetitions, Seed, run
from bench.workload import EVENTS_MIN, SEED
from eventlog.check import inspect
from eventlog.engines import open_log
from eventlog.log import Log
from eventlog.verifying import Finding
from projections.facts import RoomEvent, decode_entry
from projections.follower import BYTES_PER_UPDATE, catch_up, open_views
from projections.registry import PROJECTIONS
from projections.tables import Key, Table
from server.config import log_path, log_url

EVENTS = (10_000, 100_000)
EVENTS_MAX = 10_000_000
_TABLES_MAX = 128
_TURNS_AROUND = 2
"""Of the shortest log, before the others and after them."""


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    events: tuple[int, ...] = EVENTS
    """The lengths of the logs."""
    repetitions: int = 3


class Rebuild(msgspec.Struct, frozen=True):
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
    bound_events_per_second: Spread | None = None
    """Of the scan, and of putting the rows of the views after it."""
    check_entries_per_second: Spread | None = None
    """Of a walk over the whole log, by as many processes as that takes."""


class Rebuilds(msgspec.Struct, frozen=True):
    flush_mode: str
    of_logs: list[Rebuild]
    """From the shortest to the longest."""
    growth: Spread
    """Seconds for an event of the longest log to those for one of the shortest."""


class DifferentDigests(Exception):
    """The same log was folded into different views."""


class _Run(NamedTuple):
    """One repetition."""

    fold_seconds: float
    scan_seconds: float
    put_seconds: float
    """For the rows alone, in portions."""
    digest: str
    views_bytes: int
    entries: int


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Rebuilds:
    data: dict[int, Path] = {}
    for events in sorted(plan.events):
        progress.step(f"rebuild: generate {events:,} events")
        data[events] = histories.log(plan.seed, events, progress)
    runs: dict[int, list[_Run]] = {events: [] for events in data}
    # One core, as on a server that has others for something else; the log's thread is on it too.
    with pinned(places().measured):
        for repetition in range(plan.repetitions):
            for events in _turns(plan.events):
                progress.step(f"rebuild: {events:,} events, repetition {repetition + 1}")
                runs[events].append(uvloop.run(_fold_and_scan(data[events], directory / "views", progress)))
    checks: dict[int, list[float]] = {events: [] for events in data}
    for repetition in range(plan.repetitions):
        for events, seconds in checks.items():
            progress.step(f"rebuild: check of {events:,} events, repetition {repetition + 1}")
            seconds.append(_check(data[events]))
    return Rebuilds(
        flush_mode=report.VIEWS_FLUSH_MODE,
        of_logs=[_rebuild(events, data[events], of_log, checks[events]) for events, of_log in runs.items()],
        growth=_growth(runs, plan.repetitions),
    )


def _turns(lengths: Sequence[int]) -> list[int]:
    """One repetition: the shortest log around the others, as a machine changes its speed meanwhile."""
    shortest, *others = sorted(lengths)
    around = [shortest] * _TURNS_AROUND if others else []
    return [*around, *(others or [shortest]), *around]


def _growth(runs: Mapping[int, Sequence[_Run]], repetitions: int) -> Spread:
    """Of each repetition: the longest log to the shortest around it."""
    shortest, longest = min(runs), max(runs)
    turns = len(runs[shortest]) // repetitions
    found = []
    for repetition, of_longest in enumerate(runs[longest][:repetitions]):
        around = runs[shortest][repetition * turns : (repetition + 1) * turns]
        seconds = sum(one.fold_seconds for one in around) / len(around)
        found.append((of_longest.fold_seconds / longest) / (seconds / shortest))
    return Spread.of(found)


async def _fold_and_scan(data: Path, path: Path, progress: Progress) -> _Run:
    async with open_log(log_url(data)) as log:
        return await _fold_and_scan_log(log, path, progress)


async def _fold_and_scan_log(log: Log, path: Path, progress: Progress) -> _Run:
    views = open_views(path, log)
    try:
        head = await log.head()
        started = perf_counter()
        await catch_up(log, views, progress.within)
        folded = perf_counter()
        payload_bytes = await _scan(log)
        scanned = perf_counter()
        digest = views.digest()
        views.abandon()
        portions = -(-payload_bytes // BYTES_PER_UPDATE)
        put_seconds = sum(_put_in_portions(path, path.with_name("in-portions"), portions))
        return _Run(folded - started, scanned - folded, put_seconds, digest, allocated_bytes(path), head)
    finally:
        views.abandon()
        shutil.rmtree(path)


async def _scan(log: Log) -> int:
    """How many bytes of payload there are."""
    payload_bytes = 0
    async for entry in log.read():
        payload_bytes += len(entry.payload)
        for fact in decode_entry(entry.payload):
            if isinstance(fact, RoomEvent):
                _ = fact.event  # decoded when it is first asked for
    return payload_bytes


def _put_in_portions(views: Path, path: Path, portions: int) -> Iterator[float]:
    """The seconds that it takes to put what is in the views, for each table."""
    size = (views / "data.mdb").stat().st_size
    tables = [table for projection in PROJECTIONS for table in projection.tables]
    with (
        lmdb.open(str(views), readonly=True, max_dbs=_TABLES_MAX) as source,
        lmdb.open(str(path), map_size=2 * size, max_dbs=_TABLES_MAX, sync=False, writemap=True) as target,
    ):
        for table in tables:
            name = table.name.encode()
            known, filled = source.open_db(name, create=False), target.open_db(name)
            with source.begin() as reading:
                rows = [(at, table.decode(data)) for at, data in reading.cursor(known)]
            yield sum(_put(target, filled, table, dict(rows[first::portions])) for first in range(portions))
    shutil.rmtree(path)


def _put(target: lmdb.Environment, filled: Any, table: Table[Any], rows: Mapping[Key, Any]) -> float:
    started = perf_counter()
    encoded = [(at, table.encode(rows[at])) for at in sorted(rows)]
    with target.begin(write=True) as transaction, transaction.cursor(filled) as cursor:
        cursor.putmulti(encoded)
    return perf_counter() - started


class DamagedLog(Exception):
    """A log that was just written is not whole."""


def _check(data: Path) -> float:
    """How many seconds a walk takes."""
    started = perf_counter()
    for reported in inspect(log_path(data)):
        if isinstance(reported, Finding):
            raise DamagedLog(reported.what)
    return perf_counter() - started


def _rebuild(events: int, data: Path, runs: Sequence[_Run], checks: Sequence[float]) -> Rebuild:
    digests = {one.digest for one in runs}
    if len(digests) > 1:
        raise DifferentDigests(f"one log, folded {len(runs)} times, made views with {sorted(digests)}")
    return Rebuild(
        events=events,
        entries=runs[0].entries,
        log_bytes=allocated_bytes(log_path(data)),
        views_bytes=runs[0].views_bytes,
        views_digest=digests.pop(),
        fold_events_per_second=Spread.of([events / one.fold_seconds for one in runs]),
        fold_seconds=Spread.of([one.fold_seconds for one in runs]),
        scan_events_per_second=Spread.of([events / one.scan_seconds for one in runs]),
        ratio=Spread.of([one.scan_seconds / one.fold_seconds for one in runs]),
        bound_events_per_second=Spread.of([events / (one.scan_seconds + one.put_seconds) for one in runs]),
        check_entries_per_second=Spread.of([runs[0].entries / seconds for seconds in checks]),
    )


def told(measured: Rebuilds) -> list[RenderableType]:
    figures = report.table("events", "fold/s", "scan/s", "fold ÷ scan", "scan and put/s", "check/s")
    for one in measured.of_logs:
        cells = [one.fold_events_per_second, one.scan_events_per_second, one.ratio]
        cells += filter(None, (one.bound_events_per_second, one.check_entries_per_second))
        figures.add_row(f"{one.events:,}", *map(report.cell, cells))
    return [
        "[bold]rebuild[/bold]: all views from the log, and only reading it; one core",
        figures,
        f"an event of the longest log ÷ one of the shortest = {report.inline(measured.growth)}",
        *(
            f"{report.log_size(one.entries, one.log_bytes)}; views {one.views_bytes / 1e6:,.1f} MB, "
            f"digest {one.views_digest}"
            for one in measured.of_logs
        ),
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Rebuilds]:
    return Part(
        name="rebuild",
        steps=len(plan.events) * (1 + plan.repetitions) + len(_turns(plan.events)) * plan.repetitions,
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    repetitions: Repetitions = 3,
    events: Annotated[
        list[int],
        typer.Option(
            min=EVENTS_MIN, max=EVENTS_MAX, help="Room events in a generated log; may be given several times."
        ),
    ] = list(EVENTS),  # noqa: B006 - typer copies it
) -> None:
    """Measure a rebuild of all views beside a scan of the log."""
    plan = Plan(seed=seed, events=tuple(events), repetitions=repetitions)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
