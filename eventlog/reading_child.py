"""A process of its own to read a log whose pages may not be what they should be.

On a page that is zeroed LMDB may abort, and on one that is cut off the kernel ends the process with
SIGBUS, which no `try` can catch. So who reads what may be damaged lets a child do it, takes what the
child prints, and learns from its death that something is wrong.
"""

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import IO, Self


class ReadingChild:
    """`python -m MODULE ARGUMENTS …`, ended at the latest with its context."""

    def __init__(self, module: str, *arguments: object, told: bytes = b"") -> None:
        """`told` is what the child finds on stdin, and reads before it prints anything."""
        self._process = subprocess.Popen(
            command(module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # of a child that is dead already
            stdin.write(told)
        self._process.stdin = None  # `communicate` would flush it once more

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def death(self) -> str | None:
        """As `death_of`. To be asked once `output` is at its end."""
        assert self._process.stderr is not None
        last_words = self._process.stderr.read()
        return death_of(self._process.wait(), last_words)


def command(module: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def environment() -> dict[str, str]:
    """That of this process, and wherever this one finds its modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def death_of(status: int, error_output: bytes) -> str | None:
    """How a child ended; None if it came to its end in good order."""
    last_words = error_output.decode(errors="replace").strip().rpartition("\n")[2]
    if status == 0:
        return None
    if status > 0:
        return last_words
    name = signal.Signals(-status).name
    return f"the process that read it died of {name}" + (f" ({last_words})" if last_words else "")


def leave_no_core() -> None:
    """For the child: it may well crash, and the map is large."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
