"""A real server in a process of its own: started as users start it, stopped or killed as life does."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.client import Client
from tests.harness.rebuilt_views import assert_views_are_as_rebuilt

_ADDRESS = re.compile(r"http://\S+")
_SECONDS_TO_STOP = 10


class ServerProcess:
    """`roomlog serve` on a free port of the loopback address."""

    def __init__(self, data: Path, *options: str) -> None:
        self._command = [
            sys.executable,
            "-m",
            "server.cli",
            "serve",
            "--port",
            "0",
            "--data",
            str(data),
            *options,
        ]
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
        """Return once the server answers."""
        self.release()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLOG_")}
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
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
        raise AssertionError(f"the server ended with {self._process.wait()}: {''.join(self.output)}")

    def client(self) -> Client:
        """Somebody without a session yet."""
        return Client(self.address)

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
        """Whatever the test left running or open."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            if self._listener is not None:
                self._listener.join()
            assert self._process.stdout is not None
            self._process.stdout.close()


@contextmanager
def serving(data: Path, *options: str, compares_views: bool = True) -> Iterator[ServerProcess]:
    """A server for as long as the context lasts, restarted as often as the test likes.

    However it ended, the views that it leaves must be those that its log folds to; `compares_views` is for
    who damages them on purpose.
    """
    server = ServerProcess(data, *options)
    try:
        server.start()
        yield server
    finally:
        server.release()
    if compares_views:
        assert_views_are_as_rebuilt(data)
