"""Proving more than a token: passwords, and the 401 that asks for the next stage of a call.

Where: client-server API, "User-Interactive Authentication API". Nothing is remembered between the
requests of one call: each stage here is complete in itself, so `session` only has to look like one.
"""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from projections import accounts
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.users.passwords import PASSWORD_CHARACTERS_MAX, is_password

_SESSION_LENGTH = 24


def interactive_answer(request: Request, stages: Sequence[str], *, was_tried: bool) -> Response:
    """Ask the client for these stages; `was_tried` says that what it sent was not good enough."""
    asked: dict[str, object] = {
        "flows": [{"stages": stages}],
        "params": {},
        "session": context(request).homeserver.random_text(_SESSION_LENGTH),
    }
    if was_tried:
        asked |= {"errcode": ErrorCode.FORBIDDEN.code, "error": "This authentication was not accepted."}
    return answer(asked, status=401)


async def check_password(request: Request, name: str, password: str) -> str:
    """The user id of who has this name and this password.

    Raises `MatrixError` FORBIDDEN, in the same words and after the same time whether it is the name or
    the password that is wrong; LIMIT_EXCEEDED after too many failures for one user.
    """
    parts = context(request)
    user_id = name if name.startswith("@") else f"@{name.lower()}:{parts.homeserver.server_name}"
    with parts.homeserver.views.read() as view:
        known = accounts.account(view, user_id)
    # Taken before the attempt and given back after a success: parallel guesses count like others.
    parts.rate_limits.check("login_failures", user_id, parts.homeserver.now())
    password_hash = known.password_hash if known is not None else ""
    if len(password) > PASSWORD_CHARACTERS_MAX or not await is_password(password_hash, password):
        raise MatrixError(ErrorCode.FORBIDDEN, "Wrong user name or password.")
    parts.rate_limits.give_back("login_failures", user_id)
    return user_id
