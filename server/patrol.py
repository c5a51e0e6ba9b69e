"""Reads the whole log again and again while the server runs, slowly, to find rot before somebody asks for it.

A disk does not say what it has lost until it is read, and most of a log is hardly ever read. Whoever
hears of the damage while the last backup still holds what was lost loses nothing.

The walk is that of `roomlog check`, in a child process: a page that cannot be read ends the child and
not the server. It takes a fixed share of one core and of the disk, and of a small log less than that:
no round begins before its time. Where it stands is kept in memory alone, for whoever looks at the metrics;
a restart begins anew.
"""

import asyncio
import logging
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eventlog.check import Progress, Report, decode_report
from eventlog.log import Position
from eventlog.reading_child import command, death_of, environment
from eventlog.verifying import Finding

SHARE = 0.02
"""Of one core. Measured (2 cores, entries of 390 bytes): 9,000 entries/s, 30 million in an hour."""

SECONDS_BEFORE_FIRST = 60 * 60.0
"""A server that has just started has better things to do. Also the least between two rounds."""

SECONDS_PER_ROUND = 24 * 60 * 60.0
"""From the beginning of one to the beginning of the next, unless the log is so long that it takes more."""

_WHAT_TO_DO = (
    "See what else is: roomlog check. Then stop the server, and restore a backup (roomlog restore), "
    "or save what is before the damage (roomlog salvage)"
)

_log = logging.getLogger("roomlog.patrol")


@dataclass(slots=True)
class Patrol:
    """Where it stands: plain values, of the round under way or, between two, of the one before."""

    round: int = 0
    """0 until the first begins."""
    position: Position = 0
    """Every entry up to here was read."""
    head: Position = 0
    """As the round last saw it."""
    findings: int = 0
    finished: float | None = None
    """When a round last came to its end, by the clock of the event loop; `None` if none has."""
    findings_of_finished: int = 0
    """Of that round."""


@asynccontextmanager
async def patrolling(
    log: Path,
    *,
    share: float = SHARE,
    seconds_before_first: float = SECONDS_BEFORE_FIRST,
    seconds_per_round: float = SECONDS_PER_ROUND,
) -> AsyncIterator[Patrol]:
    """Patrol the log in a directory for as long as the context lasts."""
    patrol = Patrol()
    task = asyncio.create_task(_patrol(patrol, log, share, seconds_before_first, seconds_per_round))
    try:
        yield patrol
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _patrol(
    patrol: Patrol, log: Path, share: float, seconds_before_first: float, seconds_per_round: float
) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(seconds_before_first)
    while True:
        began = loop.time()
        patrol.round, patrol.position, patrol.findings = patrol.round + 1, 0, 0
        try:
            await _round(patrol, log, share)
        except OSError as error:  # no process or no memory to be had, for now
            _log.warning("round %d ended early: %s", patrol.round, error)
        await asyncio.sleep(max(began + seconds_per_round - loop.time(), seconds_before_first))


async def _round(patrol: Patrol, log: Path, share: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aclosing(_reports(log, share)) as reports:
        async for report in reports:
            if isinstance(report, Progress):
                patrol.position, patrol.head = report.position, report.head
            if not isinstance(report, Finding):
                continue
            patrol.findings += 1
            if patrol.findings == 1:
                _log.error("the log is damaged: %s. %s", report.what, _WHAT_TO_DO)
    patrol.finished, patrol.findings_of_finished = loop.time(), patrol.findings
    _log.info(
        "round %d: read %d entries in %.0f s, findings: %d",
        patrol.round,
        patrol.position,
        patrol.finished - began,
        patrol.findings,
    )


async def _reports(log: Path, share: float) -> AsyncGenerator[Report, None]:
    """What the walk reports, its own death included. Ending this early ends the walk."""
    process = await _walk(log, share)
    assert process.stdout is not None
    assert process.stderr is not None
    position = 0
    try:
        async for line in process.stdout:
            report = decode_report(line)
            position = max(position, report.position)
            yield report
        death = death_of(await process.wait(), await process.stderr.read())
        if death is not None:
            yield Finding(position + 1, f"entries from {position + 1} on: not read: {death}")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _walk(log: Path, share: float) -> Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command("eventlog.check", log, 1, 0, share),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:  # it may be there already, and nobody else would end it
        process = await starting
        process.kill()
        await process.wait()
        raise
