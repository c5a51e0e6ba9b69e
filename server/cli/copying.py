"""What backup, restore and salvage have in common: entries go into another log, views are folded of it.

A copy is the same log: it has the identity, the chain and the erased entries of the one that it was made
of. It lies in a data directory like any other log, so that every command reads it.
"""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from eventlog.check import inspect
from eventlog.engines import open_log
from eventlog.errors import Damaged
from eventlog.extraction import Extraction
from eventlog.lmdb_file import make_directory
from eventlog.lmdb_log import LmdbStore
from eventlog.log import Position
from eventlog.prefix import Prefix
from eventlog.verifying import Finding
from eventlog.writing_out import flush
from projections import follower
from server.cli.data_directory import refuse_if_missing
from server.cli.outcome import FINDING, Refused
from server.cli.progress import Progress, progress_shown
from server.config import log_path, log_url, views_path


class Restored(NamedTuple):
    head: Position
    chain: str
    """Hexadecimal; stands for the whole log up to the head."""
    views: str
    """The digest of the views that the log folds to."""


@contextmanager
def empty_directory(path: Path) -> Iterator[None]:
    """A directory that is to be filled whole or not at all. Raises `Refused` if there is something in it."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise Refused(f"{path} is not an empty directory", "Name one that is empty or not there yet.")
    was_there = path.exists()
    make_directory(path)
    try:
        yield
    except BaseException:
        for left in path.iterdir():
            shutil.rmtree(left)
        if not was_there:
            path.rmdir()
        raise


def copy_of(source: Extraction, path: Path) -> LmdbStore:
    """The log at `path`, which is to become one with `source`; it may have some of its entries already."""
    return LmdbStore(path, identity=source.identity, dictionary=source.dictionary)


def copy_entries(source: Extraction, target: LmdbStore, progress: Progress) -> None:
    """Everything that `source` hands out and `target` does not hold yet.

    Raises `Damaged` where the source is, with everything before it copied, and `Refused` if the source
    does not hold what the target does, before anything is copied.
    """
    if target.identity != source.identity or target.head > source.head:
        raise _other(target)
    for entries in source.chunks():
        known = max(target.head - (source.position - len(entries)), 0)
        if 0 < known <= len(entries) and entries[known - 1].chain != target.chain:
            raise _other(target)
        target.append_entries(entries[known:])
        progress(source.position, source.head)


def _other(target: LmdbStore) -> Refused:
    return Refused(
        f"the {target.head} entries of the earlier copy are not the first of this log",
        "It is a copy of another log, or of a history that this log left. Keep it; name another directory.",
        FINDING,
    )


def restore_log(source: Path, into: Path, verb: str) -> Restored:
    """Make the data directory `into`, which is empty, of the log in the data directory `source`.

    Everything is verified twice, as it is read and as it was written; then the views are folded. The log
    takes its place last, so that `into` holds nothing that could be served before all of it is proved.
    """
    refuse_if_missing(source)
    making = into / "restoring"
    extraction = Extraction(log_path(source))
    with progress_shown(verb) as progress:
        with closing(copy_of(extraction, log_path(making))) as target:
            copy_entries(extraction, target, progress)
        refuse_if_damaged(log_path(making))
        views = asyncio.run(fold(making, views_path(making), extraction.head, progress))
    for present, place in ((views_path(making), views_path(into)), (log_path(making), log_path(into))):
        present.rename(place)
    making.rmdir()
    flush(into)
    return Restored(extraction.head, extraction.chain.hex(), views)


def refuse_if_damaged(log: Path) -> None:
    """What was written has to be read once more before anybody believes in it."""
    for report in inspect(log):
        if isinstance(report, Finding):
            raise Damaged(f"what was written to {log} is not what was to be written: {report.what}")


async def fold(data: Path, views: Path, head: Position, progress: Progress) -> str:
    """The digest of the views that the log in a data directory folds to, up to `head`, made in `views`."""
    async with open_log(log_url(data), read_only=True) as log:
        folded = follower.open_views(views, log)
        try:
            await follower.catch_up(Prefix(log, head), folded, progress)
            return folded.digest()
        finally:
            folded.close()
