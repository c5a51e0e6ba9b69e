"""A homeserver without HTTP and in the test's own process: log, views and writer, with time and chance given.

Whatever it does can be done again to the byte: its clock ticks once for each question, its random text
comes from a seed.
"""

import random
import shutil
import string
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from eventlog.engines import open_log
from eventlog.log import Log
from projections.dictionary import entry_dictionary
from projections.follower import catch_up, open_views
from server.app import Running
from server.config import log_url, views_path
from server.homeserver import Homeserver
from server.writer import Writer

SERVER_NAME = "localhost"
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_MEMORY = Path("/dev/shm")
_FREE_BYTES_MIN = 1 << 30


class Ticking:
    """A clock that is one millisecond later whenever somebody looks."""

    def __init__(self, now: int = 1_700_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


class SeededText:
    """Text that looks random and is the same after every start of the tests."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def __call__(self, length: int) -> str:
        return "".join(self._random.choices(_LETTERS_AND_DIGITS, k=length))


@asynccontextmanager
async def local_homeserver(
    data: Path,
    *,
    now: Callable[[], int] | None = None,
    random_text: Callable[[int], str] | None = None,
    through: Callable[[Log], Log] = lambda log: log,
    dies: Callable[[], bool] = lambda: False,
) -> AsyncIterator[Running]:
    """Log and views in `data`, at the head, and a writer. `through` may put something round the log.

    If `dies` says so at the end, the views are left as a killed process leaves them.
    """
    async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
        views = open_views(views_path(data), log)
        head = await catch_up(log, views)
        homeserver = Homeserver(
            SERVER_NAME, through(log), views, now or Ticking(), random_text or SeededText()
        )
        writer = Writer(homeserver, head)
        try:
            yield Running(homeserver, writer)
        finally:
            await writer.close()
            if dies() or writer.failure is not None:
                views.abandon()
            else:
                views.close()


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A directory in memory, where there is room for one: for tests that flush often and are not about it."""
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _FREE_BYTES_MIN
    with tempfile.TemporaryDirectory(dir=_MEMORY if in_memory else None, prefix="roomlog-test-") as directory:
        yield Path(directory)
