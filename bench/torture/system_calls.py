"""Failed system calls: every one that keeps an entry fails once, each in a run of its own.

A process makes a log and appends to it, under strace, which lets the n-th call of a kind fail with EIO or
ENOSPC, for n = 1, 2, 3 … until a run completes because it makes fewer calls than that; once alone, and
once with all that follow, as on a disk that is gone. Only calls on the files of the log count: those that
start the interpreter would be hundreds. After each run

* nothing that was acknowledged may be missing, to the process itself or to who opens the log after it;
* the failure must have been told, by an exception and not by a signal, and a second try been refused
  (where it concerns an entry; a file that was only looked for, or the owner's note, may do without);
* from the moment that the process knew, it must not have written once: the trace would show it;
* the log opens without help, is whole, and takes an entry.

What is injected never reaches the disk, so this shows how a failure is borne, not what a disk does that
fails. The control is a writer for which a failed flush is nothing to stop for, as LMDB does by itself.

Needs strace, and the right to trace one's own children.
"""

import asyncio
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.processes import clean_environment
from bench.torture.failing_storage import KNOWN, Outcome
from bench.torture.log_writer import payload_at
from bench.torture.part import Impossible, Part, Result, Trial
from eventlog.errors import LogError
from eventlog.lmdb_log import LmdbLog

CALLS = ("fdatasync", "fsync", "pwrite64", "writev", "ftruncate", "openat")
ERRORS = ("EIO", "ENOSPC")
BATCHES = 5
"""Enough for pages to be reused. More would repeat the same calls in the same order."""
_FILES = ("", "owner", "data.mdb", "lock.mdb", "new", "new/data.mdb", "new/lock.mdb", KNOWN)
"""Of the log; calls on others are neither counted nor made to fail."""
_ON_ENTRIES = re.compile(r"(fdatasync|fsync|pwrite64|writev|ftruncate)\(\d+<[^>]*/data\.mdb>")
_SECONDS_MAX = 60


@dataclass
class Fault:
    """A kind of call, an error, and how often it was tried."""

    call: str
    error: str
    is_lasting: bool
    times: int = 0
    findings: list[str] = field(default_factory=list)
    is_done: bool = False
    """A run was completed without meeting the fault."""

    def __str__(self) -> str:
        return f"{self.error} at {self.call}" + (" and all after it" if self.is_lasting else "")


def torture(trial: Trial) -> list[Result]:
    _refuse_without_strace(trial.directory)
    faults = [
        Fault(call, error, is_lasting) for is_lasting in (False, True) for error in ERRORS for call in CALLS
    ]
    for n, fault in _in_turn(faults):
        trial.says(f"{fault}, call {n}")
        _try(trial.directory / "log", fault, n)
        if trial.is_over:
            break
    return [_result(call, [fault for fault in faults if fault.call == call]) for call in CALLS]


def control(trial: Trial) -> list[Result]:
    _refuse_without_strace(trial.directory)
    fault = Fault("fdatasync", "EIO", is_lasting=False)
    for n, _ in _in_turn([fault]):
        _try(trial.directory / "log", fault, n, "--goes-on")
        if fault.findings:
            break
    return [_result(fault.call, [fault])]


def _in_turn(faults: Sequence[Fault]) -> Iterator[tuple[int, Fault]]:
    """The first call of each kind, the second of each, and so on until all are done."""
    for n in itertools.count(1):
        waiting = [fault for fault in faults if not fault.is_done]
        if not waiting:
            return
        yield from ((n, fault) for fault in waiting)


def _result(call: str, faults: Sequence[Fault]) -> Result:
    times = sum(fault.times for fault in faults)
    calls = min(fault.times for fault in faults)
    end = "then a run completed" if all(fault.is_done for fault in faults) else "the time was up"
    note = f"n = 1 to {calls}; {end}"
    return Result(
        f"{call} fails", times, [found for fault in faults for found in fault.findings], note if times else ""
    )


def _refuse_without_strace(directory: Path) -> None:
    if shutil.which("strace") is None:
        raise Impossible("strace is not installed (Debian, Ubuntu: apt install strace)")
    found = subprocess.run(
        ["strace", "-f", "-o", "/dev/null", "true"], cwd=directory, capture_output=True, text=True
    )
    if found.returncode:
        raise Impossible(f"strace may not trace here: {found.stderr.strip().splitlines()[-1]}")


def _try(log: Path, fault: Fault, n: int, *options: str) -> None:
    """One run with the n-th call failing, and a look at what it left."""
    trace = log.with_name("trace")
    when = f"{n}+" if fault.is_lasting else f"{n}"
    inject = f"inject={fault.call}:error={fault.error}:when={when}"
    paths = [option for file in _FILES for option in ("-P", str(log / file))]
    module = [sys.executable, "-m", "bench.torture.failing_storage", str(log), f"--batches={BATCHES}"]
    run = subprocess.run(
        [
            "strace",
            "-f",
            "-y",
            "-qq",
            "-o",
            str(trace),
            *paths,
            "-e",
            _TRACED,
            "-e",
            inject,
            *module,
            *options,
        ],
        env=clean_environment(),
        capture_output=True,
        timeout=_SECONDS_MAX,
    )
    calls = trace.read_text().splitlines()
    if any("INJECTED" in line for line in calls):
        fault.times += 1
        fault.findings += (f"{fault}, call {n}: {what}" for what in _findings(run, calls, log))
    else:
        fault.is_done = True
    shutil.rmtree(log, ignore_errors=True)


_TRACED = f"trace=%file,{','.join(CALLS)}"


def _findings(run: subprocess.CompletedProcess[bytes], calls: Sequence[str], log: Path) -> Iterator[str]:
    if run.returncode:
        yield f"the process ended with status {run.returncode}: {run.stderr.decode().strip()[-200:]}"
        outcome = Outcome()
    else:
        outcome = msgspec.json.decode(run.stdout, type=Outcome)
        injected = [line for line in calls if "INJECTED" in line]
        if not outcome.first and any(map(_ON_ENTRIES.search, injected)):
            yield "the failure was not told"
        if outcome.first and not outcome.then:
            yield "a write after the failure was acknowledged"
        if outcome.readable < outcome.acknowledged:
            yield f"{outcome.acknowledged} acknowledged, {outcome.readable} readable afterwards"
    known = next((place for place, line in enumerate(calls) if KNOWN in line), len(calls))
    for line in calls[known:]:
        if _ON_ENTRIES.search(line) and "INJECTED" not in line:
            yield f"written after the failure was known: {line}"
    try:
        head = asyncio.run(_reopen(log))
        if head < outcome.acknowledged:
            yield f"{outcome.acknowledged} acknowledged, {head} there when it was opened again"
    except (LogError, OSError, _Differs) as error:
        yield f"opened again: {error}"


class _Differs(Exception):
    """An entry is not what was appended."""


async def _reopen(path: Path) -> int:
    """Open, read everything, append one entry; returns what the head was before."""
    log = await LmdbLog.open(path, free_bytes_min=0)
    try:
        head = await log.head()
        async for entry in log.read():
            if entry.payload != payload_at(entry.position):
                raise _Differs(f"entry {entry.position} is not what was appended")
        await log.append([b"after the failure"], after=head)
    finally:
        await log.close()
    return head


PART = Part(
    name="system-calls",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="stopping at the first failed flush",
    share=2,
)
