"""Which refresh tokens can be exchanged, and until when; that of 2015 dies at once."""

import pytest

from projections import sessions
from projections.facts import RefreshConfirmed, SessionRefreshed
from server.errors import ErrorCode, MatrixError
from server.users.refreshing import Confirm, Refresh, confirm, refresh, refresh_at_once
from server.users.sessions import LogIn, LogOut, NewSession, log_in, log_out
from server.users.tokens import ACCESS_TOKEN_LIFETIME_MS
from tests.server.users.conftest import ALICE, Users

pytestmark = pytest.mark.anyio


def exchange(old: int, new: int) -> Refresh:
    return Refresh(f"refresh {old}", f"access {new}", f"refresh {new}")


async def is_dead(users: Users, number: int) -> bool:
    """Does this refresh token get nothing any more? One that does is exchanged by asking."""
    try:
        await users.decide(refresh, exchange(number, 99))
    except MatrixError:
        return True
    return False


def known_tokens(users: Users) -> list[int]:
    """The numbers of the access tokens that stand for somebody."""
    with users.view() as view:
        return [number for number in range(1, 10) if sessions.access_token(view, f"access {number}")]


async def test_a_refresh_token_gets_others(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    with users.view() as view:
        known = sessions.access_token(view, "access 2")
    assert known is not None
    assert (known.session, known.is_unused) == (ALICE, True)


async def test_the_time_of_an_access_token_is_on_record(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    [fact] = await users.facts()
    assert isinstance(fact, SessionRefreshed)
    lifetime = fact.expires_ts - fact.refreshed_ts
    assert lifetime == ACCESS_TOKEN_LIFETIME_MS
    with users.view() as view:
        known = sessions.access_token(view, "access 2")
    assert known is not None
    assert known.expires_ts == fact.expires_ts


async def test_it_works_again_before_the_next_is_used(users: Users) -> None:
    """The answer to the first exchange may never have arrived."""
    await users.decide(refresh, exchange(1, 2))
    await users.decide(refresh, exchange(1, 3))
    assert known_tokens(users) == [1, 3]
    assert await is_dead(users, 2)


async def test_the_use_of_the_next_access_token_kills_it(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    await users.decide(confirm, Confirm(ALICE, "access 2"))
    assert await is_dead(users, 1)
    assert not await is_dead(users, 2)


async def test_the_use_of_the_next_refresh_token_kills_it(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    await users.decide(refresh, exchange(2, 3))
    assert await is_dead(users, 1)


async def test_a_first_use_is_written_once(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    for _ in range(3):
        await users.decide(confirm, Confirm(ALICE, "access 2"))
    assert (await users.facts())[1:] == [RefreshConfirmed(ALICE.user_id, ALICE.device_id)]


async def test_the_use_of_a_token_refreshed_away_is_nothing(users: Users) -> None:
    """It was used while the refresh that replaces it was under way."""
    await users.decide(refresh, exchange(1, 2))
    await users.decide(refresh, exchange(1, 3))
    await users.decide(confirm, Confirm(ALICE, "access 2"))
    assert not await is_dead(users, 1)


async def test_the_access_token_before_lasts_out_its_time(users: Users) -> None:
    """Requests that carry it may be under way; it is gone with the next refresh that is used."""
    await users.decide(refresh, exchange(1, 2))
    await users.decide(confirm, Confirm(ALICE, "access 2"))
    assert known_tokens(users) == [1, 2]
    await users.decide(refresh, exchange(2, 3))
    await users.decide(confirm, Confirm(ALICE, "access 3"))
    assert known_tokens(users) == [2, 3]


async def test_who_comes_with_an_old_token_keeps_their_keys(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    await users.decide(confirm, Confirm(ALICE, "access 2"))
    for presented, soft_logout in ((1, True), (77, False)):
        with pytest.raises(MatrixError) as refused:
            await users.decide(refresh, exchange(presented, 3))
        assert refused.value.kind is ErrorCode.UNKNOWN_TOKEN
        assert refused.value.fields == {"soft_logout": soft_logout}


async def test_in_2015_it_dies_at_once(users: Users) -> None:
    await users.decide(refresh_at_once, exchange(1, 2))
    with pytest.raises(MatrixError) as refused:
        await users.decide(refresh_at_once, exchange(1, 3))
    assert refused.value.kind is ErrorCode.FORBIDDEN
    await users.decide(refresh_at_once, exchange(2, 3))


async def test_both_ways_can_be_mixed(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    await users.decide(refresh_at_once, exchange(2, 3))
    assert await is_dead(users, 1)
    assert await is_dead(users, 2)
    assert known_tokens(users) == [2, 3]


async def test_a_device_takes_its_tokens_along(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    await users.decide(confirm, Confirm(ALICE, "access 2"))
    await users.decide(refresh, exchange(2, 3))
    await users.decide(log_out, LogOut(ALICE))
    assert known_tokens(users) == []
    assert [number for number in (1, 2, 3) if not await is_dead(users, number)] == []


async def test_a_login_on_the_device_voids_its_tokens(users: Users) -> None:
    await users.decide(refresh, exchange(1, 2))
    again = NewSession(ALICE.device_id, "access 4", None, "refresh 4")
    await users.decide(log_in, LogIn(ALICE.user_id, again))
    assert known_tokens(users) == [4]
    assert await is_dead(users, 1)
    assert await is_dead(users, 2)
    assert not await is_dead(users, 4)


async def test_a_session_without_a_refresh_token_does_not_expire(users: Users) -> None:
    await users.decide(log_in, LogIn(ALICE.user_id, NewSession("LAPTOP", "access 5")))
    with users.view() as view:
        known = sessions.access_token(view, "access 5")
    assert known is not None
    assert known.expires_ts is None
