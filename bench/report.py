"""Under which conditions something was measured, and how it is told: a table, and one line of JSON.

A number without its conditions is a rumour. So none is printed without the machine, the file system that
the data was on, the flush mode, the Python version and the commit; and the line that is kept has them too.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from bench.figures import Spread
from bench.processes import Memory

FLUSH_MODE = "each batch flushed once: fdatasync for its pages, then the meta page with O_DSYNC"
"""Of the log, always; there is no option for anything else. LMDB's `sync` and `metasync` are on."""
VIEWS_FLUSH_MODE = "log only read; views committed without a flush"

RESULTS = Path(__file__).with_name("results.jsonl")
_LIBRARIES = ("lmdb", "msgspec", "starlette", "uvicorn", "uvloop", "httptools")
_IN_MEMORY = ("tmpfs", "ramfs")
_WIDTH_WITHOUT_TERMINAL = 100


class FileSystem(msgspec.Struct, frozen=True):
    kind: str
    device: str

    @property
    def is_in_memory(self) -> bool:
        return self.kind in _IN_MEMORY


class Conditions(msgspec.Struct, frozen=True):
    date: str
    commit: str
    is_dirty: bool
    """Did the working tree differ from the commit?"""
    machine: str
    cores: int
    are_processes_apart: bool
    """Did server and load generator run on cores of their own?"""
    load_average: float
    """Of the last minute before the start: somebody else's work, of which there should be none."""
    kernel: str
    python: str
    libraries: dict[str, str]
    file_system: FileSystem
    flush_mode: str
    seed: int


def conditions(directory: Path, *, seed: int, are_processes_apart: bool) -> Conditions:
    """As they are now; `directory` is where the data will be."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    # The file that this very run appends to does not make its commit another one.
    changes = _git("status", "--porcelain", "--", ":/", f":!{RESULTS.name}")
    return Conditions(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit or "unknown",
        is_dirty=bool(changes),
        machine=_processor(),
        cores=len(os.sched_getaffinity(0)),
        are_processes_apart=are_processes_apart,
        load_average=os.getloadavg()[0],
        kernel=platform.release(),
        python=platform.python_version(),
        libraries={name: version(name) for name in _LIBRARIES},
        file_system=file_system_of(directory),
        flush_mode=FLUSH_MODE,
        seed=seed,
    )


def file_system_of(path: Path) -> FileSystem:
    """The file system of an existing path, as the kernel names it."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    found = FileSystem("unknown", "unknown device")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mounted, _, origin = line.partition(" - ")
        if mounted.split()[2] == wanted:
            kind, source, *_ = origin.split()
            found = FileSystem(kind, source)
    return found


def json_line(stated: Conditions, measured: Mapping[str, msgspec.Struct]) -> str:
    """Everything of one run, without the line's end."""
    return msgspec.json.encode({**msgspec.structs.asdict(stated), **measured}).decode()


def described(stated: Conditions) -> str:
    """The conditions in a few lines."""
    changes = " with changes" if stated.is_dirty else ""
    apart = "a core each" if stated.are_processes_apart else "on one core"
    storage = f"{stated.file_system.kind} on {stated.file_system.device}"
    if stated.file_system.is_in_memory:
        storage += " (in memory: a flush does nothing here, and nothing here is durable)"
    libraries = ", ".join(f"{name} {number}" for name, number in stated.libraries.items())
    return "\n".join(
        [
            f"roomlog {stated.commit}{changes}, {stated.date}, seed {stated.seed}",
            f"{stated.machine}, {stated.cores} cores, server and load generator {apart}",
            f"data on {storage}, Linux {stated.kernel}, load average at the start {stated.load_average:.2f}",
            f"Python {stated.python}, {libraries}",
            f"flush: {stated.flush_mode}",
        ]
    )


def console_for_results() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_WITHOUT_TERMINAL
    return console


def table(*columns: str) -> Table:
    """The first column has names, the others have figures."""
    made = Table(box=box.SIMPLE_HEAD)
    for index, heading in enumerate(columns):
        made.add_column(heading, justify="right" if index else "left", no_wrap=True)
    return made


def cell(spread: Spread) -> str:
    """The median, and below it the least and the greatest."""
    return f"{number(spread.median)}\n[dim]{number(spread.minimum)}–{number(spread.maximum)}[/dim]"


def inline(spread: Spread) -> str:
    """The same within a sentence."""
    return f"{number(spread.median)} ({number(spread.minimum)}–{number(spread.maximum)})"


def percent_cell(spread: Spread) -> str:
    return f"{spread.median:.0%}\n[dim]{spread.minimum:.0%}–{spread.maximum:.0%}[/dim]"


def number(value: float) -> str:
    """With as many digits as one may believe, three behind the point at most."""
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def log_size(entries: int, size: int) -> str:
    return f"log of {entries:,} entries, {size / 1e6:,.1f} MB"


def memory_size(memory: Memory) -> str:
    return f"heap {memory.heap_bytes / 1e6:,.0f} MB, mapped files {memory.mapped_bytes / 1e6:,.0f} MB"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _git(*arguments: str) -> str:
    """Empty where there is no repository, or no git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
