"""Logging in and out, and who one is. Where: client-server API, "Login", "Logging out"."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate, check_rate_of_address
from server.http.interactive import check_password
from server.http.parsing import parse
from server.http.routing import CLIENT, Route
from server.users.sessions import (
    LogIn,
    LogOut,
    NewSession,
    log_in,
    log_out,
    log_out_everywhere,
    new_device_id,
)
from server.users.tokens import digest_of, new_token

_PASSWORD = "m.login.password"


class LoginBody(msgspec.Struct, frozen=True):
    """Of today; `user` is of 2015 and still sent."""

    type: str
    password: str | None = None
    identifier: dict[str, Any] | None = None
    user: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None


async def get_flows(_: Request) -> Response:
    """GET /login."""
    return answer({"flows": [{"type": _PASSWORD}]})


async def post_login(request: Request) -> Response:
    """POST /login."""
    check_rate_of_address(request, "login")
    body = await parse(request, LoginBody)
    if body.type != _PASSWORD:
        raise MatrixError(ErrorCode.UNKNOWN, "The only way to log in is m.login.password.")
    if body.password is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "A password is needed.")
    homeserver, writer = context(request).homeserver, context(request).writer
    user_id = await check_password(request, _user_named(body), body.password)
    token = new_token(homeserver.random_text)
    device_id = body.device_id or new_device_id(homeserver.random_text)
    session = NewSession(device_id, digest_of(token), body.initial_device_display_name)
    await writer.decide(log_in, LogIn(user_id, session))
    return answer(
        {
            "user_id": user_id,
            "access_token": token,
            "device_id": device_id,
            "home_server": homeserver.server_name,
        }
    )


async def post_logout(request: Request) -> Response:
    """POST /logout; the body may be empty."""
    session = authenticate(request)
    await context(request).writer.decide(log_out, LogOut(session))
    return answer({})


async def post_logout_all(request: Request) -> Response:
    """POST /logout/all; the body may be empty."""
    session = authenticate(request)
    await context(request).writer.decide(log_out_everywhere, LogOut(session))
    return answer({})


async def whoami(request: Request) -> Response:
    """GET /account/whoami."""
    session = authenticate(request)
    return answer({"user_id": session.user_id, "device_id": session.device_id, "is_guest": False})


def _user_named(body: LoginBody) -> str:
    """A user id or a localpart, from wherever the client put it."""
    name: object = body.user
    if body.identifier is not None:
        if body.identifier.get("type") != "m.id.user":
            raise MatrixError(ErrorCode.UNKNOWN, "Users are known here by their name only (m.id.user).")
        name = body.identifier.get("user")
    if not isinstance(name, str):
        raise MatrixError(ErrorCode.MISSING_PARAM, "The name of the user is needed.")
    return name


routes = (
    Route("GET", "/login", get_flows, CLIENT),
    Route("POST", "/login", post_login, CLIENT),
    Route("POST", "/logout", post_logout, CLIENT),
    Route("POST", "/logout/all", post_logout_all, CLIENT),
    Route("GET", "/account/whoami", whoami, CLIENT),
)
