"""`roomlog backup`: a copy of a log in use, believed only after it was restored and compared.

A backup is a data directory with a log in it and without views. It grows by what is new each time, by the
log's own rules; its positions and chain are those of the source, so that any command can verify it. What
the source has erased since the last time is erased from a backup by making it anew: overwriting would
leave the bytes behind in pages that LMDB no longer uses.
"""

import asyncio
import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from eventlog.errors import Damaged
from eventlog.extraction import Extraction
from eventlog.lmdb_file import DATA_FILE
from eventlog.log import Position
from eventlog.writing_out import flush
from server.cli.copying import Restored, copy_entries, copy_of, fold, restore_log
from server.cli.data_directory import DATA, Data, refuse_if_missing
from server.cli.outcome import FINDING, Refused, failures_of
from server.cli.progress import progress_shown
from server.config import log_path

_NICENESS = 5
"""A server on the same machine goes first."""


def backup(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A directory for the copy, or one with an earlier copy.")
    ],
    data: Data = DATA,
) -> None:
    """Copy the log, restore the copy, and compare it with the source.

    A server may be running; what it writes meanwhile is in the next backup. If DEST holds an earlier
    backup of the same log, only what is new is copied. Then the copy is restored into a scratch directory
    in DEST, its chain is verified, and the views that it folds to are compared with those that the source
    folds to. Only if all of that holds the last line says OK. It needs room for the log twice in DEST,
    and for the views twice.

    \b
    Example:
      roomlog backup ./copy
      roomlog backup ./copy           again: what is new
      roomlog check --data ./copy     a backup is a log like any other
    """
    with failures_of("backup"):
        refuse_if_missing(data)
        if destination.resolve() in (data.resolve(), log_path(data).resolve()):
            raise Refused(f"{destination} is the log itself", "Name another directory, on another disk.")
        os.nice(_NICENESS)
        new, restored = copy_and_prove(data, destination)
        typer.echo(f"OK head={restored.head} new={new} chain={restored.chain} views={restored.views}")


def copy_and_prove(data: Path, destination: Path) -> tuple[int, Restored]:
    """Returns how many entries were copied, and what they were proved to be."""
    new, difference = 0, ""
    # What is erased after it was copied makes the views differ. The second time it is not copied.
    for _ in range(2):
        more, chain = _bring_up_to_date(data, destination)
        new += more
        restored, views = _restore_and_fold(data, destination)
        source = restored._replace(chain=chain, views=views)
        if restored == source:
            return new, restored
        difference = f"{restored}, {source}"
    raise Refused(
        f"what was restored differs from the source: {difference}",
        "Do not count on this backup. See: roomlog check",
        FINDING,
    )


def _bring_up_to_date(data: Path, destination: Path) -> tuple[int, str]:
    """Copy what is missing; returns how many entries that were, and the chain of the source."""
    source = Extraction(log_path(data))
    erased = _erased_in(destination)
    with (
        progress_shown("backup") as progress,
        closing(copy_of(source, log_path(destination))) as target,
    ):
        before = target.head
        copy_entries(source, target, progress)
        new = target.head - before
    # An entry with several events may be erased more than once, each time by another's order.
    if any(erased.get(at) != order for at, order in source.erased.items() if at <= before):
        return new, _make_anew(data, destination)
    return new, source.chain.hex()


def _erased_in(destination: Path) -> dict[Position, Position]:
    """Of an earlier backup, which is verified here: nothing is added to one that is damaged."""
    if not (log_path(destination) / DATA_FILE).exists():
        return {}
    earlier = Extraction(log_path(destination))
    try:
        for _ in earlier.chunks():
            pass
    except Damaged as error:
        raise Refused(
            f"the earlier backup in {destination} is damaged: {error}",
            "Put it aside and make a new one: name an empty directory.",
            FINDING,
        ) from error
    return earlier.erased


def _make_anew(data: Path, destination: Path) -> str:
    """Put a whole new copy into the place of the present one. Returns the chain of the source."""
    renewed = destination / "renewed"
    # One may be left of a backup that was killed.
    shutil.rmtree(renewed, ignore_errors=True)
    source = Extraction(log_path(data))
    with (
        progress_shown("backup") as progress,
        closing(copy_of(source, log_path(renewed))) as target,
    ):
        copy_entries(source, target, progress)
    log_path(destination).rename(renewed / "replaced")
    log_path(renewed).rename(log_path(destination))
    flush(destination)
    shutil.rmtree(renewed)
    return source.chain.hex()


def _restore_and_fold(data: Path, destination: Path) -> tuple[Restored, str]:
    """Restore the backup beside itself; the second is the digest of the views that the source folds to."""
    scratch = destination / "proof"
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        restored = restore_log(destination, scratch / "restored", "backup: restore")
        with progress_shown("backup: compare") as progress:
            return restored, asyncio.run(fold(data, scratch / "views", restored.head, progress))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
