"""Who is asking, and whether they ask too often: the first lines of every handler.

The order of the checks is the one that clients rely on: the token (401), the rate (429), then the body.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from starlette.requests import Request

from projections import sessions
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.appservices import acting, is_exempt, service_of
from server.http.authentication import access_token_of
from server.http.context import Context, context
from server.http.limits import address_key
from server.rate_limits import OfUser
from server.users.refreshing import Confirm, confirm
from server.users.tokens import digest_of

_confirming: set[asyncio.Task[None]] = set()
"""The event loop itself does not keep a task alive."""


def authenticate(request: Request) -> Session:
    """Whom the request's token stands for. Raises `MatrixError` 401 if it has none, or a void one.

    The first use of a token that came with a refresh is put on record. For an application service it is
    the user whom the query names; raises `MatrixError` 403 if it may not act as that one.
    """
    parts = context(request)
    token = access_token_of(request, query_allowed=parts.config.query_tokens == "on")
    digest = digest_of(token)
    with parts.homeserver.views.read() as view:
        known = sessions.access_token(view, digest)
    if known is None:
        acted_as = acting(request, token)
        if acted_as is not None:
            return acted_as
        raise MatrixError(
            ErrorCode.UNKNOWN_TOKEN, "This access token is not valid, or not any more.", soft_logout=False
        )
    if known.expires_ts is not None and known.expires_ts <= parts.homeserver.now():
        message = "This access token has expired; refresh it or log in again."
        raise MatrixError(ErrorCode.UNKNOWN_TOKEN, message, soft_logout=True)
    if known.is_unused:
        task = asyncio.create_task(_confirm_refresh(parts, Confirm(known.session, digest)))
        _confirming.add(task)
        task.add_done_callback(_confirming.discard)
    return known.session


def authenticate_owner(request: Request) -> Session:
    """The same for the management of an account, which is for who logs in to it: FORBIDDEN for services."""
    session = authenticate(request)
    if service_of(request) is not None:
        raise MatrixError(ErrorCode.FORBIDDEN, "An application service cannot do this for its users.")
    return session


async def _confirm_refresh(parts: Context, used: Confirm) -> None:
    """Put on record that a refresh has reached the client, which voids the refresh token before it.

    Nothing waits for it: it stands in line before whatever the client asks for once it has this answer.
    """
    with suppress(MatrixError):  # it cannot be written now; the next use says it again
        await parts.writer.decide(confirm, used)


def check_rate(request: Request, name: OfUser, user_id: str, times: int = 1) -> None:
    """Raises `MatrixError` 429 if the user does this too often, or all users of their address together.

    400 if it is done so many `times` at once that no waiting would help.
    """
    parts = context(request)
    if not parts.rate_limits.is_on or is_exempt(request, user_id):
        return
    parts.rate_limits.check_user(name, user_id, address_of(request), parts.homeserver.now(), times)


def admitted(name: OfUser) -> Callable[[Request], Session]:
    """Who asks, if they do not do this too often."""

    def admit(request: Request) -> Session:
        session = authenticate(request)
        check_rate(request, name, session.user_id)
        return session

    return admit


def check_rate_of_address(request: Request, name: Literal["register", "login"]) -> None:
    """The same for calls that need no token: by where the request comes from."""
    if is_exempt(request, ""):
        return
    parts = context(request)
    parts.rate_limits.check(name, address_of(request), parts.homeserver.now())


def address_of(request: Request) -> str:
    """What stands for where a request comes from, when requests are counted."""
    return address_key(request.client.host if request.client else "")
