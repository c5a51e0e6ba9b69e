"""A server that comes back at the same address, and whose views are compared when it has stopped for good."""

import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.server_process import ServerProcess, serving

_PORTS = range(20_000, 32_000)
"""Below those that the kernel gives to outgoing connections, so that none of them takes it meanwhile."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """With the settings that everybody begins with; it has nothing to complain about in the end."""
    data = tmp_path / "data"
    with serving(data, "--port", str(_free_port())) as server:
        yield server
        assert (server.stop(), server.rest_of_output()) == (0, "")
        assert _verdict_of_rebuild(data) == "equal"


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) != 0:
                return port


def _verdict_of_rebuild(data: Path) -> str:
    """The last line of `roomlog rebuild --verify`."""
    command = [sys.executable, "-m", "server.cli", "rebuild", "--verify", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]
