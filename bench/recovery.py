"""How long after a crash of the machine until the server answers? And what is done for it while it serves?

Somebody sends at a rate of their own to a server with a history. Meanwhile somebody looks, 10 times a second,
whether there is a restore point to which the views could come back, and how long their file is. Then the
machine crashes, as far as the server can tell: it is killed, the note of the boot is changed, the log leaves
the page cache. The next start goes back to the point, folds what was sent since, and answers; without a point
it folds the whole log.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer
import uvloop
from rich.console import RenderableType

from bench import report
from bench.crash import crash, restore_point, wait_for_restore_point
from bench.histories import Histories, allocated_bytes, populate
from bench.processes import places, serving
from bench.progress import Progress
from bench.reading import Readers, ReadLoad
from bench.sending import serve_options
from bench.session import Data, EventsBefore, Json, Part, Seed, run
from bench.steady_load import SentSteadily
from bench.workload import SEED
from eventlog.lmdb_file import DATA_FILE
from server.config import log_path, views_path

RATES = (10, 50, 250)
_SECONDS_BETWEEN_LOOKS = 0.1


class Plan(msgspec.Struct, frozen=True):
    seed: int = SEED
    rates: tuple[int, ...] = RATES
    """Events per second, one after the other to the same log."""
    events_before: int = 10_000
    seconds: float = 60.0
    """For each rate."""


class AtRate(msgspec.Struct, frozen=True):
    rate: int
    sent: SentSteadily
    share_with_point: float
    """Of the looks: there was a restore point."""
    points: int
    """That were seen to be kept meanwhile."""
    views_bytes_before: int
    views_bytes_max: int
    ready: float
    """Seconds from the start of the process after the crash."""


class Recoveries(msgspec.Struct, frozen=True):
    flush_mode: str
    events_before: int
    entries_before: int
    log_bytes_before: int
    at_rates: list[AtRate]
    ready_without_point: float
    """Seconds, after the last of the crashes, with the point taken away."""


class _Look(NamedTuple):
    point: int | None
    """When it was noted, nanoseconds; `None` if there is none."""
    views_bytes: int


def measure(directory: Path, plan: Plan, progress: Progress, histories: Histories) -> Recoveries:
    data = directory / "data"
    progress.step("recovery: prepare a log")
    histories.lend(plan.seed, plan.events_before, data, progress)
    readers = Readers(1, 1, [1])
    entries = uvloop.run(populate(data, plan.seed, readers.entries))
    log_bytes = (log_path(data) / DATA_FILE).stat().st_size
    at_rates: list[AtRate] = []
    for rate in plan.rates:
        progress.step(f"recovery: {rate} events a second")
        sent, looks = _send(data, readers, rate, plan.seconds)
        crash(data)
        with serving("server.cli", *serve_options(data), cores=places().measured) as restored:
            wait_for_restore_point(data)
        points = {look.point for look in looks if look.point is not None}
        at_rates.append(
            AtRate(
                rate=rate,
                sent=sent,
                share_with_point=sum(look.point is not None for look in looks) / len(looks),
                points=len(points - {looks[0].point}),
                views_bytes_before=looks[0].views_bytes,
                views_bytes_max=max(look.views_bytes for look in looks),
                ready=restored.seconds_to_ready,
            )
        )
    progress.step("recovery: without a restore point")
    crash(data)
    restore_point(data).unlink()
    with serving("server.cli", *serve_options(data), cores=places().measured) as recovered:
        pass
    return Recoveries(
        flush_mode=report.FLUSH_MODE,
        events_before=plan.events_before,
        entries_before=entries,
        log_bytes_before=log_bytes,
        at_rates=at_rates,
        ready_without_point=recovered.seconds_to_ready,
    )


def _send(data: Path, readers: Readers, rate: int, seconds: float) -> tuple[SentSteadily, list[_Look]]:
    where = places()
    with ExitStack() as stack:
        server = stack.enter_context(serving("server.cli", *serve_options(data), cores=where.measured))
        wait_for_restore_point(data)
        load = ReadLoad(server, where, readers, seconds, name=f"rate{rate}.")
        looking = stack.enter_context(ThreadPoolExecutor(max_workers=1))
        sending = looking.submit(load.send_steadily, "sync", 1, rate, in_one_room=False)
        looks = [_look(data)]
        while not sending.done():
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            looks.append(_look(data))
        return sending.result(), looks


def _look(data: Path) -> _Look:
    try:
        point = restore_point(data).stat().st_mtime_ns
    except FileNotFoundError:
        point = None
    return _Look(point, allocated_bytes(views_path(data)))


def told(measured: Recoveries) -> list[RenderableType]:
    figures = report.table(
        "asked for a second",
        "sent",
        "p50 ms",
        "p99 ms",
        "slowest ms",
        "time with a point",
        "kept",
        "views MB",
    )
    ready = report.table("sent a second before the crash", "ready after s")
    for at in measured.at_rates:
        figures.add_row(
            f"{at.rate:,}",
            report.number(at.sent.per_second),
            report.number(at.sent.send.p50),
            report.number(at.sent.send.p99),
            report.number(at.sent.send_slowest_ms),
            f"{at.share_with_point:.0%}",
            str(at.points),
            f"{at.views_bytes_before / 1e6:,.0f} to {at.views_bytes_max / 1e6:,.0f}",
        )
        ready.add_row(f"{at.rate:,}", report.number(at.ready))
    ready.add_row("without a restore point", report.number(measured.ready_without_point))
    return [
        "[bold]recovery[/bold]: sends at a rate, and is there a restore point of the views meanwhile?",
        figures,
        "[bold]recovery[/bold]: from the start of the process after a crash of the machine until it answers",
        ready,
        f"{report.log_size(measured.entries_before, measured.log_bytes_before)} at the start",
        "dedup on, all transaction ids different; rate limits off",
        f"flush: {measured.flush_mode}",
    ]


def part(plan: Plan) -> Part[Recoveries]:
    return Part(
        name="recovery",
        steps=2 + len(plan.rates),
        measure=lambda directory, progress, histories: measure(directory, plan, progress, histories),
        told=told,
    )


def main(
    data: Data = None,
    json: Json = False,
    seed: Seed = SEED,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each rate.")] = 60.0,
    rates: Annotated[
        list[int],
        typer.Option("--rate", min=1, max=10_000, help="Events a second; may be given several times."),
    ] = list(RATES),  # noqa: B006 - typer copies it
    events_before: EventsBefore = 10_000,
) -> None:
    """Measure how long a start takes after a crash of the machine, and what keeps it short."""
    plan = Plan(seed=seed, rates=tuple(rates), events_before=events_before, seconds=seconds)
    run([part(plan)], data=data, json=json, seed=seed)


if __name__ == "__main__":
    typer.run(main)
