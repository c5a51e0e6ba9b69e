"""POST /register, and the list of flows that clients of 2015 ask for first.

Where: client-server API, "Account registration and management", "User-Interactive Authentication API".
The only stage is `m.login.dummy`. Whether the name is to be had is said before it is asked for.
An application service makes users of its namespace without a password, whether or not others may.
"""

import msgspec
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from server.appservices.identity import check_may_register
from server.appservices.registration import AppService
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import authenticate_service, find_service
from server.http.context import context
from server.http.identity import check_rate_of_address
from server.http.interactive import APPLICATION_SERVICE, DUMMY, PASSWORD, Authentication, proven
from server.http.parsing import parse, query_text
from server.http.routing import CLIENT, V1_2015, V2_2015, Prefixes, Rendering, Route, rendering
from server.users.passwords import checked_password, hash_password
from server.users.registration import (
    Register,
    check_is_free,
    random_localpart,
    register,
    user_id_for,
)
from server.users.sessions import new_session

_V2_AS_WRITTEN: Prefixes = ("/_matrix/client/api/v2_alpha",)
"""What the file of 2015 about this call says; the text beside it has the other form."""


class RegistrationBody(msgspec.Struct, frozen=True):
    """Of today; `user` is of 2015, and so is `type`, but for application services."""

    username: str | None = None
    password: str | None = None
    auth: Authentication | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    refresh_token: bool = False
    type: str | None = None
    user: str | None = None


async def get_flows(request: Request) -> Response:
    """GET /register, of 2015: what a registration may look like."""
    _check_is_open(request)
    return answer({"flows": [{"type": PASSWORD}]})


async def post_register(request: Request) -> Response:
    """POST /register."""
    find_service(request)  # which may be exempt from the limit
    check_rate_of_address(request, "register")
    if query_text(request, "kind") == "guest":
        raise MatrixError(ErrorCode.GUEST_ACCESS_FORBIDDEN, "There are no guest accounts on this server.")
    body = await parse(request, RegistrationBody)
    service = authenticate_service(request) if body.type == APPLICATION_SERVICE else None
    if service is None:
        _check_is_open(request)
    homeserver, localpart = context(request).homeserver, _localpart(request, body, service)
    _check_is_free(request, localpart, service)
    tokens, session = new_session(
        homeserver.random_text,
        body.device_id,
        body.initial_device_display_name,
        is_refreshable=body.refresh_token,
    )
    new_account = Register(localpart, "", None if body.inhibit_login else session)
    user_id = await _register(request, body, service, new_account)
    if body.inhibit_login:
        return answer({"user_id": user_id})
    who = {"user_id": user_id, "device_id": session.device_id}
    return answer(who | {"home_server": homeserver.server_name} | tokens.shown())


async def _register(
    request: Request, body: RegistrationBody, service: AppService | None, new_account: Register
) -> str:
    """The user's id, once the client has proved what it has to; users of services have no password."""
    writer = context(request).writer
    if service is not None:
        return await writer.decide(register, new_account)
    async with proven(request, body.auth, _stages(request, body)):
        password_hash = await hash_password(checked_password(body.password))
        return await writer.decide(register, replace(new_account, password_hash=password_hash))


async def get_available(request: Request) -> Response:
    """GET /register/available; the name is not kept for who asks."""
    check_rate_of_address(request, "register")
    _check_is_open(request)
    username = query_text(request, "username")
    if username is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "The query has no username.")
    _check_is_free(request, username, None)
    return answer({"available": True})


def _localpart(request: Request, body: RegistrationBody, service: AppService | None) -> str:
    named = body.username or body.user
    if not named and service is not None:  # a random name would be in no namespace
        raise MatrixError(ErrorCode.MISSING_PARAM, "An application service has to name its user.")
    return named or random_localpart(context(request).homeserver.random_text)


def _check_is_free(request: Request, localpart: str, service: AppService | None) -> None:
    parts = context(request)
    server_name = parts.homeserver.server_name
    user_id = user_id_for(localpart, server_name)
    check_may_register(parts.config.appservices, user_id, service, server_name)
    with parts.homeserver.views.read() as view:
        check_is_free(view, user_id)


def _check_is_open(request: Request) -> None:
    if context(request).config.registration != "open":
        raise MatrixError(ErrorCode.FORBIDDEN, "Registration is closed; ask the operator for an account.")


def _stages(request: Request, body: RegistrationBody) -> list[str]:
    """What a client has to do; one of 2015 says how it registers, and that is all."""
    if rendering(request) is not Rendering.V1 or body.type is None:
        return [DUMMY]
    if body.type != PASSWORD:
        raise MatrixError(ErrorCode.UNKNOWN, "The only way to register is m.login.password.")
    return []


routes = (
    Route("POST", "/register", post_register, CLIENT + V2_2015 + _V2_AS_WRITTEN),
    Route("GET", "/register", get_flows, V1_2015),
    Route("GET", "/register/available", get_available, CLIENT),
)
