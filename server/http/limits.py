"""Rate limits: how often somebody may do something, as token buckets.

A bucket holds `burst` tokens and gets `per_second` new ones; whatever is done takes one, and an empty
bucket refuses until the next token is there. Time is an argument, in milliseconds of any clock.

The buckets of each limit are a table of bounded size. When it is full, the bucket that was used longest
ago makes room; its owner begins with a full one again, so the bound errs towards letting people in.

Where: client-server API, "Rate limiting".
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from server.errors import ErrorCode, MatrixError
from server.rate_limits import Bucket, Limit, Limits, OfUser, of_address

BUCKETS_MAX = 50_000
"""For each limit; some 15 MB when it is full."""
KEY_CHARACTERS_MAX = 255
"""No user id and no address is longer; what is, shares a bucket with all that begins like it."""
_ROUNDING = 1e-6
"""Tokens that binary fractions may lack, so that whoever waits exactly as told is let through."""


@dataclass(slots=True)
class TokenBucket:
    tokens: float
    filled_ms: int
    """When `tokens` was right."""


_NO_BUCKETS: Mapping[str, TokenBucket] = {}
_Place: TypeAlias = tuple[Bucket, str]


class RateLimits:
    """All buckets of one server; for one thread."""

    def __init__(self, limits: Limits, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._limits = limits
        self._buckets_max = buckets_max
        self._tables: dict[Bucket, OrderedDict[str, TokenBucket]] = {}

    @property
    def is_on(self) -> bool:
        return self._limits.is_on

    def check(self, name: Bucket, key: str, now_ms: int) -> None:
        """Take a token from a key's bucket, or raise LIMIT_EXCEEDED with the time until there is one."""
        self._take(name, key, self._limits.of(name), now_ms)

    def check_user(self, name: OfUser, user_id: str, address: str, now_ms: int, tokens: int = 1) -> None:
        """The same from a user's bucket and from that of where they are: from both, or from none.

        Whoever has a limit of their own is not counted by address. Raises UNKNOWN if there never are as
        many tokens as that at once.
        """
        self._take(name, user_id, self._limits.of(name, user_id), now_ms, tokens)
        if self._limits.has_own(name, user_id):
            return
        by_address = of_address(name)
        try:
            self._take(by_address, address, self._limits.of(by_address), now_ms, tokens)
        except MatrixError:
            self._give_back(name, user_id, tokens)
            raise

    def check_attempt(self, user_id: str, address: str, now_ms: int) -> None:
        """Count an attempt to prove who one is as a failure, before it is made.

        After a success `forget_attempt` takes it back: so many attempts at once cannot all look at the
        bucket before the first has failed.
        """
        taken: list[_Place] = []
        for name, key in _places_of_attempt(user_id, address):
            try:
                self._take(name, key, self._limits.of(name, user_id), now_ms)
            except MatrixError:
                for place in taken:
                    self._give_back(*place)
                raise
            taken.append((name, key))

    def forget_attempt(self, user_id: str, address: str) -> None:
        """The attempt was none of the failures."""
        for name, key in _places_of_attempt(user_id, address):
            self._give_back(name, key)

    def _take(self, name: Bucket, key: str, limit: Limit | None, now_ms: int, tokens: int = 1) -> None:
        if limit is None or not self._limits.is_on:
            return
        if tokens > limit.burst:
            message = f"No more than {limit.burst} are possible at once of the kind {name}."
            raise MatrixError(ErrorCode.UNKNOWN, message)
        bucket = self._filled(name, key, limit, now_ms)
        if bucket.tokens < tokens - _ROUNDING:
            wait_ms = max(1, math.ceil(round((tokens - bucket.tokens) / limit.per_second * 1000, 6)))
            message = f"Too many requests of the kind {name}; try again in {-(-wait_ms // 1000)} s."
            raise MatrixError(ErrorCode.LIMIT_EXCEEDED, message, retry_after_ms=wait_ms)
        bucket.tokens -= tokens

    def _give_back(self, name: Bucket, key: str, tokens: int = 1) -> None:
        bucket = self._tables.get(name, _NO_BUCKETS).get(key[:KEY_CHARACTERS_MAX])
        if bucket is not None:
            bucket.tokens += tokens  # never more than a burst for long: the next check sees to that

    def _filled(self, name: Bucket, key: str, limit: Limit, now_ms: int) -> TokenBucket:
        table, key = self._tables.setdefault(name, OrderedDict()), key[:KEY_CHARACTERS_MAX]
        bucket = table.get(key)
        if bucket is None:
            if len(table) >= self._buckets_max:
                table.popitem(last=False)
            bucket = table[key] = TokenBucket(limit.burst, now_ms)
        else:
            table.move_to_end(key)
            # A clock that is set back must not take tokens away, nor stop new ones for as long.
            elapsed_ms = max(0, now_ms - bucket.filled_ms)
            bucket.tokens = min(bucket.tokens + elapsed_ms / 1000 * limit.per_second, limit.burst)
            bucket.filled_ms = now_ms
        return bucket


def _places_of_attempt(user_id: str, address: str) -> Sequence[_Place]:
    # The address first: of a name without end, a beginning is kept.
    return ("login_failures", f"{address} {user_id}"), ("login_failures_of_user", user_id)


@lru_cache(maxsize=4_096)
def address_key(host: str) -> str:
    """The part of an address that stands for one client: of IPv6 the network, which anybody has whole."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:  # a client of IPv4 at a socket for both
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False).network_address)
