"""The numbers of the rate limits: what a table changes, and how a wrong one is refused."""

import tomllib
from typing import Any

import pytest

from server.rate_limits import BUCKETS, OF_USER, Limit, Limits, LimitsError, limits_from, of_address

BOT = "@bot:example.org"


def limits_in(text: str) -> Limits:
    return limits_from(tomllib.loads(text))


def faults_in(table: dict[str, Any]) -> list[str]:
    with pytest.raises(LimitsError) as caught:
        limits_from(table)
    return caught.value.faults


def test_an_empty_table_changes_nothing() -> None:
    assert limits_in("") == Limits()


@pytest.mark.parametrize("name", BUCKETS)
def test_every_limit_can_be_set(name: str) -> None:
    limits = limits_in(f"[{name}]\nper_second = 0.5\nburst = 3\n")
    assert getattr(limits, name) == Limit(0.5, 3)


def test_what_a_table_leaves_out_stays() -> None:
    limits = limits_in("[send]\nburst = 3\n")
    assert (limits.send, limits.state) == (Limit(Limits().send.per_second, 3), Limits().state)


def test_whatever_users_do_is_counted_by_address_too() -> None:
    assert {of_address(name) for name in OF_USER} <= set(BUCKETS)


def test_a_user_has_the_common_limit_where_none_is_set() -> None:
    limits = limits_in(f'[send]\nburst = 3\n[users."{BOT}".send]\nper_second = 9\n')
    assert limits.of("send", BOT) == Limit(9, 3)
    assert limits.of("state", BOT) == limits.state
    assert limits.of("send", "@other:example.org") == limits.send


def test_an_unlimited_user_may_have_limits_all_the_same() -> None:
    limits = limits_in(f'[users."{BOT}"]\nunlimited = true\ninvite.burst = 1\n')
    assert limits.of("send", BOT) is None
    assert limits.of("invite", BOT) == Limit(Limits().invite.per_second, 1)


def test_who_guesses_a_password_is_never_unlimited() -> None:
    limits = limits_in(f'[users."{BOT}"]\nunlimited = true\n')
    assert limits.of("login_failures", BOT) == Limits().login_failures


@pytest.mark.parametrize("value", [0, -1, True, "1", float("nan"), float("inf"), 1e-9])
def test_what_is_no_rate_is_refused(value: Any) -> None:
    assert faults_in({"send": {"per_second": value}}) == [
        "send.per_second must be a number from 0.000001 to 1000000"
    ]


@pytest.mark.parametrize("value", [0, -1, True, "1", 1.0, 1_000_001])
def test_what_is_no_burst_is_refused(value: Any) -> None:
    assert faults_in({"send": {"burst": value}}) == ["send.burst must be a whole number from 1 to 1000000"]


def test_all_faults_are_told_at_once() -> None:
    table = {
        "jion": {},
        "send": {"per_minute": 1, "burst": 0},
        "state": 5,
        "is_on": {},
        "users": {
            BOT: {"unlimited": "yes", "login": {"burst": 1}, "send": {"burst": 0}},
            "bot": {},
            "@a:b": True,
        },
    }
    sentences = faults_in(table)
    assert sentences[0] == "jion: there is no such limit; did you mean join?"
    assert sentences[1:4] == [
        "send.per_minute: there is no such key; there are per_second, burst",
        "send.burst must be a whole number from 1 to 1000000",
        "state must be a table of per_second and burst",
    ]
    assert sentences[4].startswith("is_on: there is no such limit; ")
    assert sentences[5] == f'users."{BOT}".unlimited must be true or false'
    assert sentences[6].startswith(f'users."{BOT}".login: there is no such limit; ')
    assert sentences[7:] == [
        f'users."{BOT}".send.burst must be a whole number from 1 to 1000000',
        'users."bot" is no user id; one looks like @bot:example.org',
        'users."@a:b" must be a table',
    ]


def test_users_are_a_table() -> None:
    assert faults_in({"users": [BOT]}) == ["users must be a table of user ids"]
