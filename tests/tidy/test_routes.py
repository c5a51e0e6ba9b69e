"""What is served, held against the whole list of the client-server API's operations.

`operations.tsv` has them all, of today and of 2015, each with its tier: 0 is what the project is about, 1
is what common clients use, 2 is the rest. Whatever is not served stands in `not_yet.txt` below its reason,
so that every change shows what it brings, and that nothing is forgotten in silence.

`python -m tests.tidy.test_routes` says how many there are.
"""

import csv
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest

from server.app import ROUTES
from server.http.routing import RouteTable

HERE = Path(__file__).parent

Operation: TypeAlias = tuple[str, str]
"""Method and path; parameters are `{}`, whatever they are called."""


class Operations(NamedTuple):
    """All of them, and those of them that are served."""

    tiers: Mapping[Operation, int]
    served: frozenset[Operation]
    missing: Mapping[Operation, str]
    """With the reasons."""


def operation(method: str, path: str) -> Operation:
    return method, re.sub(r"{\w+}", "{}", path)


def tiers_in(text: str) -> dict[Operation, int]:
    rows = csv.DictReader(text.splitlines(), delimiter="\t")
    return {operation(row["method"], row["path"]): int(row["tier"]) for row in rows}


def reasons_in(text: str) -> dict[Operation, str]:
    """Indented lines are operations; the line above them, which is not, is why they are missing."""
    reasons: dict[Operation, str] = {}
    reason = ""
    for line in filter(None, text.splitlines()):
        if not line.startswith(" "):
            reason = line
            continue
        method, path = line.split()
        named = operation(method, path)
        if named in reasons:
            raise ValueError(f"{method} {path} is named twice")
        reasons[named] = reason
    return reasons


@pytest.fixture(scope="module")
def operations() -> Operations:
    return read_operations()


def read_operations() -> Operations:
    tiers = tiers_in((HERE / "operations.tsv").read_text())
    routes = {operation(method, path) for method, path in RouteTable(ROUTES).operations}
    missing = reasons_in((HERE / "not_yet.txt").read_text())
    return Operations(tiers, frozenset(routes & tiers.keys()), missing)


def test_every_operation_is_served_or_named(operations: Operations) -> None:
    forgotten = operations.tiers.keys() - operations.served - operations.missing.keys()
    assert sorted(forgotten) == []


def test_nothing_served_is_named_as_missing(operations: Operations) -> None:
    """Whoever adds an operation takes its line out of `not_yet.txt`."""
    assert sorted(operations.served & operations.missing.keys()) == []


def test_only_operations_are_named_as_missing(operations: Operations) -> None:
    assert sorted(operations.missing.keys() - operations.tiers.keys()) == []


def test_what_is_missing_has_a_reason(operations: Operations) -> None:
    assert all(reason.endswith(".") and len(reason.split()) > 3 for reason in operations.missing.values())


def test_the_list_is_the_whole_list(operations: Operations) -> None:
    """A check of this check: an empty list would be satisfied by anything."""
    assert len(operations.tiers) > 200
    assert {0, 1, 2} == set(operations.tiers.values())
    assert ("PUT", "/_matrix/client/v3/rooms/{}/send/{}/{}") in operations.served
    assert ("PUT", "/_matrix/client/api/v1/rooms/{}/send/{}/{}") in operations.served


def test_reasons_stand_above_their_operations() -> None:
    text = "Not needed.\n    GET /a/{b}\n    PUT /a/{b}\n\nToo hard.\n    GET /c\n"
    assert reasons_in(text) == {
        ("GET", "/a/{}"): "Not needed.",
        ("PUT", "/a/{}"): "Not needed.",
        ("GET", "/c"): "Too hard.",
    }
    with pytest.raises(ValueError, match="named twice"):
        reasons_in(text + "    GET /a/{other}\n")


if __name__ == "__main__":
    known = read_operations()
    sys.stdout.write(f"{len(known.served)} of {len(known.tiers)} operations are served\n")
    for tier in (0, 1, 2):
        of_tier = {one for one, its_tier in known.tiers.items() if its_tier == tier}
        sys.stdout.write(f"  tier {tier}: {len(of_tier & known.served)} of {len(of_tier)}\n")
