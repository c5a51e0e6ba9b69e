"""Logs with history in them: generated once in a run, and lent as copies to all parts that want one.

A server with 1,000,000 events behind it is another one than a server that was just begun, and most
questions are about the first. To write such a log and to fold it takes most of a minute; to copy it, log
and folded views, takes seconds. Whoever is measured comes to the copy afterwards, by `populate`: the
history is the same for everybody.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import uvloop

from bench.author import AFTER_HISTORY_MS, Author, Facts, authoring
from bench.progress import Progress
from bench.workload import entries_of, write_log
from eventlog.engines import open_log
from eventlog.log import Position
from projections.dictionary import entry_dictionary
from projections.follower import catch_up, open_views
from server.config import log_path, log_url, views_path

People: TypeAlias = Callable[[Author], Iterator[Facts]]
"""Who comes to a log that has a history: their accounts, their rooms."""


class Histories:
    def __init__(self, directory: Path) -> None:
        """`directory` is to stay until the end of the run."""
        self._directory = directory

    def log(self, seed: int, events: int, progress: Progress) -> Path:
        """A data directory with that log, to read from. Its log is the same on every machine."""
        data = self._directory / f"history-{seed}-{events}"
        if not data.exists():
            unfinished = data.with_suffix(".unfinished")
            uvloop.run(_write(unfinished, seed, events, progress))
            unfinished.rename(data)
        return data

    def folded(self, seed: int, events: int, progress: Progress) -> Path:
        """The same with current views in it; they were closed, and are as long as what is in them."""
        data = self.log(seed, events, progress)
        if not views_path(data).exists():
            unfinished = data / "views.unfinished"
            uvloop.run(_fold(data, unfinished, progress))
            unfinished.rename(views_path(data))
        return data

    def lend(self, seed: int, events: int, to: Path, progress: Progress) -> None:
        """Make the data directory `to`: a copy, flushed."""
        shutil.copytree(self.folded(seed, events, progress), to)
        flush(to)


def flush(data: Path) -> None:
    """Write what is still to be written of a data directory, so that it is not written while others work."""
    for path in (*log_path(data).iterdir(), *views_path(data).iterdir()):
        with path.open("rb") as file:
            os.fsync(file.fileno())


async def populate(data: Path, seed: int, people: People) -> Position:
    """Append the people to the log, and return its head. The server folds them when it starts."""
    with authoring(seed, first_ms=AFTER_HISTORY_MS) as author:
        async with open_log(log_url(data)) as log:
            await write_log(log, people(author))
            return await log.head()


def allocated_bytes(directory: Path) -> int:
    """What the files take of the disk; the file under views that are open is much longer, but has holes."""
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir())


async def _write(data: Path, seed: int, events: int, progress: Progress) -> None:
    async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
        await write_log(log, entries_of(seed, events), lambda position: progress.within(position, events))


async def _fold(data: Path, path: Path, progress: Progress) -> None:
    async with open_log(log_url(data)) as log:
        views = open_views(path, log)
        await catch_up(log, views, progress.within)
        views.close()
