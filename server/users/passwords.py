"""Passwords as argon2id hashes, made and checked off the event loop.

One hash takes tens of milliseconds and 64 MiB of memory by design; so a few threads of their own do it,
and no more than that many are under way at once, however many clients ask.

The parameters are those that RFC 9106, section 4, recommends second, where memory is dear: argon2id, 64 MiB,
3 passes, 4 lanes, 128 bits of salt, 256 bits of hash. OWASP's Password Storage Cheat Sheet asks for no less
than 19 MiB and 2 passes. They stand in every hash, so that they can be raised while old hashes still hold.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from server.errors import ErrorCode, MatrixError

PASSWORD_CHARACTERS_MAX = 512
"""argon2 would take gigabytes; nobody types them."""

WRONG_PASSWORD = "Wrong user name or password."
"""The same words whichever it was, so that nobody learns which names there are."""

_hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

_HASH_OF_NOBODY = f"$argon2id$v=19$m=65536,t=3,p=4${'A' * 22}${'A' * 43}"
"""Checked when there is no such user, so that the time an answer takes does not tell.

Of the parameters of all others, and made of nothing: to compute it when it is first asked for made the first
login after a start take twice as long, if there was no such user.
"""


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
        return _hasher.verify(password_hash or _HASH_OF_NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
