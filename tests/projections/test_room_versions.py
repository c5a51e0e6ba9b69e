"""The table of room versions: what is in it, and that nobody changes it."""

from typing import Any

import pytest

from projections.room_versions import DEFAULT, SUPPORTED, room_version


def test_default_version_is_supported() -> None:
    assert DEFAULT in SUPPORTED


def test_versions_since_canonical_json_are_supported() -> None:
    assert list(SUPPORTED) == ["6", "7", "8", "9", "10", "11", "12"]


@pytest.mark.parametrize(
    ("trait", "versions"),
    [
        ("levels_may_be_text", ["6", "7", "8", "9"]),
        ("creator_is_in_content", ["6", "7", "8", "9", "10"]),
        ("redacts_is_in_content", ["11", "12"]),
        ("room_id_is_hash", ["12"]),
        ("creators_outrank_all", ["12"]),
    ],
)
def test_trait_belongs_to(trait: str, versions: list[str]) -> None:
    assert [name for name, version in SUPPORTED.items() if getattr(version, trait)] == versions


@pytest.mark.parametrize(
    ("join_rule", "first"),
    [("public", "6"), ("invite", "6"), ("knock", "7"), ("restricted", "8"), ("knock_restricted", "10")],
)
def test_join_rule_stays_once_it_has_come(join_rule: str, first: str) -> None:
    names = list(SUPPORTED)
    knowing = [name for name in names if join_rule in SUPPORTED[name].join_rules]
    assert knowing == names[names.index(first) :]


@pytest.mark.parametrize("name", SUPPORTED)
def test_row_bears_the_name_it_is_found_by(name: str) -> None:
    assert SUPPORTED[name].name == name


@pytest.mark.parametrize(
    "name", ["", "0", "1", "2", "3", "4", "5", "13", "011", "11.0", "12 ", "org.example.own"]
)
def test_unknown_version_has_no_traits(name: str) -> None:
    assert room_version(name) is None


def test_table_is_read_only() -> None:
    table: Any = SUPPORTED
    with pytest.raises(TypeError):
        table["13"] = SUPPORTED["12"]


def test_row_is_frozen() -> None:
    row: Any = SUPPORTED["11"]
    with pytest.raises(AttributeError):
        row.name = "12"
