"""The vocabulary of the log: what is written is read again, and places in the log sort as they should."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.facts import (
    FACTS_IN_ENTRY_MAX,
    AliasRemoved,
    AliasSet,
    AppserviceTransactionBegun,
    ErasureCompleted,
    Fact,
    PayloadErased,
    ProfileChanged,
    RoomEvent,
    RoomListed,
    ServerNamed,
    SessionOpened,
    Transaction,
    decode_entry,
    encode_entry,
    end_of,
    index_of,
    order_of,
    position_of,
)
from tests.projections.folding import ALICE, ROOM, room_event

positions = st.integers(0, 2**47 - 1)
indexes = st.integers(0, FACTS_IN_ENTRY_MAX - 1)

# Lone halves of surrogate pairs are no text; requests that have some are refused long before.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.integers(0, 2**53)
transactions = st.none() | st.builds(Transaction, texts, texts, texts)
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(ServerNamed, texts, times),
    st.builds(AliasSet, texts, texts, texts),
    st.builds(AliasRemoved, texts),
    st.builds(AppserviceTransactionBegun, texts, times, st.lists(times).map(tuple), times, times),
    st.builds(PayloadErased, times, st.lists(times).map(tuple), texts),
    st.builds(ErasureCompleted, times, st.lists(texts).map(tuple)),
    st.builds(RoomListed, texts, st.booleans()),
    st.builds(ProfileChanged, texts, texts, times),
    st.builds(
        ProfileChanged, texts, texts, times, st.sampled_from([b"null", b'{"a":[1.5]}']).map(msgspec.Raw)
    ),
    st.builds(SessionOpened, texts, texts, texts, times, st.none() | texts),
    st.builds(
        lambda body, transaction: room_event("$1", content={"body": body}, transaction=transaction),
        texts,
        transactions,
    ),
)


@given(st.lists(facts, min_size=1, max_size=5))
def test_entry_is_read_as_it_was_written(written: list[Fact]) -> None:
    payload = encode_entry(written)
    assert decode_entry(payload) == tuple(written)
    assert encode_entry(decode_entry(payload)) == payload


@given(st.lists(facts, min_size=1, max_size=5))
def test_entry_is_one_line_of_json(written: list[Fact]) -> None:
    payload = encode_entry(written)
    assert b"\n" not in payload
    assert len(json.loads(payload)) == len(written)


def test_event_stands_in_the_entry_as_it_was_hashed() -> None:
    fact = room_event("$1", content={"body": "Grüße"})
    assert bytes(fact.stored) in encode_entry([fact])


def test_event_is_read_through_its_fact() -> None:
    fact = room_event("$1", "m.room.topic", {"topic": "t"}, "")
    event = fact.event
    assert (fact.room_id, event.sender, event.is_state, event.content) == (ROOM, ALICE, True, {"topic": "t"})


def test_room_without_an_id_is_named_after_its_first_event() -> None:
    assert room_event("$hash", room_id="").room_id == "!hash"


def test_unknown_fields_are_passed_over() -> None:
    """A fact that has gained a field can still be read by what was written before."""
    payload = b'[{"fact":"alias_removed","alias":"#a:localhost","reason":"of the future"}]'
    assert decode_entry(payload) == (AliasRemoved("#a:localhost"),)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[",
        b"null",
        b'[{"fact":"of the future"}]',
        b'[{"alias":"#a:localhost"}]',
        b'[{"fact":"alias_removed"}]',
        b'[{"fact":"alias_removed","alias":1}]',
        b'[{"fact":"alias_removed","alias":"\xff"}]',
        pytest.param(b'[{"fact":' + b"[" * 100_000, id="nested without end"),
    ],
)
def test_what_is_no_entry_is_refused(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_entry(payload)


@pytest.mark.parametrize("count", [0, FACTS_IN_ENTRY_MAX + 1])
def test_entry_holds_a_bounded_number_of_facts(count: int) -> None:
    with pytest.raises(ValueError, match="an entry holds 1 to 65536 facts"):
        encode_entry([AliasRemoved("#a:localhost")] * count)


def test_each_kind_of_fact_has_a_tag_of_its_own() -> None:
    kinds = get_args(Fact)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_facts_compare_by_what_they_say() -> None:
    assert room_event("$1") == RoomEvent("$1", room_event("$2").stored)
    assert room_event("$1") != room_event("$2")


@given(positions, indexes, positions, indexes)
def test_orders_sort_by_position_and_then_by_index(
    position: int, index: int, other_position: int, other_index: int
) -> None:
    is_before = (position, index) < (other_position, other_index)
    assert (order_of(position, index) < order_of(other_position, other_index)) == is_before


@given(positions, indexes)
def test_order_knows_its_position_and_stands_before_its_end(position: int, index: int) -> None:
    order = order_of(position, index)
    assert (position_of(order), index_of(order)) == (position, index)
    assert order <= end_of(position) < order_of(position + 1)
