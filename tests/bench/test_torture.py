"""Torture in its shortest form: every part finds out its control, and finds nothing else."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.progress import silent
from bench.torture import full_disk, kill
from bench.torture.part import Impossible, Part, Result, Trial
from bench.torture.registry import PARTS
from bench.torture.session import Outcome, told, torture
from tests.server.cli.conftest import SCRIPT, clean_environment

SEED = 1
FOUND = Result("what was tried", 1, ["something is missing"])
CLEAN = Result("what was tried", 1)


def trial_in(directory: Path, seconds: float = 0) -> Trial:
    return Trial(directory, SEED, seconds)


def tried(*results: Result) -> Part:
    """A part of which the first result is of the real thing and the others are of its controls."""

    def run(trial: Trial) -> Sequence[Result]:
        (trial.directory / "left behind").touch()
        return results[:1]

    return Part("pretended", "", run, lambda trial: results[1:], "the flush")


def impossible(trial: Trial) -> Sequence[Result]:
    raise Impossible("only root may")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_control_is_found_out(part: Part, tmp_path: Path) -> None:
    try:
        results = part.control(trial_in(tmp_path, seconds=30))
    except Impossible as reason:
        pytest.skip(str(reason))
    assert results
    assert [result for result in results if not result.findings] == []


@pytest.mark.parametrize(
    "seconds", [pytest.param(0, id="short"), pytest.param(10, id="long", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_nothing_is_found(part: Part, seconds: float, tmp_path: Path) -> None:
    try:
        results = part.run(trial_in(tmp_path, seconds))
    except Impossible as reason:
        pytest.skip(str(reason))
    assert sum(result.times for result in results) > 0
    assert [result for result in results if result.findings] == []


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_tells_its_method(part: Part) -> None:
    assert len(part.method.splitlines()) > 5


def test_a_clean_run_with_a_found_control_held(tmp_path: Path) -> None:
    assert torture(tried(CLEAN, FOUND), tmp_path, SEED, 1, silent()).verdict == "held"


def test_a_finding_fails(tmp_path: Path) -> None:
    outcome = torture(tried(FOUND, FOUND), tmp_path, SEED, 1, silent())
    assert (outcome.verdict, outcome.failures) == ("FAILED", ["something is missing"])


def test_a_blind_control_fails(tmp_path: Path) -> None:
    outcome = torture(tried(CLEAN, FOUND, CLEAN), tmp_path, SEED, 1, silent())
    assert outcome.verdict == "FAILED"
    assert "without the flush nothing was found" in outcome.failures[0]


def test_what_cannot_be_tried_is_skipped_with_the_reason(tmp_path: Path) -> None:
    part = Part("pretended", "", impossible, impossible, "the flush")
    outcome = torture(part, tmp_path, SEED, 1, silent())
    assert outcome.verdict == "skipped"
    assert told([outcome], SEED, 1) == [
        "pretended skipped: only root may",
        "verdict: 0 held, 0 FAILED, 1 skipped",
    ]


def test_a_failure_comes_with_its_reproducer() -> None:
    lines = told([Outcome(tried(FOUND), [FOUND], [FOUND])], seed=7, minutes=2.5)
    assert lines[0].endswith("roomlog torture --only pretended --seed 7 --minutes 2.5")
    assert lines[1:] == ["  something is missing", "verdict: 0 held, 1 FAILED, 0 skipped"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    torture(tried(CLEAN, FOUND), tmp_path, SEED, 1, silent())
    assert list(tmp_path.iterdir()) == []


def roomlog_torture(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, "torture", "--minutes", "0", *options],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_a_table_and_a_verdict(tmp_path: Path) -> None:
    done = roomlog_torture(tmp_path, "--only", "kill", "--seed", "3")
    assert done.returncode == 0, done.stdout
    assert "seed 3" in done.stdout
    assert "kill -9 under load" in done.stdout
    assert done.stdout.endswith("verdict: 1 held, 0 FAILED, 0 skipped\n")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_part_is_wrong_use(tmp_path: Path) -> None:
    done = roomlog_torture(tmp_path, "--only", "wishes")
    assert done.returncode == 2
    assert all(part.name in done.stderr for part in PARTS)


def test_a_server_that_will_not_start_is_a_finding(tmp_path: Path) -> None:
    result = kill.kill_until_over(trial_in(tmp_path), "pretended", ("no.such.module",))
    assert "the server ended with 1" in result.findings[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk")
@pytest.mark.parametrize("left", [0, 1 << 20])
def test_a_filled_disk_has_as_much_left_as_was_asked(tmp_path: Path, left: int) -> None:
    try:
        with full_disk.disk_in(tmp_path) as disk:
            full_disk.fill(disk / "others", left=left)
            found = os.statvfs(disk)
            assert left <= found.f_bavail * found.f_frsize < left + 64 * 1024
    except Impossible as reason:
        pytest.skip(str(reason))
