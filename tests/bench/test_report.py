"""What stands beside every number."""

import json
from pathlib import Path

import msgspec
import pytest

from bench import report
from bench.figures import Spread
from bench.report import Conditions, FileSystem


@pytest.fixture
def stated(tmp_path: Path) -> Conditions:
    return report.conditions(tmp_path, seed=7, are_processes_apart=True)


def test_the_flush_mode_is_told(stated: Conditions) -> None:
    assert f"flush: {report.FLUSH_MODE}" in report.described(stated)


def test_the_file_system_is_told(stated: Conditions) -> None:
    assert f"data on {stated.file_system.kind} on {stated.file_system.device}" in report.described(stated)


def test_changes_since_the_commit_are_told(stated: Conditions) -> None:
    dirty = msgspec.structs.replace(stated, commit="1a2b3c4", is_dirty=True)
    assert "1a2b3c4 with changes" in report.described(dirty)


def test_storage_in_memory_is_told(stated: Conditions) -> None:
    in_memory = msgspec.structs.replace(stated, file_system=FileSystem("tmpfs", "tmpfs"))
    assert "nothing here is durable" in report.described(in_memory)


def test_the_kernels_own_file_system_is_found() -> None:
    assert report.file_system_of(Path("/proc")).kind == "proc"


def test_a_line_has_conditions_and_figures(stated: Conditions) -> None:
    line = report.json_line(stated, {"append": Spread.of([1.0, 2.0, 3.0])})
    read = json.loads(line)
    assert "\n" not in line
    assert (read["seed"], read["flush_mode"], read["append"]["median"]) == (7, report.FLUSH_MODE, 2.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(12_345.6, "12,346"), (99.94, "99.9"), (1.234, "1.23"), (0.1234, "0.123"), (-4.391, "-4.39")],
)
def test_numbers_have_few_digits(value: float, expected: str) -> None:
    assert report.number(value) == expected
