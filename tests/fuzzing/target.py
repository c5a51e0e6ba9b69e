"""What a fuzz target is, and the making of inputs that several of them share."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from server.errors import ErrorCode, MatrixError


class Target(NamedTuple):
    """A parser, what it is given, what it may raise, and what holds of whatever it takes."""

    inputs: st.SearchStrategy[Any]
    parse: Callable[[Any], Any]
    documents: Callable[[Exception], bool]
    """Is this how the parser refuses?"""
    holds: Callable[[Any, Any], bool]
    """Of an input and what was made of it; above all, that the way back leads to it again."""

    def try_one(self, given: Any) -> bool:
        """Was it taken?"""
        try:
            found = self.parse(given)
        except Exception as error:
            if not self.documents(error):
                raise
            return False
        assert self.holds(given, found), found
        return True


def refuses(*kinds: ErrorCode) -> Callable[[Exception], bool]:
    return lambda error: isinstance(error, MatrixError) and error.kind in kinds


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)

DEEP = 100_000
"""Levels of nesting: far past any stack."""

_PIECES = (
    *(b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * DEEP, b'{"a":' * DEEP, b"9" * 5_000),
    *(b"NaN", b"1e999", b"-", b'"\\ud800"', b"null", b"[]", b"{}", b",", b":", b"\n", b"\r\n", b'"'),
)


@st.composite
def mangled(draw: st.DrawFn, good: st.SearchStrategy[bytes]) -> bytes:
    """Something good as it is, or with a piece of it missing, doubled, or something else in its place."""
    text = draw(good)
    if draw(st.booleans()):
        return text
    begin, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    piece = draw(st.sampled_from((*_PIECES, text[begin:end] * 2)) | st.binary(max_size=6))
    return text[:begin] + piece + text[end:]


def json_like(*samples: Any) -> st.SearchStrategy[bytes]:
    """The samples and other values as JSON, good and mangled, and what is none at all."""
    values = st.sampled_from(samples) | json_values if samples else json_values
    return mangled(values.map(lambda value: json.dumps(value).encode())) | st.binary(max_size=20)
