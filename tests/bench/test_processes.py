"""The processes of a benchmark are gone when it is over, whenever somebody interrupts it."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from bench.processes import answer_of, at_work, ended_by_signals, places, serving

CORES = places().measuring
WAITING = "bench.load"
"""It waits for its stdin to end, and has been told nothing."""


def serve() -> None:
    with serving("bench.ceiling", cores=CORES):
        pass


def work() -> None:
    with at_work(WAITING, b"{}", cores=CORES):
        pass


def answer() -> None:
    answer_of(WAITING, b"{}", cores=CORES, seconds_max=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("start", [serve, work, answer])
def test_an_interrupt_while_a_process_starts_ends_the_process(
    start: Callable[[], None], number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        """The signal comes when the process is there and nobody has it in hand yet."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)
            signal.raise_signal(number)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with ended_by_signals(), pytest.raises(KeyboardInterrupt):
        start()
    [process] = started
    assert process.returncode == -signal.SIGKILL
