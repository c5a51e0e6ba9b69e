"""Power cut: the views come back to the last restore point that was kept, and to what the log folds to.

Views are folded on a disk of their own, as the log is written in `power_cut.py`, and nobody flushes them but
for a restore point. At a random moment everything is held still and the image of the disk is copied: of what
was written since the last point, some of the pages are in it and most are not. On the copy, the views are
opened as after the next start of the machine.

* They come back to a position that is not before that of the last point that was told to be kept.
* Folded on from there to the end of the log, they are, table by table and byte by byte, what a fold of the
  whole log makes.

The control keeps its points without the flush: the views then come back to nothing.

Needs root, the tools of ext4, and loop devices.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.crash import restart_the_machine
from bench.histories import Histories
from bench.processes import clean_environment
from bench.progress import silent
from bench.torture.part import Part, Result, Trial
from bench.torture.power_cut import PowerCuts
from bench.torture.views_writer import MODULE, CameBack, look_at
from eventlog.log import Position

_EVENTS = 20_000
_CUTS_OF_ONE_DISK = 5
"""Each is some 2,000 entries after the one before, at most: there are enough for all of them."""
_WHAT = "power cut while folding"


def torture(trial: Trial) -> list[Result]:
    return [_cut(trial)]


def control(trial: Trial) -> list[Result]:
    return [_cut(trial, "--unsafe-no-flush")]


def _cut(trial: Trial, *options: str) -> Result:
    data = Histories(trial.directory).log(trial.seed, _EVENTS, silent())
    expected = asyncio.run(look_at(trial.directory / "folded", data)).digest
    findings: list[str] = []
    times = spared = 0
    while not findings and (times == 0 or not trial.is_over):
        cuts = PowerCuts(trial.directory).run(
            trial.seed + times, _CUTS_OF_ONE_DISK, "--log", str(data), *options, module=MODULE
        )
        for kept, left in cuts:
            times, spared = times + 1, spared + kept
            trial.says(f"cut {times}, {spared:,} entries not folded again")
            findings += (f"cut {times}: {found}" for found in _findings(kept, left, data, expected))
            if findings or trial.is_over:
                cuts.close()
                break
    return Result(_WHAT, times, findings, f"{spared:,} entries not folded again")


def _findings(kept: Position, views: Path, data: Path, expected: str) -> Iterator[str]:
    try:
        restart_the_machine(views)
    except FileNotFoundError as error:
        yield f"nothing tells that the views were open: {error}"
        return
    # In a process of its own: LMDB may not survive what it is given.
    looked = subprocess.run(
        [sys.executable, "-m", MODULE, str(views), "0", "--log", str(data), "--after-the-cut"],
        capture_output=True,
        env=clean_environment(),
    )
    if looked.returncode:
        yield f"they cannot be opened: status {looked.returncode}: {looked.stderr.decode().strip()[-200:]}"
        return
    came_back = msgspec.json.decode(looked.stdout, type=CameBack)
    if came_back.to < kept:
        yield f"they came back to {came_back.to}, and {kept} was kept"
    if came_back.digest != expected:
        yield f"folded on from {came_back.to}, they are other views than those of the log"


PART = Part(name="power-cut-views", method=__doc__ or "", run=torture, control=control, safeguard="the flush")
