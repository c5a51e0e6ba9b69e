"""Which tests show which requirement of the first specification, as a table: `make seed`.

`requirements.tsv` has them all, each in a clause; one that no test shows has the reason beside it. A test
names what it shows by `@pytest.mark.requirement("S04", …)`, at itself or for its whole module. The tests are
read and not imported, so that the table is there in a second and needs nothing but the files.
"""

import ast
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

_MARK = "requirement"
_SPEAKS_HTTP = ("tests.harness.client", "tests.harness.server_process")
"""Only a test that talks to a server as clients do shows anything; others may name what they are about."""

NodeId: TypeAlias = str
"""As pytest takes it: file and function."""


class Requirement(NamedTuple):
    id: str
    clause: str
    not_shown_because: str


class Shown(NamedTuple):
    """Requirements by the tests that name them, in the order of the files."""

    over_http: Mapping[str, Sequence[NodeId]]
    otherwise: Mapping[str, Sequence[NodeId]]


def read_requirements() -> list[Requirement]:
    rows = csv.DictReader((HERE / "requirements.tsv").read_text().splitlines(), delimiter="\t")
    return [Requirement(row["id"], row["clause"], row["not_shown_because"]) for row in rows]


def read_tests(root: Path = ROOT) -> Shown:
    over_http: dict[str, list[NodeId]] = {}
    otherwise: dict[str, list[NodeId]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        module = ast.parse(path.read_text())
        found = over_http if _speaks_http(module) else otherwise
        for test, ids in requirements_in(module):
            for one in ids:
                found.setdefault(one, []).append(f"{path.relative_to(root)}::{test}")
    return Shown(over_http, otherwise)


def requirements_in(module: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """Each test of a module with the ids that it names."""
    of_all = list(_ids(mark for node in module.body for mark in _module_marks(node)))
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            # A set would do, but the order is the one in which they were written.
            yield node.name, list(dict.fromkeys([*_ids(node.decorator_list), *of_all]))


def _speaks_http(module: ast.Module) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.module in _SPEAKS_HTTP for node in module.body)


def _module_marks(node: ast.stmt) -> Iterable[ast.expr]:
    """What a statement says of every test of its module: `pytestmark = …`, one mark or a list of them."""
    match node:
        case ast.Assign(targets=[ast.Name(id="pytestmark")], value=ast.List(elts=marks)):
            return marks
        case ast.Assign(targets=[ast.Name(id="pytestmark")], value=mark):
            return [mark]
    return []


def _ids(marks: Iterable[ast.expr]) -> Iterator[str]:
    """Raises `ValueError` for an id that does not stand there as text: nobody could look for it."""
    for mark in marks:
        match mark:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments) if name == _MARK:
                for argument in arguments:
                    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                        raise ValueError(f"line {mark.lineno}: the id of a requirement is not spelled out")
                    yield argument.value


def table(requirements: Iterable[Requirement], tests: Mapping[str, Sequence[NodeId]]) -> Table:
    made = Table("id", "what it asks for", "tests", "the first of them", box=None, pad_edge=False)
    for one in requirements:
        shown_by = tests.get(one.id, ())
        first = shown_by[0].removeprefix("tests/") if shown_by else f"none: {one.not_shown_because}"
        made.add_row(one.id, one.clause, str(len(shown_by)), first)
    made.columns[2].justify = "right"
    for column in made.columns:
        column.no_wrap = True
        column.overflow = "ignore"
    return made


def main() -> None:
    requirements, tests = read_requirements(), read_tests().over_http
    made = table(requirements, tests)
    # As wide as it is: whoever looks for a test wants its whole name, in a terminal as in a file.
    console = Console(width=Console(width=10_000).measure(made).maximum, highlight=False)
    console.print(made)
    shown = sum(one.id in tests for one in requirements)
    console.print(f"{shown} of {len(requirements)} requirements are shown by tests")


if __name__ == "__main__":
    main()
