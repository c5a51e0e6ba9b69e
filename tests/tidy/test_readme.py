"""What the README says of the project holds: its count, its links, its options."""

import inspect
import re
from pathlib import Path

import pytest

from server.cli.serve import serve
from tests.tidy.test_routes import read_operations

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def test_the_count_of_operations_is_true(readme: str) -> None:
    known = read_operations()
    assert f"{len(known.served)} of {len(known.tiers)} operations" in readme
    began_with = {one for one, tier in known.tiers.items() if tier == 0}
    assert f"all {len(began_with)} that the project began with" in readme
    assert began_with <= known.served


def test_every_link_leads_to_a_file(readme: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", readme) if not link.startswith("http")]
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("option", inspect.signature(serve).parameters)
def test_every_option_is_named(readme: str, option: str) -> None:
    assert f"--{option.replace('_', '-')} " in " ".join(readme.split())
