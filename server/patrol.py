"""Reads the whole log again and again while the server runs, slowly, to find rot before somebody asks for it.

A disk does not say what it has lost until it is read, and most of a log is hardly ever read. Whoever
hears of the damage while the last backup still holds what was lost loses nothing.

The walk is that of `roomlog check`, in a child process: a page that cannot be read ends the child and
not the server. It takes a fixed share of one core and of the disk, and of a small log less than that:
no round begins before its time. Where it stands is kept in memory alone; a restart begins anew.
"""

import asyncio
import logging
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

from eventlog.check import Finding, Progress, Report, decode_report
from eventlog.reading_child import command, death_of, environment

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


@asynccontextmanager
async def patrolling(
    log: Path,
    *,
    share: float = SHARE,
    seconds_before_first: float = SECONDS_BEFORE_FIRST,
    seconds_per_round: float = SECONDS_PER_ROUND,
) -> AsyncIterator[None]:
    """Patrol the log in a directory for as long as the context lasts."""
    task = asyncio.create_task(_patrol(log, share, seconds_before_first, seconds_per_round))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _patrol(log: Path, share: float, seconds_before_first: float, seconds_per_round: float) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(seconds_before_first)
    number = 0
    while True:
        began, number = loop.time(), number + 1
        try:
            await _round(log, number, share)
        except OSError as error:  # no process or no memory to be had, for now
            _log.warning("round %d ended early: %s", number, error)
        await asyncio.sleep(max(began + seconds_per_round - loop.time(), seconds_before_first))


async def _round(log: Path, number: int, share: float) -> None:
    loop = asyncio.get_running_loop()
    began, position, findings = loop.time(), 0, 0
    async with aclosing(_reports(log, share)) as reports:
        async for report in reports:
            if isinstance(report, Progress):
                position = report.position
            if not isinstance(report, Finding):
                continue
            findings += 1
            if findings == 1:
                _log.error("the log is damaged: %s. %s", report.what, _WHAT_TO_DO)
    seconds = loop.time() - began
    _log.info("round %d: read %d entries in %.0f s, findings: %d", number, position, seconds, findings)


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
