"""The envelope: what was sealed comes back; whatever else is stored is found out."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.compression import Compression
from eventlog.envelope import COMPRESSED, ERASED, HEADER, NO_PREVIOUS, chain_of, erase, seal, unseal
from eventlog.errors import Damaged
from eventlog.log import Erased, Position
from projections.dictionary import entry_dictionary

POSITIONS = st.integers(1, 2**64 - 1)
PAYLOADS = st.binary(max_size=300)
LATER = st.tuples(POSITIONS, POSITIONS).filter(lambda pair: pair[0] < pair[1])
CHAINS = st.binary(min_size=32, max_size=32)


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
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
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


@given(LATER, PAYLOADS, PAYLOADS, CHAINS)
def test_erasing_leaves_digest_and_chain(
    positions: tuple[Position, Position], payload: bytes, replacement: bytes, previous: bytes
) -> None:
    position, ordered_by = positions
    data, chain = seal(position, payload, previous)
    stored = erase(data, replacement, ordered_by)
    entry = unseal(stored, position, previous)
    digest = hashlib.sha256(payload).digest()
    assert (entry.payload, entry.digest, entry.chain, chain_of(stored)) == (replacement, digest, chain, chain)
    assert entry.erased == Erased(replacement, digest, len(payload), ordered_by)
    assert seal(position, entry.erased, previous) == (stored, chain)


@given(PAYLOADS, PAYLOADS, CHAINS, st.data())
def test_any_flipped_bit_of_an_erased_entry_is_found(
    payload: bytes, replacement: bytes, previous: bytes, data: st.DataObject
) -> None:
    stored = bytearray(erase(seal(3, payload, previous)[0], replacement, 4))
    bit = data.draw(st.integers(0, 8 * len(stored) - 1))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged, match="entry 3: "):
        unseal(bytes(stored), 3, previous)


def test_a_replacement_of_another_entry_is_found() -> None:
    one, other = (erase(seal(position, b"secret", NO_PREVIOUS)[0], b"", 9) for position in (1, 2))
    with pytest.raises(Damaged, match="entry 1: wrong seal"):
        unseal(one[: HEADER.size] + other[HEADER.size :], 1, NO_PREVIOUS)


def test_a_payload_marked_as_erased_is_damage() -> None:
    data, _ = seal(1, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="marked as erased, but it does not say by which entry"):
        unseal(data[:1] + bytes((ERASED,)) + data[2:], 1, NO_PREVIOUS)


def test_an_earlier_entry_cannot_have_ordered_it() -> None:
    data, _ = seal(2, b"payload", NO_PREVIOUS)
    with pytest.raises(Damaged, match="entry 2: erased by order of entry 1, which is not a later one"):
        unseal(erase(data, b"", 1), 2, NO_PREVIOUS)


def test_the_bytes_of_an_erased_entry_stay() -> None:
    data = erase(seal(3, b"hello", bytes(range(32)))[0], b"bye", 7)
    assert data[:80].hex().startswith("01010000000000050000000000000003")
    assert data[80:].hex() == (
        "00000000000000077cd50b9d9b3219fb1b7cea2ca48b014610f852fcd98f4216d39cb10c29c797b7627965"
    )


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


# Compressed payloads

COMPRESSION = Compression(entry_dictionary())
LONG = b'[{"fact":"room_event","event_id":"$x","event":{"auth_events":[],"content":{}}}]'


@given(POSITIONS, PAYLOADS, CHAINS)
def test_a_compressed_entry_is_the_same_entry(position: Position, payload: bytes, previous: bytes) -> None:
    data, chain = seal(position, payload, previous, COMPRESSION)
    plain, plain_chain = seal(position, payload, previous)
    assert chain == plain_chain == chain_of(data)
    assert unseal(data, position, previous, COMPRESSION) == unseal(plain, position, previous)
    assert len(data) <= len(plain)


def test_what_does_not_get_shorter_is_stored_as_it_is() -> None:
    assert seal(1, b"?", NO_PREVIOUS, COMPRESSION) == seal(1, b"?", NO_PREVIOUS)


@given(st.data())
def test_any_flipped_bit_of_a_compressed_entry_is_found(data: st.DataObject) -> None:
    sealed = bytearray(seal(7, LONG, NO_PREVIOUS, COMPRESSION)[0])
    assert sealed[1] == COMPRESSED
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Damaged) as raised:
        unseal(bytes(sealed), 7, NO_PREVIOUS, COMPRESSION)
    assert raised.value.position == 7


def test_without_the_dictionary_it_is_damaged() -> None:
    data, _ = seal(1, LONG, NO_PREVIOUS, COMPRESSION)
    with pytest.raises(Damaged, match="entry 1: compressed, in a log without a dictionary"):
        unseal(data, 1, NO_PREVIOUS)


def test_what_stands_for_an_erased_payload_is_not_compressed() -> None:
    data, chain = seal(3, LONG, NO_PREVIOUS, COMPRESSION)
    erased = erase(data, b"gone", 9)
    entry = unseal(erased, 3, NO_PREVIOUS)
    assert (entry.payload, entry.chain, chain_of(erased)) == (b"gone", chain, chain)
