"""The table of room versions: what is in it, and that nobody changes it."""

from typing import Any

import pytest

from projections.room_versions import DEFAULT, SUPPORTED, room_version


def test_default_version_is_supported() -> None:
    assert DEFAULT in SUPPORTED


def test_version_11_is_supported() -> None:
    assert room_version("11") is SUPPORTED["11"]


@pytest.mark.parametrize("name", SUPPORTED)
def test_row_bears_the_name_it_is_found_by(name: str) -> None:
    assert SUPPORTED[name].name == name


@pytest.mark.parametrize("name", ["", "0", "011", "11.0", "org.example.own"])
def test_unknown_version_has_no_traits(name: str) -> None:
    assert room_version(name) is None


def test_table_is_read_only() -> None:
    table: Any = SUPPORTED
    with pytest.raises(TypeError):
        table["12"] = SUPPORTED["11"]


def test_row_is_frozen() -> None:
    row: Any = SUPPORTED["11"]
    with pytest.raises(AttributeError):
        row.name = "12"
