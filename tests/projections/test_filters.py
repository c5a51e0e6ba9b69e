"""The filters that users stored."""

import msgspec

from projections import filters
from projections.facts import FilterStored, decode_entry, encode_entry
from tests.projections.folding import ALICE, BOB, Folding


def stored(user_id: str, filter_id: str, definition: bytes = b'{"room":{}}') -> FilterStored:
    return FilterStored(user_id, filter_id, msgspec.Raw(definition))


def test_a_filter_is_found_by_user_and_id(folding: Folding) -> None:
    folding.entry(stored(ALICE, "f1", b'{"presence":{}}'))
    with folding.view() as view:
        assert filters.filter_of(view, ALICE, "f1") == b'{"presence":{}}'
        assert filters.filter_of(view, ALICE, "f2") is None
        assert filters.filter_of(view, BOB, "f1") is None


def test_a_user_has_many_filters(folding: Folding) -> None:
    folding.entry(stored(ALICE, "f1", b"{}"))
    folding.entry(stored(ALICE, "f2", b'{"room":{}}'), stored(BOB, "f1", b'{"presence":{}}'))
    with folding.view() as view:
        assert set(filters.filters_of(view, ALICE)) == {b"{}", b'{"room":{}}'}


def test_a_filter_stands_in_the_log_as_json() -> None:
    payload = encode_entry([stored(ALICE, "f1", b'{"room":{"timeline":{"limit":1}}}')])
    assert b'"filter":{"room":{"timeline":{"limit":1}}}' in payload
    assert encode_entry(decode_entry(payload)) == payload
