"""What was acknowledged is there: after a process was killed, and after the power was cut.

Killing a process never tests a flush: what it wrote is in the kernel's page cache and stays there.
So there are two tests, and a control: the same power cut with the flush switched off has to lose
acknowledged entries, or the test could not fail and would prove nothing.
"""

import asyncio
import random
import time
from pathlib import Path

import pytest

from bench.torture.log_writer import LogWriter, payload_at
from bench.torture.part import Impossible
from bench.torture.power_cut import PowerCuts
from eventlog.check import inspect
from eventlog.engines import open_log
from eventlog.log import Position
from eventlog.verifying import Finding

KILLS = 100
SEEDS = [pytest.param(1), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))]


async def verified_head(path: Path, *, after: Position) -> Position:
    """Open the log as its owner and read on from `after`; `read` sees to holes, digests, chain."""
    async with open_log(f"lmdb:{path}") as log:
        async for entry in log.read(after=after):
            assert entry.position == after + 1
            assert entry.payload == payload_at(entry.position)
            after = entry.position
        assert await log.head() == after
    return after


def findings(path: Path) -> list[Finding]:
    return [report for report in inspect(path) if isinstance(report, Finding)]


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_acknowledged_survives_a_kill(tmp_path: Path, seed: int) -> None:
    """Moments are counted in entries, not in time, so that a slow machine is caught at work too."""
    moments = random.Random(seed)
    path = tmp_path / "log"
    head = 0
    coming = LogWriter(path, seed)
    for kill in range(KILLS):
        with coming as writer:
            coming = LogWriter(path, seed + kill)  # starts while the other one writes
            writer.start_writing()
            if moments.random() < 0.9:  # the others are caught while they open the log, or soon after
                writer.wait_until_acknowledged(head + moments.randint(1, 1000))
            time.sleep(moments.uniform(0, 0.005))
            writer.kill()
            recovered = asyncio.run(verified_head(path, after=head))
            assert recovered >= writer.acknowledged
            head = recovered
    with coming:
        pass
    assert not findings(path)


@pytest.fixture
def power_cuts(tmp_path: Path) -> PowerCuts:
    try:
        return PowerCuts(tmp_path)
    except Impossible as reason:
        pytest.skip(f"no disk to cut the power of: {reason}")


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_acknowledged_survives_a_power_cut(power_cuts: PowerCuts, seed: int) -> None:
    for acknowledged, path in power_cuts.run(seed, 5):
        assert not findings(path)
        assert asyncio.run(verified_head(path, after=0)) >= acknowledged


def test_a_power_cut_without_flush_loses_acknowledged_entries(power_cuts: PowerCuts) -> None:
    for acknowledged, path in power_cuts.run(1, 2, "--unsafe-no-flush"):
        # Pages that were not flushed may be missing in any order: read in a process that may die.
        reports = list(inspect(path))
        damaged = [report.position - 1 for report in reports if isinstance(report, Finding)]
        recovered = min(damaged, default=max(report.position for report in reports))
        assert recovered < acknowledged
