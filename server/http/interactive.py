"""Proving more than a token: the stages that a call asks for, and the 401 that says which are missing.

Where: client-server API, "User-Interactive Authentication API". A client that knows the stages may send
the first with its first request; without `auth` it is always asked for them. What it has finished is
remembered in its session until the call has succeeded.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.requests import Request

from projections import accounts
from projections.accounts import Account
from server.errors import ErrorCode, MatrixError
from server.http.context import context
from server.http.identity import address_of
from server.http.routing import matched_route
from server.users.interactive_sessions import Call, InteractiveSession
from server.users.passwords import PASSWORD_CHARACTERS_MAX, WRONG_PASSWORD, is_password

DUMMY = "m.login.dummy"
PASSWORD = "m.login.password"
APPLICATION_SERVICE = "m.login.application_service"
"""No stage: a service's token is all the proof that it takes."""


class Authentication(msgspec.Struct, frozen=True):
    """`auth` of a body, as far as the stages that there are need it."""

    type: str | None = None
    """Without it a client that names its session asks how far it is."""
    session: str | None = None
    identifier: dict[str, Any] | None = None
    user: str | None = None
    password: str | None = None


class Challenge(Exception):
    """The call goes on once the client has proved more; `body` says what. Not an error, unless it tried."""

    def __init__(
        self, session: InteractiveSession, stages: Sequence[str], refusal: MatrixError | None = None
    ) -> None:
        super().__init__()
        self.body: dict[str, object] = {
            "flows": [{"stages": stages}],
            "params": {},
            "session": session.id,
        }
        if session.completed:
            self.body["completed"] = session.completed
        if refusal is not None:
            self.body |= {"errcode": refusal.kind.code, "error": refusal.message}


@asynccontextmanager
async def proven(
    request: Request, auth: Authentication | None, stages: Sequence[str], user_id: str | None = None
) -> AsyncIterator[None]:
    """Carry a call out, once the client has finished all stages; `user_id` is whom its token stands for.

    Raises `Challenge` as long as stages are missing, UNKNOWN for a session that is not of this call,
    LIMIT_EXCEEDED after too many wrong passwords. If the call fails, what was proved still holds.
    """
    sessions = context(request).interactive_sessions
    session = _session(request, auth, user_id)
    missing = stages[len(session.completed) :]
    if missing and auth is not None and auth.type not in (None, *session.completed):
        await _attempt(request, auth, session, stages, user_id)
    if len(session.completed) < len(stages):
        raise Challenge(session, stages)
    sessions.take(session)
    try:
        yield
    except BaseException:
        sessions.put_back(session)
        raise


def _session(request: Request, auth: Authentication | None, user_id: str | None) -> InteractiveSession:
    parts, matched = context(request), matched_route(request.scope)
    assert matched is not None
    path: str = request.scope["raw_path"].decode("latin-1").removeprefix(matched.prefix)
    call = Call(request.method, path, user_id)
    sessions, homeserver = parts.interactive_sessions, parts.homeserver
    if auth is not None and auth.session is not None:
        return sessions.resume(auth.session, call, homeserver.now())
    return sessions.begin(call, homeserver.random_text, homeserver.now())


async def _attempt(
    request: Request,
    auth: Authentication,
    session: InteractiveSession,
    stages: Sequence[str],
    user_id: str | None,
) -> None:
    """Stages are done in their order."""
    stage = stages[len(session.completed)]
    try:
        if auth.type != stage:
            raise MatrixError(ErrorCode.FORBIDDEN, f"What is asked for is {stage}.")
        if stage == PASSWORD:
            await _check_own_password(request, auth, user_id)
    except MatrixError as error:
        if error.kind is not ErrorCode.FORBIDDEN:
            raise
        raise Challenge(session, stages, error) from error
    if stage not in session.completed:  # two requests may have tried it at once
        session.completed.append(stage)


async def _check_own_password(request: Request, auth: Authentication, user_id: str | None) -> None:
    """It is the token's user who has to be proved; naming another one proves nothing."""
    assert user_id is not None
    named = named_user(auth.identifier, auth.user)
    server_name = context(request).homeserver.server_name
    if named is not None and full_user_id(named, server_name) != user_id:
        raise MatrixError(ErrorCode.FORBIDDEN, "This is another user than the one who is logged in.")
    await check_password(request, user_id, auth.password or "")


def named_user(identifier: dict[str, Any] | None, user: str | None) -> str | None:
    """A user id or a localpart, from wherever the client put it; `user` is of 2015. `None` if nowhere."""
    if identifier is None:
        return user
    if identifier.get("type") != "m.id.user":
        raise MatrixError(ErrorCode.UNKNOWN, "Users are known here by their name only (m.id.user).")
    named = identifier.get("user")
    return named if isinstance(named, str) else None


def full_user_id(name: str, server_name: str) -> str:
    return name if name.startswith("@") else f"@{name.lower()}:{server_name}"


async def check_password(request: Request, name: str, password: str) -> Account:
    """The account of who has this name, a user id or a localpart, and this password.

    Raises `MatrixError` FORBIDDEN, in the same words and after the same time whether it is the name or
    the password that is wrong; LIMIT_EXCEEDED after too many failures for one user.
    """
    parts = context(request)
    user_id = full_user_id(name, parts.homeserver.server_name)
    with parts.homeserver.views.read() as view:
        known = accounts.account(view, user_id)
    # Taken before the attempt and given back after a success: parallel guesses count like others.
    address = address_of(request)
    parts.rate_limits.check_attempt(user_id, address, parts.homeserver.now())
    password_hash = known.password_hash if known is not None else ""
    matches = len(password) <= PASSWORD_CHARACTERS_MAX and await is_password(password_hash, password)
    if known is None or not matches:
        raise MatrixError(ErrorCode.FORBIDDEN, WRONG_PASSWORD)
    parts.rate_limits.forget_attempt(user_id, address)
    return known
