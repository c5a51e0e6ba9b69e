"""What a table of the views is: its name, the form of its values, and how keys are made.

A key is made of digests and numbers: rows that belong together are neighbours, and no key is longer than
LMDB takes, whatever clients put into identifiers.
"""

from binascii import a2b_base64
from functools import lru_cache
from hashlib import sha256
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from projections.identifiers import IDENTIFIER_BYTES_MAX

Key: TypeAlias = bytes
Value = TypeVar("Value")


class Table(Generic[Value]):
    """A named table with values of one type, kept as MessagePack."""

    def __init__(self, name: str, kind: Any, *, remembered: int = 0) -> None:
        """So many of its rows are `remembered` decoded; values must be such that nobody changes them."""
        self.name = name
        self.remembered = remembered
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder[Value](kind).decode


def _digest(*texts: str) -> bytes:
    # MessagePack says where one ends, whatever is in it. SHA-256, as processors have instructions for it.
    return sha256(_encode_texts(texts)).digest()[:_DIGEST_BYTES]


_encode_texts = msgspec.msgpack.Encoder().encode
_DIGEST_BYTES = 16
_digest_of_known = lru_cache(maxsize=1 << 13)(_digest)
"""Rooms, users and event types come again and again; a look-up takes less than a digest.

Who is active at a time are few: of four times as many, at four times the memory, hardly any come again.
"""


def text_key(text: str) -> Key:
    """What `key` makes of a single text, without looking for more."""
    # What is longer than any identifier is not worth remembering, and would fill the memory.
    return _digest_of_known(text) if len(text) <= IDENTIFIER_BYTES_MAX else _digest(text)


def order_key(order: int) -> Key:
    """What `key` makes of a single number, without looking for more."""
    return order.to_bytes(8)


def event_key(event_id: str) -> Key:
    """Of an event's id, which is a digest already: as many bits of it as one made of it would have.

    Who looks for an id that is none may find a row of another: see whose it is.
    """
    if len(event_id) == _EVENT_ID_LENGTH:
        try:
            return a2b_base64(event_id.encode().translate(_FROM_URL_SAFE)[1:25], strict_mode=True)
        except ValueError:
            pass
    return _digest(event_id)


_EVENT_ID_LENGTH = 44
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def key(*parts: str | int | tuple[str, ...]) -> Key:
    """A table key: 16 bytes of digest for each text or tuple of texts, 8 big-endian bytes for each number.

    Digests give every key a bounded size (LMDB takes 511 bytes, a room id and a state key alone may be
    longer) and leave what a table needs for locality: all keys that begin with the same parts are neighbours,
    and numbers sort by value.
    """
    encoded = b""
    for part in parts:
        if isinstance(part, str):
            encoded += text_key(part)
        elif isinstance(part, int):
            encoded += part.to_bytes(8)
        else:
            encoded += _digest(*part)
    return encoded
