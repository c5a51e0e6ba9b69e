"""One run from the command line: its options, where its data goes, what is told, and how it ends.

However it ends (done, failed, Ctrl-C, SIGTERM), the directory with the data is removed and no process is
left behind.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Annotated, Any, Generic, TypeAlias, TypeVar

import msgspec
import typer
from rich.console import Console, RenderableType

from bench import report
from bench.histories import Histories
from bench.processes import Failed, ended_by_signals, places
from bench.progress import Progress, progress_shown
from bench.workload import EVENTS_MIN

Measured = TypeVar("Measured", bound=msgspec.Struct)

_SECONDS_FOR_THREADS = 2
INTERRUPTED = 130
"""The exit status that shells expect after Ctrl-C."""

Data: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--data",
        exists=True,
        file_okay=False,
        writable=True,
        help="Measure in a temporary directory within this one, which says on which disk; ./ unless set.",
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", help="Another workload of the same kind.")]
Repetitions: TypeAlias = Annotated[
    int, typer.Option("--repetitions", min=1, help="How often each figure is taken; the spread is theirs.")
]
EventsBefore: TypeAlias = Annotated[
    int, typer.Option("--events-before", min=EVENTS_MIN, help="Events in the log when it begins.")
]
Seconds: TypeAlias = Annotated[
    float, typer.Option("--seconds", min=0.01, help="How long each repetition measures.")
]


@dataclass(frozen=True)
class Part(Generic[Measured]):
    """One question, ready to be asked."""

    name: str
    steps: int
    """How often `measure` reports a step."""
    measure: Callable[[Path, Progress, Histories], Measured]
    """Given an empty directory of its own, and logs to borrow."""
    told: Callable[[Measured], Sequence[RenderableType]]
    """A title, tables, and under which conditions: never a number without the flush mode."""


def run(
    parts: Sequence[Part[Any]], *, data: Path | None, json: bool, seed: int, results: Path | None = None
) -> None:
    """Measure the parts, tell what was measured, and append it to `results` if that is given."""
    where = durable_directory() if data is None else data
    try:
        with ended_by_signals(), temporary_directory(where, ".roomlog-bench-") as directory:
            apart = places().are_apart
            stated = report.conditions(directory, seed=seed, are_processes_apart=apart)
            measured = _measure(parts, directory)
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted: nothing was recorded, nothing is left behind")
        raise typer.Exit(INTERRUPTED) from None
    except Failed as error:
        Console(stderr=True).print(f"failed: {error}; nothing was recorded", highlight=False)
        raise typer.Exit(1) from None
    line = report.json_line(stated, measured)
    if json:
        typer.echo(line)
    else:
        _tell(parts, stated, measured)
    if results is not None:
        with results.open("a") as file:
            file.write(line + "\n")
        Console(stderr=True).print(f"appended to {results}", highlight=False, soft_wrap=True)


def _measure(parts: Sequence[Part[Any]], directory: Path) -> dict[str, msgspec.Struct]:
    measured: dict[str, msgspec.Struct] = {}
    histories = Histories(directory)
    with progress_shown(sum(part.steps for part in parts)) as progress:
        for part in parts:
            # Each begins with an empty directory, and leaves no file that the next one's disk must bear.
            with temporary_directory(directory, f"{part.name}-") as own:
                measured[part.name] = part.measure(own, progress, histories)
    return measured


def _tell(parts: Sequence[Part[Any]], stated: report.Conditions, measured: dict[str, msgspec.Struct]) -> None:
    console = report.console_for_results()
    console.print(report.described(stated), soft_wrap=True)
    for part in parts:
        console.print()
        for piece in part.told(measured[part.name]):
            console.print(piece, soft_wrap=isinstance(piece, str))


@contextmanager
def temporary_directory(within: Path, prefix: str) -> Iterator[Path]:
    """Gone at the end, however it comes."""
    with TemporaryDirectory(dir=within, prefix=prefix) as made:
        try:
            yield Path(made)
        finally:
            # Who is interrupted while a log is opened leaves a thread that goes on to make its files.
            for thread in threading.enumerate():
                if thread is not threading.current_thread():
                    thread.join(_SECONDS_FOR_THREADS)


def durable_directory() -> Path:
    """The current directory; if it is in memory, another place that is not, if there is one."""
    candidates = [Path.cwd(), Path("/var/tmp"), Path.home(), Path(gettempdir())]
    durable = (path for path in candidates if not report.file_system_of(path).is_in_memory)
    return next(durable, candidates[0])
