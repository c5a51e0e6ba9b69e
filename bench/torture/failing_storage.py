"""A process whose storage fails under it, to be run with faults injected into its system calls.

    python -m bench.torture.failing_storage PATH [--batches N] [--goes-on]

Appends batch after batch until something fails, says so, tries once more, reads everything, and prints
what came of it as a line of JSON. Looking for a file that nobody ever made is how it says so: that is a
system call too, and whatever stands behind it in a trace was done by a process that knew. `--goes-on` is
the careless one, for which a failed flush is nothing to stop for.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import msgspec

from bench.torture.log_writer import payload_at
from eventlog.lmdb_log import LmdbLog, LmdbStore
from eventlog.log import Position

BATCHES_MAX = 1000
_BATCH = 20
"""Entries: of more than one page, which LMDB writes by another call than a single one."""
KNOWN = "failure-is-known"


class Outcome(msgspec.Struct):
    """The names are those of the exceptions; an empty one means that there was none."""

    first: str = ""
    then: str = ""
    acknowledged: Position = 0
    readable: Position = 0


async def append_until_failure(path: Path, batches: int) -> Outcome:
    outcome = Outcome()
    # Whatever the failure is called, it must not be taken for a success; the torturer looks at that.
    try:
        log = await LmdbLog.open(path, free_bytes_min=0)
    except Exception as error:
        outcome.first = outcome.then = _known(path, error)
        return outcome
    while not outcome.first and outcome.acknowledged < batches * _BATCH:
        try:
            outcome.acknowledged = await _append(log, outcome.acknowledged)
        except Exception as error:
            outcome.first = _known(path, error)
    if outcome.first:
        try:
            outcome.acknowledged = await _append(log, await log.head())
        except Exception as error:
            outcome.then = _known(path, error)
    async for entry in log.read():
        outcome.readable = entry.position
    await log.close()
    return outcome


async def _append(log: LmdbLog, head: Position) -> Position:
    return await log.append([payload_at(head + number) for number in range(1, _BATCH + 1)], after=head)


def _known(path: Path, error: Exception) -> str:
    os.access(path / KNOWN, os.F_OK)
    return type(error).__name__


def _go_on(store: LmdbStore, error: Exception) -> None:
    """As LMDB itself would: it forgets a failed flush, and so does the kernel."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--batches", type=int, default=BATCHES_MAX)
    parser.add_argument("--goes-on", action="store_true")
    given = parser.parse_args()
    stop: Callable[[LmdbStore, Exception], None] = _go_on if given.goes_on else LmdbStore._stop_writing
    with patch.object(LmdbStore, "_stop_writing", stop):
        outcome = asyncio.run(append_until_failure(given.path, given.batches))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
