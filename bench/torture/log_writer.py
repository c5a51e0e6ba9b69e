"""A process that appends to a log until it is killed, and the handle that its torturer has on it.

    python -m bench.torture.log_writer PATH SEED [--batches N] [--map-bytes N] [--unsafe-no-flush]

Once imported it waits for a line on its standard input, so that the time it takes to start is not
counted as writing. Then it prints the head it found, and after each batch the position that
`append` returned: a line is an acknowledgement. What an entry holds follows from its position.
"""

import argparse
import asyncio
import hashlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Failed, clean_environment
from eventlog.lmdb_log import MAP_BYTES, LmdbLog
from eventlog.log import Position

BATCH_MAX = 24
FREE_BYTES_MIN = 1024 * 1024
PATIENCE_SECONDS = 30.0


def payload_at(position: Position) -> bytes:
    """What the writer appends at a position: 0 to 700 bytes, now and then 5,000."""
    length = 5000 if position % 97 == 0 else position * 7919 % 701
    return hashlib.shake_128(position.to_bytes(8, "big")).digest(length)


async def write(path: Path, seed: int, batches: int | None, map_bytes: int, *, unsafe_no_flush: bool) -> None:
    sizes = random.Random(seed)
    log = await LmdbLog.open(
        path, map_bytes=map_bytes, free_bytes_min=FREE_BYTES_MIN, unsafe_no_flush=unsafe_no_flush
    )
    head = await log.head()
    os.write(1, b"%d\n" % head)
    while batches is None or batches > 0:
        batch = [payload_at(head + 1 + i) for i in range(sizes.randint(1, BATCH_MAX))]
        head = await log.append(batch, after=head)
        os.write(1, b"%d\n" % head)
        batches = batches and batches - 1
    await log.close()


MODULE = "bench.torture.log_writer"


class LogWriter:
    """The process, seen from outside. Leaving the `with` block kills it."""

    def __init__(self, path: Path, seed: int, *options: str, module: str = MODULE) -> None:
        """`module` is another one that starts and acknowledges in the same way."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(path), str(seed), *options],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._unfinished = b""
        self.acknowledged: Position = -1
        """The last position read so far; -1 before the log was open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start_writing(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()

    def wait_until_acknowledged(self, position: Position) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.acknowledged < position:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(f"the writer came to {self.acknowledged} and not to {position}")
            select.select([self._output], [], [], left)
            if not self.read_acknowledged():
                raise Failed(f"the writer ended at {self.acknowledged}")

    def read_acknowledged(self) -> bool:
        """Take in what was printed up to now. False once there will be no more."""
        try:
            while data := os.read(self._output, 65536):
                *lines, self._unfinished = (self._unfinished + data).split(b"\n")
                if lines:
                    self.acknowledged = int(lines[-1])
        except BlockingIOError:
            return True
        return False

    def stop(self) -> None:
        """Hold every thread still; a system call that is under way ends first."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        self.read_acknowledged()

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait()
        self.read_acknowledged()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--batches", type=int)
    parser.add_argument("--map-bytes", type=int, default=MAP_BYTES)
    parser.add_argument("--unsafe-no-flush", action="store_true")
    given = parser.parse_args()
    if not sys.stdin.readline():
        return  # whoever was to give the sign is gone
    asyncio.run(
        write(given.path, given.seed, given.batches, given.map_bytes, unsafe_no_flush=given.unsafe_no_flush)
    )


if __name__ == "__main__":
    main()
