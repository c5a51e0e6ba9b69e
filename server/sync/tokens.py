"""Tokens: a place in the log, between two facts, as clients hold it.

There is one kind, for /sync, /events and /messages alike, so that each is a `from` of all others. A token
stands *after* its order: what it names was seen. It is opaque to clients, yet readable to people: `s42` is
after entry 42, `s42.3` after the fact with index 3 in it. Tokens outlive restarts and rebuilds, since they
name nothing but the log.
"""

import re

from eventlog.log import Position
from projections.facts import FACTS_IN_ENTRY_MAX, Order, end_of, order_of, position_of
from server.errors import ErrorCode, MatrixError

_FORM = re.compile(r"s(\d{1,14})(?:\.(\d{1,5}))?", re.ASCII)


def token_after(order: Order) -> str:
    position, index = position_of(order), order % FACTS_IN_ENTRY_MAX
    return f"s{position}" if order == end_of(position) else f"s{position}.{index}"


def token_before(order: Order) -> str:
    """The place just before a fact."""
    previous = order - 1
    return token_after(previous)


def last_whole_entry(before: Order) -> Position:
    """The last entry of which everything is before a place: the place may be in the middle of the next."""
    return position_of(before + 1) - 1


def parse_token(text: str, *, head: Position, parameter: str) -> Order:
    """The order that the token stands after.

    Raises `MatrixError` 400 for what is no token, and for one of the future: the log was restored from
    an older copy, and a client that waited for it would wait for ever.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise MatrixError(ErrorCode.INVALID_PARAM, f"`{parameter}` is not a token of this server.")
    position, index = int(form[1]), form[2]
    if position > head or (index is not None and int(index) >= FACTS_IN_ENTRY_MAX):
        raise MatrixError(
            ErrorCode.INVALID_PARAM,
            f"`{parameter}` is a place that is not there; begin without it.",
        )
    return end_of(position) if index is None else order_of(position, int(index))
