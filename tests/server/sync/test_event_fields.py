"""Paths of fields, and events cut down to them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sync.event_fields import EventFields, keys_of

EVENT: dict[str, Any] = {
    "content": msgspec.Raw(b'{"body":"hello","m.relates_to":{"event_id":"$1","rel_type":"x"},"n":{"o":1}}'),
    "event_id": "$2",
    "origin_server_ts": 1,
    "sender": "@alice:localhost",
    "type": "m.room.message",
    "unsigned": {"age": 5, "membership": "join"},
}
ALWAYS = {"event_id": "$2", "origin_server_ts": 1, "sender": "@alice:localhost", "type": "m.room.message"}


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("content", ["content"]),
        ("content.body", ["content", "body"]),
        (r"content.m\.relates_to.event_id", ["content", "m.relates_to", "event_id"]),
        (r"a\\.b", ["a\\", "b"]),
        (r"a\\\.b", ["a\\.b"]),
        (r"a\b", ["a\\b"]),
        ("a\\", ["a\\"]),
        ("", [""]),
        ("a.", ["a", ""]),
        ("..", ["", "", ""]),
    ],
)
def test_a_path_goes_through_its_keys(path: str, keys: list[str]) -> None:
    assert keys_of(path) == keys


@given(st.lists(st.text(alphabet="ab.\\\n"), min_size=1))
def test_every_key_can_be_written_into_a_path(keys: list[str]) -> None:
    escaped = (key.replace("\\", "\\\\").replace(".", "\\.") for key in keys)
    assert keys_of(".".join(escaped)) == keys


@pytest.mark.parametrize(
    ("paths", "more"),
    [
        (["type"], {"content": {}}),
        (["content"], {"content": EVENT["content"]}),
        (["content.body"], {"content": {"body": "hello"}}),
        ([r"content.m\.relates_to.rel_type"], {"content": {"m.relates_to": {"rel_type": "x"}}}),
        (["content.m.relates_to"], {"content": {}}),
        (["content.body", "content"], {"content": EVENT["content"]}),
        (["content", "content.body"], {"content": EVENT["content"]}),
        (["content.body.more"], {"content": {}}),
        (["content.n", "content.n.o"], {"content": {"n": {"o": 1}}}),
        (["unsigned.age"], {"content": {}, "unsigned": {"age": 5}}),
        (["nothing.of.it"], {"content": {}}),
    ],
)
def test_an_event_keeps_what_was_asked_for(paths: list[str], more: dict[str, Any]) -> None:
    assert EventFields(paths).of(EVENT) == ALWAYS | more


def test_state_stays_state() -> None:
    assert EventFields(["content"]).of({**EVENT, "state_key": ""})["state_key"] == ""
