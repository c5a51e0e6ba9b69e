"""Every limit of the server is told by the README, with its number, or is nobody's business but its own."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHIN = {
    "server.api.sync_v1.LIMIT_MAX": "that of a page",
    "server.app._CONNECTIONS_WAITING_MAX": "how many the system holds until the server looks",
    "server.appservices.delivery._DOUBLINGS_MAX": "of a pause",
    "server.appservices.delivery._ENTRIES_LOOKED_AT_MAX": "a step, after which others have their turn",
    "server.appservices.delivery.ENTRIES_UNRECORDED_MAX": "how often progress is put on record",
    "server.appservices.interest.ROOMS_REMEMBERED_MAX": "a cache",
    "server.appservices.queries.USERS_MAX": "that of a new room",
    "server.appservices.queries._SHOWN_BYTES_MAX": "how much of a strange answer is quoted",
    "server.appservices.registration._NESTING_MAX": "of a file of the operator's",
    "server.http.doorkeeper.TOLD_MAX": "how many are told that they are too many",
    "server.http.limits.KEY_CHARACTERS_MAX": "how names are remembered",
    "server.rate_limits.BURST_MAX": "what the operator may set",
    "server.rate_limits.PER_SECOND_MAX": "what the operator may set",
    "server.rooms.canonical_json.INTEGER_MAX": "what a number is",
    "server.rooms.canonical_json.NESTING_MAX": "that of a body",
    "server.rooms.upgrading._REASON_CHARACTERS_MAX": "what is copied of a ban",
    "server.sync.audience.FOLLOWERS_MAX": "a cache",
    "server.sync.audience.ROOMS_WITH_NEWS_MAX": "what is not remembered is looked up",
    "server.sync.legacy._ENTRIES_WALKED_AT_ONCE_MAX": "a step, after which others have their turn",
    "server.sync.legacy._EVENTS_WALKED_AT_ONCE_MAX": "a step, after which others have their turn",
    "server.sync.room_sections._EVENTS_LOOKED_AT_MAX": "that of a page",
    "server.sync.summaries._HEROES_MAX": "the specification's",
    "server.sync.timestamps._EVENTS_LOOKED_AT_ONCE_MAX": "a step, after which others have their turn",
    "server.users.account.ROOMS_LEFT_MAX": "an entry, after which comes the next",
    "server.users.erasing.ENTRIES_MAX": "an entry, after which comes the next",
    "server.users.erasing._SECONDS_WITHOUT_LOOKING_MAX": "how often is looked",
    "server.users.profiles.ROOMS_TOLD_MAX": "an entry, after which comes the next",
}
"""Limits that no client meets, or that are another one's; and what they are of."""


def limits_in(path: Path) -> Iterator[str]:
    """Full names of the module's constants that end in _MAX."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.parse(path.read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
        for name in (one for target in targets for one in ast.walk(target)):
            if isinstance(name, ast.Name) and name.id.endswith("_MAX") and isinstance(name.ctx, ast.Store):
                yield f"{module}.{name.id}"


LIMITS = sorted(name for path in (ROOT / "server").rglob("*.py") for name in limits_in(path))


@pytest.fixture(scope="module")
def told() -> str:
    """The README's section about limits."""
    found = re.search(r"^## Limits\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def forms_of(amount: int, name: str) -> list[str]:
    """How an amount may be written."""
    forms = [f"{amount:,}"]
    if "BYTES" in name:
        forms += [
            f"{amount // unit} {word}"
            for unit, word in ((1 << 20, "MiB"), (1 << 10, "KiB"))
            if amount % unit == 0
        ]
    if name.endswith("_MS_MAX"):
        forms.append(f"{amount // 1000} s")
    return forms


@pytest.mark.parametrize("name", [name for name in LIMITS if name not in WITHIN])
def test_a_limit_is_told(told: str, name: str) -> None:
    module, _, constant = name.rpartition(".")
    amount = getattr(importlib.import_module(module), constant)
    forms = "|".join(map(re.escape, forms_of(amount, constant)))
    assert re.search(rf"(?<![\d,])(?:{forms})(?!,?\d)", told), amount


def test_what_is_not_told_is_there() -> None:
    assert sorted(WITHIN.keys() - {*LIMITS}) == []


def test_the_limits_are_found() -> None:
    """A check of this check."""
    assert len(LIMITS) > 30
    assert "server.http.parsing.BODY_BYTES_MAX" in LIMITS
