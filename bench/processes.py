"""Processes of a benchmark: each on a core of its own where there are two, and gone when it is over.

Children are in a session of their own, so that Ctrl-C reaches only the one process that was started by
hand; it ends them on its way out. What they stored is thrown away anyway, so they are killed, which
cannot be ignored and takes no time.
"""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

Cores: TypeAlias = frozenset[int]

_ADDRESS = re.compile(r"http://(\S+):(\d+)")
_RESIDENT = re.compile(r"^Rss(Anon|File|Shmem):\s+(\d+) kB$", re.MULTILINE)
_SECONDS_TO_STOP = 60
_CPUCLOCK_SCHED = 2
"""The kernel's name for the clock that the scheduler keeps, in nanoseconds, over all threads of a process."""


class Failed(Exception):
    """A process ended before its time; what it had to say about that is on stderr."""


class Server(NamedTuple):
    """A process that answers HTTP."""

    pid: int
    host: str
    port: int
    seconds_to_ready: float
    """From its start, that of the interpreter included, until it told its address."""


class Memory(msgspec.Struct, frozen=True):
    """What a process has of the machine's memory."""

    heap_bytes: int
    """Its own, which nobody can take away from it: resident and anonymous."""
    mapped_bytes: int
    """Resident pages of files, LMDB's above all: the system's cache, which gives way to whoever needs it."""


class Places(NamedTuple):
    """Where the processes of a benchmark run."""

    measured: Cores
    measuring: Cores

    @property
    def are_apart(self) -> bool:
        return self.measured != self.measuring


def places() -> Places:
    """One core for what is measured and another for who measures; of one physical core only in need."""
    available = sorted(os.sched_getaffinity(0))
    measured = available[-1]
    others = [core for core in available if core != measured]
    strangers = [core for core in others if core not in _siblings(measured)]
    measuring = (strangers or others or available)[0]
    return Places(frozenset({measured}), frozenset({measuring}))


@contextmanager
def pinned(cores: Cores) -> Iterator[None]:
    """This thread, and what it starts meanwhile, on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(module: str, *options: str, cores: Cores, asked_to_stop: bool = False) -> Iterator[Server]:
    """A module that serves and prints its address. Raises `Failed` if it ends without one.

    In the end it is killed or, if what it leaves behind is to be whole, asked to stop.
    """
    began = time.perf_counter()
    with _started(module, *options, cores=cores) as process:
        assert process.stdout is not None
        lines = (line.decode() for line in process.stdout)
        found = next(filter(None, map(_ADDRESS.search, lines)), None)
        if found is None:
            raise Failed(f"{module} ended with status {process.wait()} before it answered")
        yield Server(process.pid, found[1], int(found[2]), time.perf_counter() - began)
        if asked_to_stop:
            process.terminate()
            if process.wait(_SECONDS_TO_STOP):
                raise Failed(f"{module} stopped with status {process.returncode}")


@contextmanager
def at_work(module: str, question: bytes, *, cores: Cores) -> Iterator[bytes]:
    """A module that prints a line when it has done what it was asked, and keeps it up until its stdin ends.

    Raises `Failed` if it does not, or if there is something that it has to complain of in the end.
    """
    with _started(module, cores=cores, is_asked=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(question + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{module} ended with status {process.wait()}")
        yield line
        process.stdin.close()
        if process.wait(_SECONDS_TO_STOP):
            raise Failed(f"{module} ended with status {process.returncode}")


def answer_of(module: str, question: bytes, *, cores: Cores, seconds_max: float) -> bytes:
    """What a module prints when it is given a question on stdin. Raises `Failed` if it cannot answer."""
    with _started(module, cores=cores, is_asked=True) as process:
        try:
            answer, _ = process.communicate(question, seconds_max)
        except subprocess.TimeoutExpired:
            raise Failed(f"{module} had no answer after {seconds_max:.0f} s") from None
        if process.returncode:
            raise Failed(f"{module} ended with status {process.returncode}")
        return answer


@contextmanager
def _started(
    module: str, *options: str, cores: Cores, is_asked: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its stdout, and its stdin if it is asked; gone at the end, whoever interrupts when."""
    with ExitStack() as ending:
        with pinned(cores), interrupts_held():
            process = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                stdin=subprocess.PIPE if is_asked else None,
                stdout=subprocess.PIPE,
                env=clean_environment(),
                start_new_session=True,
            )
            ending.enter_context(process)
            ending.callback(process.kill)
        yield process


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used until now, user and system, over all its threads."""
    # What clock_getcpuclockid() of the C library computes, which Python does not offer.
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def memory_of(pid: int) -> Memory:
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = {name: int(size) for name, size in _RESIDENT.findall(status)}
    return Memory(kilobytes["Anon"] * 1024, (kilobytes["File"] + kilobytes["Shmem"]) * 1024)


def open_files_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - only their number matters


def allow_open_files() -> int:
    """Let this process, and what it starts from now on, open as many files as it may: so many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


@contextmanager
def ended_by_signals(numbers: Sequence[int] = (signal.SIGTERM, signal.SIGHUP)) -> Iterator[None]:
    """Let these signals, unless they are ignored, end the benchmark as Ctrl-C does, also in an event loop."""
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C, and what ends the benchmark like it, wait until this is over.

    For starting a process: an exception between the fork and the assignment would lose it, and it ran on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # where no signal is heard
        return
    held: list[signal.Signals] = []
    before = {
        number: signal.signal(number, lambda number, _: held.append(signal.Signals(number)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN  # nor is it to be heard by the process
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])


def _interrupt(number: int, frame: object) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in a shell's background, where it is Ctrl-C that must not be heard, and not what was sent here.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def clean_environment() -> dict[str, str]:
    """For a child that finds the same modules, without settings that would change what it does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLOG_")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(sys.path)}


def _siblings(core: int) -> set[int]:
    """The hardware threads of the same physical core, this one included."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return {core}
    siblings: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        siblings |= set(range(int(first), int(last or first) + 1))
    return siblings
