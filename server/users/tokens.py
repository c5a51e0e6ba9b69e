"""Access and refresh tokens: random text for the client, its digest for the log."""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import msgspec

ACCESS_TOKEN_LIFETIME_MS = 5 * 60_000
"""Of an access token that comes with a refresh token; any other lasts as long as its session."""
_TOKEN_LENGTH = 43
"""Letters and digits: 256 bits, so that the digest needs neither salt nor a slow hash."""


class NewTokens(msgspec.Struct, frozen=True):
    """What a client is handed, in the clear; nothing here keeps it."""

    access_token: str
    refresh_token: str | None = None

    @property
    def digest(self) -> str:
        return digest_of(self.access_token)

    @property
    def refresh_digest(self) -> str | None:
        return None if self.refresh_token is None else digest_of(self.refresh_token)

    def shown(self) -> dict[str, object]:
        """The fields that they are in an answer."""
        if self.refresh_token is None:
            return {"access_token": self.access_token}
        return {
            "access_token": self.access_token,
            "refresh_token": self.refresh_token,
            "expires_in_ms": ACCESS_TOKEN_LIFETIME_MS,
        }


def new_token(random_text: Callable[[int], str]) -> str:
    return random_text(_TOKEN_LENGTH)


def new_tokens(random_text: Callable[[int], str], *, is_refreshable: bool) -> NewTokens:
    return NewTokens(new_token(random_text), new_token(random_text) if is_refreshable else None)


def digest_of(token: str) -> str:
    return _digest_of_known(token) if len(token) <= _CHARACTERS_REMEMBERED else _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_CHARACTERS_REMEMBERED = 255
_digest_of_known = lru_cache(maxsize=1 << 12)(_digest)
"""A client sends its token with every request. In memory only, where requests have it in the clear anyway."""
