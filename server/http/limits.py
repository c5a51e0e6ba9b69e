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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from server.errors import ErrorCode, MatrixError

BUCKETS_MAX = 50_000
"""For each limit; some 15 MB when it is full."""
KEY_CHARACTERS_MAX = 255
"""No user id and no address is longer; what is, shares a bucket with all that begins like it."""
_ROUNDING = 1e-6
"""Tokens that binary fractions may lack, so that whoever waits exactly as told is let through."""

Bucket: TypeAlias = Literal["send", "register", "login", "login_failures", "join", "invite"]


@dataclass(frozen=True)
class Limit:
    per_second: float
    burst: int


@dataclass(frozen=True)
class Limits:
    """Generous for people and their bots; in the way of those who guess, flood or loop."""

    is_on: bool = True
    send: Limit = Limit(per_second=50, burst=500)
    """Messages, state and redactions of one user."""
    register: Limit = Limit(per_second=0.5, burst=50)
    """New accounts from one address."""
    login: Limit = Limit(per_second=1, burst=50)
    """Logins from one address; each costs a slow hash."""
    login_failures: Limit = Limit(per_second=1 / 30, burst=10)
    """Wrong passwords for one user: a thousand guesses take eight hours."""
    join: Limit = Limit(per_second=2, burst=100)
    """Rooms that one user joins."""
    invite: Limit = Limit(per_second=2, burst=100)
    """People whom one user invites."""


@dataclass(slots=True)
class TokenBucket:
    tokens: float
    filled_ms: int
    """When `tokens` was right."""


_NO_BUCKETS: Mapping[str, TokenBucket] = {}


class RateLimits:
    """All buckets of one server; for one thread."""

    def __init__(self, limits: Limits, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._limits = limits
        self._buckets_max = buckets_max
        self._tables: dict[Bucket, OrderedDict[str, TokenBucket]] = {}

    def check(self, name: Bucket, key: str, now_ms: int) -> None:
        """Take a token from a key's bucket, or raise LIMIT_EXCEEDED with the time until there is one."""
        if not self._limits.is_on:
            return
        limit: Limit = getattr(self._limits, name)
        bucket = self._filled(name, key, limit, now_ms)
        if bucket.tokens < 1 - _ROUNDING:
            wait_ms = max(1, math.ceil(round((1 - bucket.tokens) / limit.per_second * 1000, 6)))
            message = f"Too many requests of the kind {name}; try again in {-(-wait_ms // 1000)} s."
            raise MatrixError(ErrorCode.LIMIT_EXCEEDED, message, retry_after_ms=wait_ms)
        bucket.tokens -= 1

    def give_back(self, name: Bucket, key: str) -> None:
        """Return a token that `check` took.

        Who counts failures takes a token before the attempt and gives it back after a success: so many
        attempts at once cannot all look at the bucket before the first has failed.
        """
        bucket = self._tables.get(name, _NO_BUCKETS).get(key[:KEY_CHARACTERS_MAX])
        if bucket is not None:
            bucket.tokens += 1  # never more than a burst for long: the next check sees to that

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
