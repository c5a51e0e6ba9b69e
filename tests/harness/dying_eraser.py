"""A process that erases what is due and is killed in the middle of it.

    python -m tests.harness.dying_eraser DATA NOW MOMENT

`NOW` is what its clock begins at; `MOMENT` one of `MOMENTS`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from eventlog.log import Log, Position
from server.users.erasing import Eraser
from tests.harness.local_homeserver import Ticking, local_homeserver
from tests.server.test_writer import LogBetween

MOMENTS = ("before erase", "after erase", "before scrub", "after scrub")


class DyingLog(LogBetween):
    def __init__(self, log: Log, moment: str) -> None:
        super().__init__(log)
        self._moment = moment

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        self._die_at("before erase")
        await super().erase(replacements, ordered_by=ordered_by)
        self._die_at("after erase")

    async def scrub(self) -> bool:
        self._die_at("before scrub")
        is_done = await super().scrub()
        self._die_at("after scrub")
        return is_done

    def _die_at(self, moment: str) -> None:
        if moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)


async def erase(data: Path, now: int, moment: str) -> None:
    async with local_homeserver(data, now=Ticking(now), through=lambda log: DyingLog(log, moment)) as parts:
        await Eraser(parts.homeserver, parts.writer, 0).erase_what_is_due()


if __name__ == "__main__":
    asyncio.run(erase(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
