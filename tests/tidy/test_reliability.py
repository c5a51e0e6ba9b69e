"""What is said in public of bugs and of security: each bug is kept by a test, and what is linked is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_NODE_ID = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_COMMIT_OR_VERSION = re.compile(r"[0-9a-f]{7}|\d+\.\d+\.\d+")


class Bug(NamedTuple):
    what: str
    since: str
    found_by: str
    reproducer: str


def bugs_in(text: str) -> Iterator[Bug]:
    """The rows of all tables that have these four columns."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (
            line.startswith("|")
            and len(cells) == len(Bug._fields)
            and cells[0] not in ("---", "what went wrong")
        ):
            yield Bug(*cells)


BUGS = list(bugs_in((ROOT / "RELIABILITY.md").read_text()))


@pytest.mark.parametrize("name", ["RELIABILITY.md", "SECURITY.md"])
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_table_is_read() -> None:
    assert len(BUGS) >= 20
    assert len({bug.reproducer for bug in BUGS}) == len(BUGS)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.reproducer.strip("`").split("::")[-1])
def test_its_reproducer_is_there(bug: Bug) -> None:
    named = _NODE_ID.fullmatch(bug.reproducer)
    assert named is not None, bug.reproducer
    module = ast.parse((ROOT / named[1]).read_text())
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert named[2] in {function.name for function in functions}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.reproducer.strip("`").split("::")[-1])
def test_it_is_told_since_when_and_how(bug: Bug) -> None:
    assert bug.what.endswith(".")
    assert _COMMIT_OR_VERSION.fullmatch(bug.since)
    assert bug.found_by
