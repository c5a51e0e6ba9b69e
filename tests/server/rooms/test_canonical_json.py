"""The canonical spelling of JSON, held against the specification's own definition by Python's `json`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ErrorCode, MatrixError
from server.rooms.canonical_json import INTEGER_MAX, NESTING_MAX, check, encode

# Hypothesis leaves surrogates out of text; what is in it besides is what the encoders might differ on.
awkward = st.text(
    st.sampled_from(
        '"\\/\b\f\n\r\t\x00\x01\x1f\x20\x7f\x80\xa0\xe9\u2028\u2029\ud7ff\ue000\ufeff\uffff\U00010000\U0010ffff'
    )
)
strings = awkward | st.text()
canonical_values = st.recursive(
    st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | strings,
    lambda inner: st.lists(inner) | st.dictionaries(strings, inner),
)


@given(canonical_values)
def test_encodes_as_the_specification_defines(value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    assert encode(value) == expected


@given(canonical_values)
def test_every_checked_value_can_be_read_back(value: Any) -> None:
    check(value)
    assert json.loads(encode(value)) == value


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        ({}, "{}"),
        ({"one": 1, "two": "Two"}, '{"one":1,"two":"Two"}'),
        ({"b": "2", "a": "1"}, '{"a":"1","b":"2"}'),
        ({"本": 2, "日": 1}, '{"日":1,"本":2}'),
        ({"a": "\u65e5"}, '{"a":"日"}'),
        ({"a": None}, '{"a":null}'),
        ({"\ufb03": 1, "\U0001f600": 2}, '{"\ufb03":1,"\U0001f600":2}'),  # not in UTF-16's order
        ({"a": "\x1f\x7f/"}, '{"a":"\\u001f\x7f/"}'),
        ({"a": -0}, '{"a":0}'),
    ],
)
def test_known_values_have_their_known_spelling(value: Any, spelling: str) -> None:
    assert encode(value) == spelling.encode()


def wrappings(value: Any) -> list[Any]:
    return [value, [value], {"key": value}, {"a": [{"b": [0, value]}]}]


@pytest.mark.parametrize("number", [0.0, 1.0, 1e10, -0.0, 0.5, float("inf"), float("nan")])
def test_floats_are_refused_wherever_they_are(number: float) -> None:
    for value in wrappings(number):
        assert_refused(value)


@pytest.mark.parametrize("number", [INTEGER_MAX + 1, -INTEGER_MAX - 1, 2**64, -(10**30)])
def test_integers_past_the_bound_are_refused_wherever_they_are(number: int) -> None:
    for value in wrappings(number):
        assert_refused(value)


@pytest.mark.parametrize("plain", [INTEGER_MAX, -INTEGER_MAX, True, False, None, "", "𝄞"])
def test_values_up_to_the_bound_pass(plain: Any) -> None:
    for value in wrappings(plain):
        check(value)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_lone_surrogates_are_refused_wherever_they_are(text: str) -> None:
    for value in [*wrappings(text), {text: 1}, [{"a": {text: 1}}]]:
        assert_refused(value)


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["array", "object"])
def test_nesting_is_bounded(make: Any) -> None:
    value: Any = "innermost"
    for _ in range(NESTING_MAX):
        value = make(value)
    check(value)
    assert_refused(make(value))


def test_nesting_past_any_stack_is_refused_without_a_crash() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    assert_refused(value)


def assert_refused(value: Any) -> None:
    with pytest.raises(MatrixError) as refusal:
        check(value)
    assert refusal.value.kind is ErrorCode.BAD_JSON
