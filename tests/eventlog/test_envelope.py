"""The envelope: what was sealed comes back; whatever else is stored is found out."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.envelope import ERASED, HEADER, NO_PREVIOUS, chain_of, seal, unseal
from eventlog.errors import Damaged
from eventlog.log import Position

POSITIONS = st.integers(1, 2**64 - 1)
PAYLOADS = st.binary(max_size=300)
CHAINS = st.binary(min_size=32, max_size=32)


def erased(data: bytes) -> bytes:
    return data[:1] + bytes((ERASED,)) + data[2 : HEADER.size]


@given(POSITIONS, PAYLOADS, CHAINS)
def test_what_was_sealed_comes_back(position: Position, payload: bytes, previous: bytes) -> None:
    data, chain = seal(position, payload, previous)
    entry = unseal(data, position, previous)
    assert (entry.position, entry.payload, entry.chain) == (position, payload, chain)
    assert entry.digest == hashlib.sha256(payload).digest()


@given(POSITIONS, PAYLOADS, CHAINS, st.data())
def test_any_flipped_bit_is_found(
    position: Position, payload: bytes, previous: bytes, data: st.DataObject
) -> None:
    sealed = bytearray(seal(position, payload, previous)[0])
    # The erased flag on an empty payload is the one bit whose flipping takes nothing away.
    bits = st.integers(0, 8 * len(sealed) - 1).filter(lambda bit: payload or bit != 8)
    bit = data.draw(bits)
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged) as raised:
        unseal(bytes(sealed), position, previous)
    assert raised.value.position == position


@given(PAYLOADS, CHAINS, st.data())
def test_a_missing_end_is_found(payload: bytes, previous: bytes, data: st.DataObject) -> None:
    sealed, _ = seal(1, payload, previous)
    length = data.draw(st.integers(0, len(sealed) - 1))
    with pytest.raises(Damaged, match=r"entry 1: \d+ bytes"):
        unseal(sealed[:length], 1, previous)


@given(PAYLOADS, CHAINS, st.binary(min_size=1, max_size=10))
def test_an_added_end_is_found(payload: bytes, previous: bytes, more: bytes) -> None:
    with pytest.raises(Damaged):
        unseal(seal(1, payload, previous)[0] + more, 1, previous)


@given(POSITIONS, POSITIONS, PAYLOADS)
def test_equal_chains_mean_equal_positions(one: Position, other: Position, payload: bytes) -> None:
    assert (seal(one, payload, NO_PREVIOUS)[1] == seal(other, payload, NO_PREVIOUS)[1]) == (one == other)


@given(st.lists(PAYLOADS, min_size=1, max_size=5), st.lists(PAYLOADS, min_size=1, max_size=5))
def test_equal_chains_mean_equal_logs(one: list[bytes], other: list[bytes]) -> None:
    assert (chain_over(one) == chain_over(other)) == (one == other)


def chain_over(payloads: list[bytes]) -> bytes:
    chain = NO_PREVIOUS
    for position, payload in enumerate(payloads, 1):
        _, chain = seal(position, payload, chain)
    return chain


def test_an_entry_at_another_position_is_found() -> None:
    data, _ = seal(7, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="entry 8: its header says position 7"):
        unseal(data, 8, NO_PREVIOUS)


def test_a_broken_chain_is_found() -> None:
    data, chain = seal(1, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="entry 1: broken chain"):
        unseal(data, 1, chain)


def test_an_unknown_previous_is_not_compared() -> None:
    data, chain = seal(2, b"payload", bytes(range(32)))
    assert unseal(data, 2, None).chain == chain


def test_a_later_version_is_not_decoded() -> None:
    data, _ = seal(1, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="entry 1: cannot decode version 2"):
        unseal(b"\x02" + data[1:], 1, NO_PREVIOUS)


@given(POSITIONS, PAYLOADS, CHAINS)
def test_an_erased_payload_leaves_the_chain(position: Position, payload: bytes, previous: bytes) -> None:
    data, chain = seal(position, payload, previous)
    entry = unseal(erased(data), position, previous)
    assert (entry.payload, entry.chain, chain_of(erased(data))) == (b"", chain, chain)
    assert entry.digest == hashlib.sha256(payload).digest()


def test_a_payload_marked_as_erased_is_damage() -> None:
    data, _ = seal(1, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="marked as erased, but 7 bytes"):
        unseal(erased(data) + b"payload", 1, NO_PREVIOUS)


def test_the_bytes_of_version_one_stay() -> None:
    """Old entries must be readable for ever: this one was sealed by the first release."""
    data, chain = seal(3, b"hello", bytes(range(32)))
    assert data.hex() == (
        "01000000000000050000000000000003"
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "68656c6c6f"
    )
    assert chain.hex() == "e2510f223b83cad62a28fe247279c503189b1a77d433580cf9ef8092ff701e11"
