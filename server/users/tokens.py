"""Access tokens: random text for the client, its digest for the log."""

import hashlib
from collections.abc import Callable

_TOKEN_LENGTH = 43
"""Letters and digits: 256 bits, so that the digest needs neither salt nor a slow hash."""


def new_token(random_text: Callable[[int], str]) -> str:
    return random_text(_TOKEN_LENGTH)


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
