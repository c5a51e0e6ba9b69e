"""The requirements of the first specification, held against the tests that name them.

The table of them is `make seed`.
"""

import ast
from pathlib import Path

import pytest

from tests.tidy.requirements import (
    ROOT,
    Requirement,
    Shown,
    read_requirements,
    read_tests,
    requirements_in,
    table,
)


@pytest.fixture(scope="module")
def requirements() -> list[Requirement]:
    return read_requirements()


@pytest.fixture(scope="module")
def shown() -> Shown:
    return read_tests()


def test_only_requirements_are_named(requirements: list[Requirement], shown: Shown) -> None:
    known = {one.id for one in requirements}
    assert sorted((shown.over_http.keys() | shown.otherwise.keys()) - known) == []


def test_every_requirement_is_shown_or_excused(requirements: list[Requirement], shown: Shown) -> None:
    """By a test over HTTP, or by a reason beside it in the list."""
    forgotten = [
        one.id for one in requirements if one.id not in shown.over_http and not one.not_shown_because
    ]
    assert forgotten == []


def test_nothing_shown_is_excused(requirements: list[Requirement], shown: Shown) -> None:
    """Whoever shows a requirement takes its reason away."""
    assert [one.id for one in requirements if one.id in shown.over_http and one.not_shown_because] == []


def test_the_readme_has_the_count(requirements: list[Requirement], shown: Shown) -> None:
    count = sum(one.id in shown.over_http for one in requirements)
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"{count} of the {len(requirements)} requirements" in readme


def test_the_list_is_the_whole_list(requirements: list[Requirement]) -> None:
    """A check of these checks: an empty list would be satisfied by anything."""
    ids = [one.id for one in requirements]
    runs = {"S": [*range(1, 13), *range(20, 31)]} | {
        letter: [*range(1, last + 1)]
        for letter, last in {"E": 14, "T": 5, "A": 9, "R": 6, "V": 8, "G": 13, "M": 15}.items()
    }
    assert ids == [f"{letter}{number:02}" for letter, numbers in runs.items() for number in numbers]
    assert all(len(one.clause.split()) > 3 for one in requirements)


MODULE = """
from pytest import mark
requirement = mark.requirement
pytestmark = [mark.anyio, mark.requirement("M01")]

@requirement("S01", "S02")
@mark.parametrize("x", "ab")
def test_one(x): ...

async def test_other(): ...

@requirement("S03")
def made_of_it(): ...
"""


def test_marks_of_tests_and_modules_are_read() -> None:
    named = dict(requirements_in(ast.parse(MODULE)))
    assert named == {"test_one": ["S01", "S02", "M01"], "test_other": ["M01"]}


def test_an_id_has_to_be_spelled_out() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(requirements_in(ast.parse("\n@requirement(S01)\ndef test_one(): ...")))


def test_only_who_speaks_http_shows_anything(tmp_path: Path) -> None:
    test = "import pytest\n{}\n@pytest.mark.requirement('S01')\ndef test_one(): ..."
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text(test.format("from tests.harness.client import Client"))
    (tmp_path / "tests/test_b.py").write_text(test.format(""))
    expected = Shown({"S01": ["tests/test_a.py::test_one"]}, {"S01": ["tests/test_b.py::test_one"]})
    assert read_tests(tmp_path) == expected


def test_the_table_has_a_row_for_each(requirements: list[Requirement], shown: Shown) -> None:
    assert table(requirements, shown.over_http).row_count == len(requirements)
