"""Results as a run leaves them, with the figures that a test wants to see again."""

from pathlib import Path

import msgspec

from bench import report
from bench.append import Appending, Appends, AtBatch
from bench.figures import Latencies, LatencySpread, Spread
from bench.idle import Idles
from bench.rebuild import Rebuild, Rebuilds
from bench.report import Conditions
from bench.results import Results
from bench.send import AtConnections, OneRoomOrMany, Sends
from bench.sending import Answering
from bench.sync import Steady


def spread(median: float) -> Spread:
    return Spread.of([median / 2, median, median * 2])


def latencies(seconds: float) -> LatencySpread:
    return LatencySpread.of([Latencies.of([seconds])])


def answering(per_second: float) -> Answering:
    return Answering(spread(per_second), latencies(0.01), spread(100), spread(0.2))


def at_batch(batch: int, ratio: float) -> AtBatch:
    appending = Appending(spread(50_000), latencies(0.001))
    return AtBatch(batch, appending, appending, spread(ratio))


def at_connections(connections: int, ratio: float) -> AtConnections:
    return AtConnections(
        connections=connections,
        send=answering(ratio * 10_000),
        batch=spread(1),
        ceiling=answering(10_000),
        ratio=spread(ratio),
        cpu_ratio=spread(ratio),
        raw=at_batch(1, 0.9),
        ratio_to_raw=0.1,
    )


def sends(ratio: float) -> Sends:
    """`ratio`: to the ceiling, at 64 connections."""
    return Sends(
        flush_mode=report.FLUSH_MODE,
        dedup="on",
        rooms=16,
        events_before=10_000,
        entries_before=10_000,
        log_bytes_before=1,
        log_bytes_after=2,
        body_bytes=100,
        fdatasync=latencies(0.001),
        at_connections=[at_connections(1, ratio / 2), at_connections(64, ratio)],
        one_room_or_many=OneRoomOrMany(64, 1_000, answering(9_000), answering(10_000), spread(0.9)),
    )


def appends(ratio: float) -> Appends:
    return Appends(report.FLUSH_MODE, 750, 1_000, 1_000_000, latencies(0.001), [at_batch(64, ratio)])


def rebuilds(growth: float) -> Rebuilds:
    logs = [
        Rebuild(events, events, 1, 1, "digest", spread(120_000), spread(1), spread(300_000), spread(0.4))
        for events in (10_000, 100_000)
    ]
    return Rebuilds(report.VIEWS_FLUSH_MODE, logs, spread(growth))


def steady(per_second: float, *, lost: int) -> Steady:
    return Steady("sync", 100, 100, 1_000, spread(per_second), latencies(0.005), latencies(0.001), lost)


def idles(polls: int, p99_ratio: float) -> Idles:
    return Idles(
        flush_mode=report.FLUSH_MODE,
        wanted=10_000,
        idle=polls,
        open_files_max=20_000,
        connections=16,
        events_before=10_000,
        entries_before=10_000,
        log_bytes_before=1,
        alone=answering(10_000),
        beside=answering(9_000),
        p99_ratio=spread(p99_ratio),
        heap_bytes_per_poll=15_000,
    )


def stated(directory: Path) -> Conditions:
    return report.conditions(directory, seed=1, are_processes_apart=True)


def results(directory: Path, **parts: msgspec.Struct) -> Results:
    """As they are read back."""
    return msgspec.json.decode(report.json_line(stated(directory), parts), type=Results)
