"""A real server in a process of its own: started as users start it, stopped or killed as life does."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.processes import Failed, clean_environment, interrupts_held

ROOMLOG_SERVE = ("server.cli", "serve")
CARELESS_SERVER = "bench.torture.careless_server"
"""To be followed by what it is careless about."""
_ADDRESS = re.compile(r"http://\S+")
_SECONDS_TO_STOP = 10


class ServerProcess:
    """`roomlog serve` on a free port of the loopback address."""

    def __init__(self, data: Path, *options: str, command: Sequence[str] = ROOMLOG_SERVE) -> None:
        """`command` is of another server than that of the product, which takes the same options."""
        self._command = [sys.executable, "-m", *command, "--port", "0", "--data", str(data), *options]
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None
        self.output: list[str] = []
        """What was printed up to the address."""
        self._later_output: list[str] = []
        self.address = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return once the server answers. Raises `Failed`, with what it said, if it ends before."""
        self.release()
        with interrupts_held():
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=clean_environment(),
            )
        assert self._process.stdout is not None
        self.output = []
        for line in self._process.stdout:
            self.output.append(line)
            found = _ADDRESS.search(line)
            if found is not None:
                self.address = found[0].rstrip("/.")
                self._listen_on()
                return
        raise Failed(f"the server ended with {self._process.wait()}: {''.join(self.output)}")

    def status_within(self, seconds: float) -> int | None:
        """Its exit status if it ends by itself, `None` if it does not."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def kill(self) -> None:
        """End it without a word, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        return self._end(signal.SIGTERM)

    def restart(self) -> None:
        self.kill()
        self.start()

    def rest_of_output(self) -> str:
        """Everything it printed after the address; once it has ended."""
        assert self._listener is not None
        self._listener.join()
        return "".join(self._later_output)

    def _listen_on(self) -> None:
        """Somebody has to read, or a server with much to say would wait for a reader and answer no more."""
        assert self._process is not None
        assert self._process.stdout is not None
        later = self._later_output = []
        self._listener = threading.Thread(target=later.extend, args=(self._process.stdout,), daemon=True)
        self._listener.start()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def release(self) -> None:
        """Whatever was left running or open."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            if self._listener is not None:
                self._listener.join()
            assert self._process.stdout is not None
            self._process.stdout.close()
