"""What a filter is, and which types it means."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.events import event_from
from server.errors import ErrorCode, MatrixError
from server.sync.filters import EventFilter, RoomEventFilter, parse_event_filter, parse_filter


def refusal_of(definition: Any) -> str:
    with pytest.raises(MatrixError) as caught:
        parse_filter(json.dumps(definition))
    assert caught.value.kind is ErrorCode.INVALID_PARAM
    return caught.value.message


def within(section: str, field: dict[str, Any]) -> dict[str, Any]:
    """A filter with one field in one of its sections."""
    *outer, last = section.split(".")
    nested: dict[str, Any] = {last: field}
    for name in reversed(outer):
        nested = {name: nested}
    return nested


ROOM_SECTIONS = ("room.timeline", "room.state", "room.ephemeral", "room.account_data")
SECTIONS = ("presence", "account_data", *ROOM_SECTIONS)


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    "field",
    [
        {"limit": "many"},
        {"limit": -1},
        {"limit": 1.5},
        {"types": "m.room.message"},
        {"types": [1]},
        {"types": ["m.x"] * 101},
        {"types": ["*" * 101]},
        {"not_types": {}},
        {"not_types": ["*a"] * 60 + ["b*b*"] * 40},
        {"senders": [None]},
        {"senders": ["alice"]},
        {"not_senders": ["#alice:localhost"]},
    ],
    ids=json.dumps,
)
def test_a_bad_field_is_named(section: str, field: dict[str, Any]) -> None:
    message = refusal_of(within(section, field))
    [name] = field
    assert name in message
    assert section in message


@pytest.mark.parametrize("section", ROOM_SECTIONS)
@pytest.mark.parametrize(
    "field",
    [
        {"rooms": "!room:localhost"},
        {"rooms": ["room"]},
        {"not_rooms": ["#room:localhost"]},
        {"contains_url": "yes"},
        {"lazy_load_members": 1},
        {"include_redundant_members": "true"},
        {"unread_thread_notifications": []},
    ],
    ids=json.dumps,
)
def test_a_bad_field_of_a_room_section_is_named(section: str, field: dict[str, Any]) -> None:
    message = refusal_of(within(section, field))
    [name] = field
    assert f"$.{section}.{name}" in message


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        ({"event_fields": "type"}, "$.event_fields"),
        ({"event_fields": ["type"] * 101}, "$.event_fields"),
        ({"event_format": "xml"}, "$.event_format"),
        ({"room": {"rooms": ["room"]}}, "$.room.rooms"),
        ({"room": {"not_rooms": [1]}}, "$.room.not_rooms"),
        ({"room": {"include_leave": "no"}}, "$.room.include_leave"),
        ({"presence": []}, "$.presence"),
    ],
)
def test_a_bad_field_of_the_whole_is_named(definition: Any, place: str) -> None:
    assert place in refusal_of(definition)


def test_unknown_keys_are_ignored() -> None:
    definition = {"org.example": 1, "room": {"org.example": 1, "timeline": {"org.example": 1}}}
    assert parse_filter(json.dumps(definition)) == parse_filter("{}")


def test_what_is_nested_without_end_is_no_filter() -> None:
    with pytest.raises(MatrixError):
        parse_filter('{"room":' * 5_000)


def test_an_id_is_no_filter_where_it_has_to_be_inline() -> None:
    with pytest.raises(MatrixError, match="itself"):
        parse_event_filter("66696p746572")


texts = st.text(alphabet="ab*", max_size=8)


@given(wildcards=st.lists(texts, max_size=3), event_type=st.text(alphabet="ab*", max_size=8))
def test_an_asterisk_stands_for_any_text(wildcards: list[str], event_type: str) -> None:
    expressions = (".*".join(map(re.escape, wildcard.split("*"))) for wildcard in wildcards)
    expected = any(re.fullmatch(expression, event_type) for expression in expressions)
    assert EventFilter(types=wildcards).admits_type(event_type) == expected
    assert EventFilter(not_types=wildcards).admits_type(event_type) == (not expected)


def test_a_wildcard_with_many_asterisks_is_tried_once() -> None:
    """Tried in every combination, this would not end."""
    assert not EventFilter(types=["a*" * 99 + "b"]).admits_type("a" * 255)


@pytest.mark.parametrize(
    ("senders", "not_senders", "expected"),
    [
        (None, [], True),
        ([], [], False),
        (["@a:b"], [], True),
        (["@c:d"], [], False),
        (None, ["@a:b"], False),
        (["@a:b"], ["@a:b"], False),
    ],
)
def test_who_is_left_out_is_left_out(
    senders: list[str] | None, not_senders: list[str], expected: bool
) -> None:
    named = None if senders is None else frozenset(senders)
    wanted = EventFilter(senders=named, not_senders=frozenset(not_senders))
    assert wanted.admits_sender("@a:b") is expected


@pytest.mark.parametrize(
    ("contains_url", "expected"), [(None, (True, True)), (True, (True, False)), (False, (False, True))]
)
def test_content_with_a_url_is_told_apart(contains_url: bool | None, expected: tuple[bool, bool]) -> None:
    wanted = RoomEventFilter(contains_url=contains_url)
    contents: list[dict[str, Any]] = [{"url": "mxc://localhost/a"}, {"body": "url"}]
    made = [
        event_from({"type": "m", "sender": "@a:b", "origin_server_ts": 1, "content": content})
        for content in contents
    ]
    assert tuple(wanted.admits(one) for one in made) == expected
