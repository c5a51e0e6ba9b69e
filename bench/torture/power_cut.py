"""Power cut: what had reached the disk at one moment, and nothing that was in memory, is all that is left.

The log is written on a disk of its own (`loop_disk.py`: ext4 in an image file, through a loop device). At
a random moment the writer is held still, the image is copied while the file system on it is dirty, and the
writer goes on. The copy is what a machine finds that lost its power at that moment: it is mounted, which
replays the journal, and the log on it is checked and opened.

* Every position that `append` had returned is there, at least, and no hole before the last one.
* Every entry is what was appended, its digest and the chain hold.

The control writes with the flush switched off, and has to lose what it acknowledged. Killing a process
would not show the difference: what a process has written is the kernel's, and survives it.

Needs root, the tools of ext4, and loop devices.
"""

import asyncio
import random
from collections.abc import Generator, Iterator
from pathlib import Path

from bench.torture.log_writer import MODULE, LogWriter, payload_at
from bench.torture.loop_disk import copy_image, make_image, mounted
from bench.torture.part import Part, Result, Trial
from eventlog.check import inspect
from eventlog.errors import LogError
from eventlog.lmdb_log import LmdbLog
from eventlog.log import Position
from eventlog.verifying import Finding

_CUTS_OF_ONE_DISK = 5
"""Then the disk is made anew: what a check costs grows with the log, and the disk is small."""


class PowerCuts:
    """A writer on a disk of its own, and what each of several power cuts leaves of its log.

    Raises `Impossible` if there can be no such disk.
    """

    def __init__(self, directory: Path) -> None:
        self._image = directory / "disk.img"
        self._copy = directory / "after-the-cut.img"
        self._disk = directory / "disk"
        self._disk_after = directory / "disk-after-the-cut"
        make_image(self._image)
        with mounted(self._image, self._disk):
            pass

    def run(
        self, seed: int, cuts: int, *options: str, module: str = MODULE
    ) -> Generator[tuple[Position, Path], None, None]:
        """Yield what was acknowledged at the moment of each cut, and what is left of what was written.

        `module` writes, a log unless told otherwise.
        """
        moments = random.Random(seed)
        written, left = self._disk / "written", self._disk_after / "written"
        with mounted(self._image, self._disk), LogWriter(written, seed, *options, module=module) as writer:
            writer.start_writing()
            for _ in range(cuts):
                writer.wait_until_acknowledged(writer.acknowledged + moments.randint(200, 2000))
                writer.stop()
                copy_image(self._image, self._copy)
                with mounted(self._copy, self._disk_after):
                    yield writer.acknowledged, left
                writer.resume()


def torture(trial: Trial) -> list[Result]:
    return [_cut(trial, "power cut while appending")]


def control(trial: Trial) -> list[Result]:
    return [_cut(trial, "power cut while appending", "--unsafe-no-flush")]


def _cut(trial: Trial, what: str, *options: str) -> Result:
    findings: list[str] = []
    times = looked_for = 0
    while not findings and (times == 0 or not trial.is_over):
        cuts = PowerCuts(trial.directory).run(trial.seed + times, _CUTS_OF_ONE_DISK, *options)
        for acknowledged, log in cuts:
            times, looked_for = times + 1, looked_for + acknowledged
            trial.says(f"cut {times}, {looked_for:,} entries looked for")
            findings += (f"cut {times}: {found}" for found in findings_after(acknowledged, log))
            if findings or trial.is_over:
                cuts.close()
                break
    return Result(what, times, findings, f"{looked_for:,} acknowledged entries looked for")


def findings_after(acknowledged: Position, log: Path) -> Iterator[str]:
    """What is wrong with a log on which so many entries were acknowledged."""
    try:
        reports = list(inspect(log))
    except FileNotFoundError as error:
        yield f"{acknowledged} acknowledged, and {error}"
        return
    damaged = [report.what for report in reports if isinstance(report, Finding)]
    yield from damaged
    if not damaged:  # else reading might end this process
        yield from asyncio.run(_findings_in_entries(acknowledged, log))


async def _findings_in_entries(acknowledged: Position, path: Path) -> list[str]:
    findings: list[str] = []
    try:
        log = await LmdbLog.open(path)
    except LogError as error:
        return [f"it cannot be opened: {error}"]
    try:
        if (head := await log.head()) < acknowledged:
            findings.append(f"{acknowledged} acknowledged, {head} there")
        async for entry in log.read():
            if entry.payload != payload_at(entry.position):
                findings.append(f"entry {entry.position} is not what was appended")
                break
    except LogError as error:
        findings.append(str(error))
    finally:
        await log.close()
    return findings


PART = Part(name="power-cut", method=__doc__ or "", run=torture, control=control, safeguard="the flush")
