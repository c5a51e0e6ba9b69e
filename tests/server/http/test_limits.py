"""Token buckets: how much is let through, and when there is more."""

from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.errors import ErrorCode, MatrixError
from server.http.limits import KEY_CHARACTERS_MAX, RateLimits, address_key
from server.rate_limits import Bucket, Limit, Limits, LimitsOfUser

LIMITS = Limits(send=Limit(per_second=2, burst=3), join=Limit(per_second=1, burst=1))


def wait_ms(limits: RateLimits, key: str, now_ms: int, name: Bucket = "send") -> int:
    return waited_ms(lambda: limits.check(name, key, now_ms))


def waited_ms(check: Callable[[], None]) -> int:
    """Milliseconds that somebody is told to wait; 0 if they are let through."""
    try:
        check()
    except MatrixError as error:
        assert (error.kind, type(error.fields["retry_after_ms"])) == (ErrorCode.LIMIT_EXCEEDED, int)  # noqa: PT017
        return cast(int, error.fields["retry_after_ms"])
    return 0


def test_a_burst_is_let_through() -> None:
    limits = RateLimits(LIMITS)
    assert [wait_ms(limits, "@u:x", 0) for _ in range(4)] == [0, 0, 0, 500]


def test_tokens_come_back_with_time() -> None:
    limits = RateLimits(LIMITS)
    waits = [wait_ms(limits, "@u:x", now_ms) for now_ms in (0, 0, 0, 499, 500, 999, 1000)]
    assert waits == [0, 0, 0, 1, 0, 1, 0]


def test_a_bucket_never_holds_more_than_a_burst() -> None:
    limits = RateLimits(LIMITS)
    wait_ms(limits, "@u:x", 0)
    assert [wait_ms(limits, "@u:x", 3_600_000) for _ in range(4)] == [0, 0, 0, 500]


@given(
    per_second=st.sampled_from([1 / 30, 0.1, 0.3, 7, 1000]),
    burst=st.integers(1, 20),
    steps=st.lists(st.integers(0, 5000), max_size=60),
)
@example(per_second=0.1, burst=2, steps=[418, 1300, 125])
def test_whoever_waits_as_told_is_let_through(per_second: float, burst: int, steps: list[int]) -> None:
    limits = RateLimits(Limits(send=Limit(per_second, burst)))
    now_ms = 0
    for step in steps:
        now_ms += step
        now_ms += (waiting := wait_ms(limits, "@u:x", now_ms))
        assert waiting == 0 or wait_ms(limits, "@u:x", now_ms) == 0


@given(
    per_second=st.sampled_from([1 / 30, 0.1, 0.3, 7, 1000]),
    burst=st.integers(1, 20),
    steps=st.lists(st.integers(0, 500), max_size=200),
)
def test_never_more_than_burst_and_rate_is_let_through(
    per_second: float, burst: int, steps: list[int]
) -> None:
    limits = RateLimits(Limits(send=Limit(per_second, burst)))
    now_ms = passed = 0
    for step in steps:
        now_ms += step
        passed += wait_ms(limits, "@u:x", now_ms) == 0
    assert passed <= burst + now_ms / 1000 * per_second + 0.001  # of rounding


def test_everybody_has_a_bucket() -> None:
    limits = RateLimits(LIMITS)
    assert [wait_ms(limits, key, 0, "join") for key in ("@a:x", "@b:x")] == [0, 0]


def test_every_kind_has_buckets_of_its_own() -> None:
    limits = RateLimits(LIMITS)
    assert [wait_ms(limits, "@u:x", 0, name) for name in ("join", "send", "join")] == [0, 0, 1000]


def test_several_are_taken_together_or_not_at_all() -> None:
    limits = RateLimits(LIMITS)

    def wait_for(tokens: int) -> int:
        return waited_ms(lambda: limits.check_user("send", "@u:x", "192.0.2.1", 0, tokens))

    assert [wait_for(tokens) for tokens in (2, 2, 1, 1)] == [0, 500, 0, 500]


def test_the_refusal_names_its_bucket() -> None:
    limits = RateLimits(Limits(login_failures=Limit(per_second=1 / 30, burst=1)))
    limits.check("login_failures", "@u:x", 0)
    with pytest.raises(MatrixError, match=r"login_failures; try again in 30 s\."):
        limits.check("login_failures", "@u:x", 0)


ALICE, BOB, HOME, WORK = "@alice:x", "@bob:x", "192.0.2.1", "192.0.2.2"
FAILURES = Limits(
    login_failures=Limit(per_second=1, burst=1), login_failures_of_user=Limit(per_second=0.5, burst=2)
)


def attempt_wait_ms(limits: RateLimits, user_id: str, address: str, now_ms: int = 0) -> int:
    return waited_ms(lambda: limits.check_attempt(user_id, address, now_ms))


def user_wait_ms(limits: RateLimits, user_id: str, address: str, now_ms: int = 0) -> int:
    return waited_ms(lambda: limits.check_user("join", user_id, address, now_ms))


def test_failures_are_counted_by_user_and_address() -> None:
    """Whoever is wrong on purpose keeps nobody out who is somewhere else."""
    limits = RateLimits(FAILURES)
    waits = [attempt_wait_ms(limits, ALICE, address) for address in (HOME, HOME, WORK)]
    assert waits == [0, 1000, 0]


def test_failures_from_everywhere_are_counted_too() -> None:
    limits = RateLimits(FAILURES)
    waits = [attempt_wait_ms(limits, ALICE, address) for address in (HOME, WORK, "192.0.2.3")]
    assert waits == [0, 0, 2000]
    assert attempt_wait_ms(limits, BOB, "192.0.2.3") == 0


def test_a_refused_attempt_is_no_failure() -> None:
    limits = RateLimits(FAILURES)
    waits = [attempt_wait_ms(limits, ALICE, address) for address in (HOME, HOME, HOME, WORK)]
    assert waits == [0, 1000, 1000, 0]


def test_a_success_costs_nothing() -> None:
    limits = RateLimits(FAILURES)
    for _ in range(5):
        assert attempt_wait_ms(limits, ALICE, HOME) == 0
        limits.forget_attempt(ALICE, HOME)
    assert [attempt_wait_ms(limits, ALICE, HOME) for _ in range(2)] == [0, 1000]


def test_giving_back_never_overfills_a_bucket() -> None:
    limits = RateLimits(FAILURES)
    limits.check_attempt(ALICE, HOME, 0)
    for _ in range(5):
        limits.forget_attempt(ALICE, HOME)
    assert [attempt_wait_ms(limits, ALICE, HOME) for _ in range(2)] == [0, 1000]


def test_what_nobody_took_cannot_be_given_back() -> None:
    limits = RateLimits(FAILURES)
    limits.forget_attempt(ALICE, HOME)
    assert [attempt_wait_ms(limits, ALICE, HOME) for _ in range(2)] == [0, 1000]


def test_an_address_has_a_bucket_for_all_its_users() -> None:
    limits = RateLimits(Limits(join_of_address=Limit(per_second=1, burst=2)))
    waits = [user_wait_ms(limits, *who) for who in ((ALICE, HOME), (BOB, HOME), (ALICE, HOME), (ALICE, WORK))]
    assert waits == [0, 0, 1000, 0]


def test_what_the_address_refuses_costs_the_user_nothing() -> None:
    one = Limit(per_second=1, burst=1)
    limits = RateLimits(Limits(join=one, join_of_address=one))
    waits = [user_wait_ms(limits, *who) for who in ((ALICE, HOME), (BOB, HOME), (BOB, WORK))]
    assert waits == [0, 1000, 0]


def test_a_user_can_have_limits_of_their_own() -> None:
    one, own = Limit(per_second=1, burst=1), LimitsOfUser(limits={"join": Limit(per_second=2, burst=2)})
    limits = RateLimits(Limits(join=one, join_of_address=one, users={ALICE: own}))
    assert [user_wait_ms(limits, ALICE, HOME) for _ in range(3)] == [0, 0, 500]
    assert [user_wait_ms(limits, BOB, HOME) for _ in range(2)] == [0, 1000]


def test_a_user_can_be_without_limits() -> None:
    one = Limit(per_second=1, burst=1)
    free = LimitsOfUser(is_unlimited=True)
    limits = RateLimits(Limits(join=one, join_of_address=one, login_failures=one, users={ALICE: free}))
    assert not any(user_wait_ms(limits, ALICE, HOME) for _ in range(100))
    assert [attempt_wait_ms(limits, ALICE, HOME) for _ in range(2)] == [0, 1000]


def test_a_clock_set_back_takes_no_tokens() -> None:
    limits = RateLimits(LIMITS)
    waits = [wait_ms(limits, "@u:x", now_ms) for now_ms in (1_000_000, 0, 0, 0, 500)]
    assert waits == [0, 0, 0, 500, 0]


def test_limits_that_are_off_let_everything_through() -> None:
    limits = RateLimits(Limits(is_on=False, join=Limit(per_second=1, burst=1)))
    assert not any(wait_ms(limits, "@u:x", 0, "join") for _ in range(100))


def test_the_bucket_used_longest_ago_is_forgotten() -> None:
    limits = RateLimits(LIMITS, buckets_max=2)
    for key in ("@a:x", "@b:x", "@a:x", "@c:x"):
        wait_ms(limits, key, 0, "join")
    assert [wait_ms(limits, key, 0, "join") for key in ("@a:x", "@b:x")] == [1000, 0]


def test_a_key_is_kept_no_longer_than_an_identifier() -> None:
    limits = RateLimits(LIMITS)
    long = "x" * KEY_CHARACTERS_MAX
    assert [wait_ms(limits, long + rest, 0, "join") for rest in ("", "y", "z" * 100_000)] == [0, 1000, 1000]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:0db8:0001:0002::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_an_address_stands_for_one_client(host: str, key: str) -> None:
    assert address_key(host) == key
