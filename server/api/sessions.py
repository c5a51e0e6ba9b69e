"""Logging in and out, and who one is. Where: client-server API, "Login", "Logging out"."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.appservices.identity import has_device, may_act_as
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import authenticate_service, find_service
from server.http.context import context
from server.http.identity import authenticate, authenticate_owner, check_rate_of_address
from server.http.interactive import APPLICATION_SERVICE, PASSWORD, check_password, full_user_id, named_user
from server.http.parsing import parse
from server.http.routing import CLIENT, TODAY, V1_2015, Route
from server.users.refreshing import Refresh, refresh, refresh_at_once
from server.users.sessions import LogIn, LogOut, log_in, log_out, log_out_everywhere, new_session
from server.users.tokens import NewTokens, digest_of, new_token
from server.writer import Decision


class LoginBody(msgspec.Struct, frozen=True):
    """Of today; `user` is of 2015 and still sent."""

    type: str
    password: str | None = None
    identifier: dict[str, Any] | None = None
    user: str | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    refresh_token: bool = False


class RefreshBody(msgspec.Struct, frozen=True):
    refresh_token: str


async def get_flows(request: Request) -> Response:
    """GET /login."""
    types = [PASSWORD, APPLICATION_SERVICE] if context(request).config.appservices else [PASSWORD]
    return answer({"flows": [{"type": one} for one in types]})


async def post_login(request: Request) -> Response:
    """POST /login."""
    find_service(request)  # which may be exempt from the limit
    check_rate_of_address(request, "login")
    body = await parse(request, LoginBody)
    user_id, password_hash = await _proven(request, body)
    homeserver, writer = context(request).homeserver, context(request).writer
    tokens, session = new_session(
        homeserver.random_text,
        body.device_id,
        body.initial_device_display_name,
        is_refreshable=body.refresh_token,
    )
    await writer.decide(log_in, LogIn(user_id, session, password_hash))
    who = {"user_id": user_id, "device_id": session.device_id}
    return answer(who | {"home_server": homeserver.server_name} | tokens.shown())


async def _proven(request: Request, body: LoginBody) -> tuple[str, str | None]:
    """Who the client has proved to be, and the hash that its password was checked against.

    A service needs no password, for any user of its namespace.
    """
    if body.type == APPLICATION_SERVICE:
        service, server_name = authenticate_service(request), context(request).homeserver.server_name
        user_id = full_user_id(_named(body), server_name)
        if not may_act_as(service, user_id, server_name):
            raise MatrixError(ErrorCode.EXCLUSIVE, f"{user_id} is not of this application service.")
        return user_id, None
    if body.type != PASSWORD:
        raise MatrixError(ErrorCode.UNKNOWN, "The only way to log in is m.login.password.")
    if body.password is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "A password is needed.")
    account = await check_password(request, _named(body), body.password)
    return account.user_id, account.password_hash


def _named(body: LoginBody) -> str:
    name = named_user(body.identifier, body.user)
    if name is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "The name of the user is needed.")
    return name


async def post_refresh(request: Request) -> Response:
    """POST /refresh; the refresh token is all the proof that it takes."""
    return await _refresh(request, refresh)


async def post_tokenrefresh(request: Request) -> Response:
    """POST /tokenrefresh, of 2015."""
    return await _refresh(request, refresh_at_once)


async def _refresh(request: Request, decision: Decision[Refresh, None]) -> Response:
    check_rate_of_address(request, "login")
    body = await parse(request, RefreshBody)
    random_text = context(request).homeserver.random_text
    access_token, refresh_token = new_token(random_text), new_token(random_text)
    exchange = Refresh(digest_of(body.refresh_token), digest_of(access_token), digest_of(refresh_token))
    await context(request).writer.decide(decision, exchange)
    return answer(NewTokens(access_token, refresh_token).shown())


async def post_logout(request: Request) -> Response:
    """POST /logout; the body may be empty."""
    session = authenticate_owner(request)
    await context(request).writer.decide(log_out, LogOut(session))
    return answer({})


async def post_logout_all(request: Request) -> Response:
    """POST /logout/all; the body may be empty."""
    session = authenticate_owner(request)
    await context(request).writer.decide(log_out_everywhere, LogOut(session))
    return answer({})


async def whoami(request: Request) -> Response:
    """GET /account/whoami."""
    session = authenticate(request)
    device = {"device_id": session.device_id} if has_device(session) else {}
    return answer({"user_id": session.user_id, **device, "is_guest": False})


routes = (
    Route("GET", "/login", get_flows, CLIENT),
    Route("POST", "/login", post_login, CLIENT),
    Route("POST", "/refresh", post_refresh, TODAY),
    Route("POST", "/tokenrefresh", post_tokenrefresh, V1_2015),
    Route("POST", "/logout", post_logout, CLIENT),
    Route("POST", "/logout/all", post_logout_all, CLIENT),
    Route("GET", "/account/whoami", whoami, CLIENT),
)
