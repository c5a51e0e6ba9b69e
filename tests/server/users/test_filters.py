"""Keeping filters: one for each thing that is said, and not without end."""

import pytest

from projections import filters
from projections.facts import FilterStored
from server.errors import ErrorCode, MatrixError
from server.users import filters as decisions
from server.users.filters import FILTER_BYTES_MAX, StoreFilter, store_filter
from tests.server.users.conftest import ALICE, Users

pytestmark = pytest.mark.anyio

MEMBERS_LAZILY = {"room": {"state": {"lazy_load_members": True, "limit": 3}}}


async def test_equal_filters_are_one(users: Users) -> None:
    turned_round = {"room": {"state": {"limit": 3, "lazy_load_members": True}}}
    first = await users.decide(store_filter, StoreFilter(ALICE.user_id, MEMBERS_LAZILY))
    second = await users.decide(store_filter, StoreFilter(ALICE.user_id, turned_round))
    assert first == second
    [fact] = await users.facts()
    assert isinstance(fact, FilterStored)
    assert fact.filter_id == first


async def test_other_filters_are_others(users: Users) -> None:
    ids = {
        await users.decide(store_filter, StoreFilter(ALICE.user_id, {"room": {"timeline": {"limit": limit}}}))
        for limit in range(5)
    }
    assert len(ids) == 5


async def test_a_user_has_so_many_filters_and_no_more(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "FILTERS_MAX", 2)
    for limit in (1, 2):
        await users.decide(store_filter, StoreFilter(ALICE.user_id, {"presence": {"limit": limit}}))
    with pytest.raises(MatrixError) as caught:
        await users.decide(store_filter, StoreFilter(ALICE.user_id, {"presence": {"limit": 3}}))
    assert caught.value.kind is ErrorCode.FORBIDDEN
    known = await users.decide(store_filter, StoreFilter(ALICE.user_id, {"presence": {"limit": 2}}))
    with users.view() as view:
        assert filters.filter_of(view, ALICE.user_id, known) == b'{"presence":{"limit":2}}'


async def test_a_filter_has_a_size(users: Users) -> None:
    definition = {"room": {"rooms": ["!" * FILTER_BYTES_MAX]}}
    with pytest.raises(MatrixError) as caught:
        await users.decide(store_filter, StoreFilter(ALICE.user_id, definition))
    assert caught.value.kind is ErrorCode.TOO_LARGE
