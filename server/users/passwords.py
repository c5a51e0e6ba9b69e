"""Passwords as argon2id hashes, made and checked off the event loop.

One hash takes tens of milliseconds and 64 MiB of memory by design; so a few threads of their own do it,
and no more than that many are under way at once, however many clients ask.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

PASSWORD_CHARACTERS_MAX = 512
"""argon2 would take gigabytes; nobody types them."""

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

_HASH_OF_NOBODY = _hasher.hash("nobody's password")
"""Checked when there is no such user, so that the time an answer takes does not tell."""


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def is_password(password_hash: str, password: str) -> bool:
    """Is it the password of this hash? An empty hash stands for nobody and matches nothing."""
    loop = asyncio.get_running_loop()
    matches = await loop.run_in_executor(_threads, _verify, password_hash or _HASH_OF_NOBODY, password)
    return matches and bool(password_hash)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
