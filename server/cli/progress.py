"""How far a long command has come, on stderr: a bar for people, a plain line now and then for log files."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import rich.progress
import typer
from rich.console import Console

Progress: TypeAlias = Callable[[int, int | None], None]
"""Takes how many entries are done, and of how many; `None` if nobody knows."""

_LINE_EVERY_SECONDS = 10.0


@contextmanager
def progress_shown(verb: str) -> Iterator[Progress]:
    """While this lasts, print nothing on stdout: the bar may be on the same terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain(verb)
        return
    columns = (
        rich.progress.TextColumn(verb),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("entries"),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(verb, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain(verb: str) -> Progress:
    last = time.monotonic()

    def show(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_EVERY_SECONDS:
            last = time.monotonic()
            of_total = "" if total is None else f" of {total}"
            typer.echo(f"{verb}: {done}{of_total} entries", err=True)

    return show
