"""What a table of the views is: its name, the form of its values, and how keys are made.

A key is made of digests and numbers: rows that belong together are neighbours, and no key is longer than
LMDB takes, whatever clients put into identifiers.
"""

import hashlib
from functools import lru_cache
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
    joined = b""
    for text in texts:
        data = text.encode()
        joined += len(data).to_bytes(4) + data
    return hashlib.blake2b(joined, digest_size=16).digest()


_digest_of_known = lru_cache(maxsize=1 << 15)(_digest)
"""Rooms, users and event types come again and again; a look-up takes 0.1 µs, a digest 1.2."""


def key(*parts: str | int | tuple[str, ...]) -> Key:
    """A table key: 16 bytes of digest for each text or tuple of texts, 8 big-endian bytes for each number.

    Digests give every key a bounded size (LMDB takes 511 bytes, a room id and a state key alone may be
    longer) and leave what a table needs for locality: all keys that begin with the same parts are neighbours,
    and numbers sort by value.
    """
    encoded = b""
    for part in parts:
        if isinstance(part, str):
            # What is longer than any identifier is not worth remembering, and would fill the memory.
            encoded += _digest_of_known(part) if len(part) <= IDENTIFIER_BYTES_MAX else _digest(part)
        elif isinstance(part, int):
            encoded += part.to_bytes(8)
        else:
            encoded += _digest(*part)
    return encoded
