"""A process whose storage fails under it, to be run with faults injected into its system calls.

    python -m tests.harness.failing_storage PATH

Appends entry after entry until `append` raises, tries once more, reads everything, and prints what
came of it as a line of JSON.
"""

import asyncio
import sys
from pathlib import Path

import msgspec

from eventlog.errors import LogError
from eventlog.lmdb_log import LmdbLog
from eventlog.log import Position

ENTRIES_MAX = 1000


class Outcome(msgspec.Struct):
    """The names are those of the exceptions; an empty one means that there was none."""

    first: str
    then: str
    acknowledged: Position
    readable: Position


async def append_until_failure(path: Path) -> Outcome:
    log = await LmdbLog.open(path)
    outcome = Outcome(first="", then="", acknowledged=0, readable=0)
    while not outcome.first and outcome.acknowledged < ENTRIES_MAX:
        try:
            outcome.acknowledged = await log.append([b"x" * 300], after=outcome.acknowledged)
        except LogError as error:
            outcome.first = type(error).__name__
    try:
        await log.append([b"once more"], after=outcome.acknowledged)
    except LogError as error:
        outcome.then = type(error).__name__
    async for entry in log.read():
        outcome.readable = entry.position
    await log.close()
    return outcome


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(append_until_failure(Path(sys.argv[1])))))
