"""Passwords as argon2id hashes, made and checked off the event loop.

One hash takes tens of milliseconds and 64 MiB of memory by design; so a few threads of their own do it,
and no more than that many are under way at once, however many clients ask.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from server.errors import ErrorCode, MatrixError

PASSWORD_CHARACTERS_MAX = 512
"""argon2 would take gigabytes; nobody types them."""

WRONG_PASSWORD = "Wrong user name or password."
"""The same words whichever it was, so that nobody learns which names there are."""

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")


@cache
def _hash_of_nobody() -> str:
    """Checked when there is no such user, so that the time an answer takes does not tell.

    Made when first asked for: it takes 0.1 s, which is no part of starting any command.
    """
    return _hasher.hash("nobody's password")


def checked_password(password: str | None) -> str:
    """A password that somebody wants to have. Raises `MatrixError` if nobody should."""
    if password is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "A password is needed.")
    if not password:
        raise MatrixError(ErrorCode.WEAK_PASSWORD, "The password is empty.")
    if len(password) > PASSWORD_CHARACTERS_MAX:
        raise MatrixError(
            ErrorCode.INVALID_PARAM, f"A password has at most {PASSWORD_CHARACTERS_MAX} characters."
        )
    return password


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def is_password(password_hash: str, password: str) -> bool:
    """Is it the password of this hash? An empty hash stands for nobody and matches nothing."""
    loop = asyncio.get_running_loop()
    matches = await loop.run_in_executor(_threads, _verify, password_hash, password)
    return matches and bool(password_hash)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash or _hash_of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
