"""Tokens: every place in the log has one, and nothing else is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.facts import FACTS_IN_ENTRY_MAX, end_of, order_of
from server.errors import ErrorCode, MatrixError
from server.sync.tokens import parse_token, token_after, token_before

HEAD = 10**12

positions = st.integers(0, HEAD)
orders = st.builds(order_of, positions, st.integers(0, FACTS_IN_ENTRY_MAX - 1))


@given(orders)
def test_a_token_is_read_as_it_was_written(order: int) -> None:
    assert parse_token(token_after(order), head=HEAD, parameter="since") == order


@given(orders.filter(bool))
def test_before_a_fact_is_after_the_one_before(order: int) -> None:
    assert parse_token(token_before(order), head=HEAD, parameter="from") == order - 1


@given(orders, orders)
def test_every_place_has_a_token_of_its_own(one: int, other: int) -> None:
    assert (token_after(one) == token_after(other)) == (one == other)


@given(positions)
def test_after_an_entry_the_token_is_short(position: int) -> None:
    assert token_after(end_of(position)) == f"s{position}"


@given(st.text(max_size=20))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        order = parse_token(text, head=HEAD, parameter="since")
    except MatrixError as error:
        assert error.kind is ErrorCode.INVALID_PARAM  # noqa: PT017
    else:
        assert 0 <= order <= end_of(HEAD)


@pytest.mark.parametrize(
    "text",
    ["", "s", "42", "s-1", "s1.", "s.1", "s1.2.3", " s1", "s1\n", "S1", "s١", "s1e3", "s0x1", "s" + "1" * 15],
)
def test_what_has_not_the_form_is_refused(text: str) -> None:
    with pytest.raises(MatrixError, match="`from` is not a token") as refused:
        parse_token(text, head=HEAD, parameter="from")
    assert refused.value.kind is ErrorCode.INVALID_PARAM


@pytest.mark.parametrize("text", ["s11", "s11.0", "s99999999999999", f"s10.{FACTS_IN_ENTRY_MAX}"])
def test_a_place_that_is_not_there_is_refused(text: str) -> None:
    """After a restore from an older copy, a client would wait for such a place for ever."""
    with pytest.raises(MatrixError, match="`since` is a place that is not there") as refused:
        parse_token(text, head=10, parameter="since")
    assert refused.value.kind is ErrorCode.INVALID_PARAM


def test_the_head_itself_is_a_place() -> None:
    assert parse_token("s10", head=10, parameter="since") == end_of(10)
