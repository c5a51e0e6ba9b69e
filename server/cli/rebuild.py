"""`roomlog rebuild`: the views anew from the log, or the proof that doing so would change nothing."""

import asyncio
import shutil
import time
from pathlib import Path
from typing import Annotated

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
    """Drop the views and fold the whole log anew. The server must not be running.

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


async def _rebuild(data: Path) -> bool:
    async with existing_log(data, read_only=False) as log:
        with progress_shown("rebuild") as progress:
            _print_digest("views", await _rebuilt_digest(log, views_path(data), progress))
    return True


async def _verify(data: Path) -> bool:
    async with existing_log(data, read_only=False) as log:
        with progress_shown("rebuild --verify") as progress:
            present = await _present_digest(log, views_path(data), progress)
            rebuilt = await _rebuilt_beside(log, data, progress)
    _print_digest("present", present)
    _print_digest("rebuilt", rebuilt)
    typer.echo(
        "equal" if present == rebuilt else "different: the views are wrong; put them right: roomlog rebuild"
    )
    return present == rebuilt


async def _present_digest(log: Log, path: Path, progress: Progress) -> str:
    views = follower.open_views(path, identity=log.identity)
    try:
        await follower.catch_up(log, views, progress)
        return views.digest()
    finally:
        views.close()


async def _rebuilt_beside(log: Log, data: Path, progress: Progress) -> str:
    scratch = data / "views.verify"
    # One may be left of a run that was killed.
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        return await _rebuilt_digest(log, scratch, progress)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _rebuilt_digest(log: Log, path: Path, progress: Progress) -> str:
    views = follower.open_views(path, identity=log.identity)
    try:
        started = time.perf_counter()
        head = await follower.rebuild(log, views, progress)
        seconds = time.perf_counter() - started
        typer.echo(f"folded {head} entries in {seconds:.2f} s, {head / seconds:,.0f} entries/s")
        return views.digest()
    finally:
        views.close()


def _print_digest(of: str, digest: str) -> None:
    typer.echo(f"{of} {digest}")
