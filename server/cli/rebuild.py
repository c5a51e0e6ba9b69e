"""`roomlog rebuild`: the views anew from the log, or the proof that doing so would change nothing."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from eventlog.log import Log
from projections import follower
from server.cli.data_directory import DATA, Data, existing_log
from server.cli.outcome import FINDING, failures_of
from server.cli.progress import Progress, progress_shown
from server.config import views_path


def rebuild(
    data: Data = DATA,
    verify: Annotated[
        bool, typer.Option("--verify", help="Leave the views alone; compare them with rebuilt ones.")
    ] = False,
) -> None:
    """Fold the whole log into new views.

    The present views are dropped. The server must not be running.

    With --verify, rebuild beside the present views and compare the two: exit status 1 if they differ.
    Present views that lag behind the log are first brought to its head, as a starting server would.

    \b
    Example:
      roomlog rebuild --data ./data
      roomlog rebuild --verify
    """
    with failures_of("rebuild"):
        if not asyncio.run(_verify(data) if verify else _rebuild(data)):
            raise typer.Exit(FINDING)


class _Rebuilt(NamedTuple):
    entries: int
    seconds: float
    digest: str


async def _rebuild(data: Path) -> bool:
    async with existing_log(data, read_only=False) as log:
        with progress_shown("rebuild") as progress:
            rebuilt = await _fold_anew(log, views_path(data), progress)
    _print_speed(rebuilt)
    typer.echo(f"views {rebuilt.digest}")
    return True


async def _verify(data: Path) -> bool:
    async with existing_log(data, read_only=False) as log:
        with progress_shown("rebuild --verify") as progress:
            present = await _present_digest(log, views_path(data), progress)
            rebuilt = await _fold_beside(log, data, progress)
    _print_speed(rebuilt)
    typer.echo(f"present {present}")
    typer.echo(f"rebuilt {rebuilt.digest}")
    is_equal = present == rebuilt.digest
    typer.echo(
        "equal" if is_equal else "different: the present views are wrong; replace them: roomlog rebuild"
    )
    return is_equal


async def _present_digest(log: Log, path: Path, progress: Progress) -> str:
    views = follower.open_views(path, log)
    try:
        await follower.catch_up(log, views, progress)
        return views.digest()
    finally:
        views.close()


async def _fold_beside(log: Log, data: Path, progress: Progress) -> _Rebuilt:
    scratch = data / "views.verify"
    # One may be left of a run that was killed.
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        return await _fold_anew(log, scratch, progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _fold_anew(log: Log, path: Path, progress: Progress) -> _Rebuilt:
    views = follower.open_views(path, log)
    try:
        started = time.perf_counter()
        head = await follower.rebuild(log, views, progress)
        return _Rebuilt(head, time.perf_counter() - started, views.digest())
    finally:
        views.close()


def _print_speed(rebuilt: _Rebuilt) -> None:
    entries, seconds, _ = rebuilt
    typer.echo(f"folded {entries} entries in {seconds:.2f} s, {entries / seconds:,.0f} entries/s")
