"""Canonical JSON: the one spelling of a value, so that everybody who hashes it gets the same hash.

msgspec's sorted encoder writes it: UTF-8, keys in the order of their code points, no blanks, the
shortest escapes. `tests/server/rooms/test_canonical_json.py` holds it against Python's `json`, by which
the specification defines the form. What the encoder does not do is refuse values that the form has no
spelling for, or none that every other reader would read back: that is `check`, for whatever a client wrote.

Where: specification, appendices, "Canonical JSON".
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from server.errors import ErrorCode, MatrixError

INTEGER_MAX: Final = (1 << 53) - 1
"""Past it, and below its negative, a reader that takes numbers as doubles would see another one."""

NESTING_MAX: Final = 100
"""Arrays and objects within each other. Not of the specification: it bounds the recursion of every parser
that will read the value (msgspec gives up at the interpreter's limit, 1,000)."""

_encoder = msgspec.json.Encoder(order="sorted")


def encode(value: Any) -> bytes:
    """The canonical JSON of a value that would pass `check`."""
    return _encoder.encode(value)


def check(value: Any) -> None:
    """Raise `MatrixError` BAD_JSON unless a decoded JSON value has a canonical spelling.

    Goes through the value layer by layer rather than by recursion, so that its depth costs no stack.
    Runs on every send: 0.4 µs for the content of a text message.
    """
    layer: list[Any] = []
    _check_items((value,), layer)
    for _ in range(NESTING_MAX + 1):
        if not layer:
            return
        deeper: list[Any] = []
        for container in layer:
            if type(container) is dict:
                if not "".join(container).isascii():
                    for key in container:
                        _check_text(key)
                _check_items(container.values(), deeper)
            else:
                _check_items(container, deeper)
        layer = deeper
    raise MatrixError(ErrorCode.BAD_JSON, f"The JSON is nested deeper than {NESTING_MAX} levels.")


def _check_items(items: Iterable[Any], deeper: list[Any]) -> None:
    """Check the plain values among `items` and put the others on the next layer."""
    for item in items:
        kind = type(item)
        if kind is str:
            if not item.isascii():
                _check_text(item)
        elif kind is dict or kind is list:
            deeper.append(item)
        elif kind is int:
            if not -INTEGER_MAX <= item <= INTEGER_MAX:
                raise MatrixError(ErrorCode.BAD_JSON, f"Integers must be within ±{INTEGER_MAX}.")
        elif kind is not bool and item is not None:
            raise MatrixError(ErrorCode.BAD_JSON, "Numbers must be integers, without fraction or exponent.")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise MatrixError(ErrorCode.BAD_JSON, "A string has half of a surrogate pair.") from error
