"""Payloads are made short and come back whole; what is no compressed payload is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.compression import Compression
from projections.dictionary import entry_dictionary

DICTIONARY = entry_dictionary()
PAYLOADS = st.binary(max_size=2_000) | st.text(max_size=500).map(str.encode)


@given(PAYLOADS)
def test_what_was_compressed_comes_back(payload: bytes) -> None:
    compression = Compression(DICTIONARY)
    assert compression.decompress(compression.compress(payload), len(payload)) == payload


def test_another_object_by_the_same_dictionary_reads_it() -> None:
    compressed = Compression(DICTIONARY).compress(b"hello" * 20)
    assert Compression(DICTIONARY).decompress(compressed, 100) == b"hello" * 20


@given(st.binary(max_size=300))
def test_what_was_never_compressed_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Compression(DICTIONARY).decompress(data, 100)


def test_what_gets_longer_than_it_was_is_refused() -> None:
    """However much it would become: a gigabyte of zeros is a few kilobytes."""
    compressed = Compression(DICTIONARY).compress(bytes(1_000_000))
    with pytest.raises(ValueError, match=r".+"):
        Compression(DICTIONARY).decompress(compressed, 999_999)


@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    compressed = bytearray(Compression(DICTIONARY).compress(b"hello" * 20))
    bit = data.draw(st.integers(0, 8 * len(compressed) - 1))
    compressed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match="wrong checksum"):
        Compression(DICTIONARY).decompress(bytes(compressed), 100)


def test_what_stands_behind_the_end_is_refused() -> None:
    compressed = Compression(DICTIONARY).compress(b"hello")
    with pytest.raises(ValueError, match=r".+"):
        Compression(DICTIONARY).decompress(compressed + b"x", 5)


def test_what_is_no_dictionary_is_refused() -> None:
    with pytest.raises(ValueError, match="no dictionary"):
        Compression(b"something else")
