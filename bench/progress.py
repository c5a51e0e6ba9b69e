"""How far a benchmark has come, on stderr: a bar for people, a plain line now and then for log files.

Drawn only when something is said, never by a thread of its own: that one would compete with what is
measured in this process.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import rich.progress
from rich.console import Console

_Show: TypeAlias = Callable[[str, int], None]
"""Takes what is being done, and how many steps lie behind it."""

_LINE_EVERY_SECONDS = 10.0


class Progress:
    """Steps that take about the same time each."""

    def __init__(self, show: _Show) -> None:
        self._show = show
        self._step = ""
        self._steps_begun = 0

    def step(self, what: str) -> None:
        """The next step begins, and the one before it is over."""
        self._step = what
        self._steps_begun += 1
        self._show(what, self._steps_begun - 1)

    def now(self, what: str) -> None:
        """What a long step has come to, where nobody knows how long it will be."""
        self._show(f"{self._step}: {what}", self._steps_begun - 1)

    def within(self, done: int, total: int) -> None:
        """How far a long step has come."""
        self._show(f"{self._step}: {done:,} of {total:,}", self._steps_begun - 1)


def silent() -> Progress:
    return Progress(lambda what, behind: None)


@contextmanager
def progress_shown(steps: int) -> Iterator[Progress]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress(_plain(console, steps))
        return
    columns = (
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.description}"),
    )
    with rich.progress.Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=steps)
        yield Progress(
            lambda what, behind: bar.update(task, description=what, completed=behind, refresh=True)
        )


def _plain(console: Console, steps: int) -> _Show:
    due = time.monotonic()

    def show(what: str, behind: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _LINE_EVERY_SECONDS
            console.print(f"{behind} of {steps} steps done; now {what}", highlight=False, soft_wrap=True)

    return show
