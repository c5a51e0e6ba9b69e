"""A run from the command line: what it prints, and what it leaves behind however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.session import INTERRUPTED

SECONDS_TO_WAIT = 20


def command(part: str, data: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", part, "--data", str(data), *options]


def processes_on(data: Path) -> list[int]:
    """Everything that was started, directly or not, by a process with this directory in its environment."""
    marked = f"BENCH_DATA={data}".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and marked in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def interrupted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A benchmark of sends that got a signal when its server and its load generator were at work."""
    environment = {**os.environ, "BENCH_DATA": str(tmp_path)}
    with subprocess.Popen(
        command("bench.send", tmp_path, "--seconds", "5", "--connections", "1", "--events-before", "20"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + SECONDS_TO_WAIT
            while len(processes_on(tmp_path)) < 4 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(processes_on(tmp_path)) == 4, "benchmark, server, ceiling and load generator"
            process.send_signal(request.param)
            process.wait(SECONDS_TO_WAIT)
            yield process
        finally:
            process.kill()


def test_json_is_one_line_with_conditions(tmp_path: Path) -> None:
    done = subprocess.run(
        command("bench.append", tmp_path, "--json", "--seconds", "0.01", "--repetitions", "1"),
        capture_output=True,
        text=True,
        check=True,
    )
    [line] = done.stdout.splitlines()
    assert {"commit", "date", "file_system", "flush_mode", "machine", "python", "append"} <= json.loads(
        line
    ).keys()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interrupted", [signal.SIGINT, signal.SIGTERM], indirect=True)
def test_an_interrupted_run_leaves_nothing(interrupted: subprocess.Popen[str], tmp_path: Path) -> None:
    assert interrupted.returncode == INTERRUPTED
    assert processes_on(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
