"""POST /register, and the list of flows that clients of 2015 ask for first.

Where: client-server API, "Account registration and management", "User-Interactive Authentication API".
The only stage is `m.login.dummy`. Whether the name is to be had is said before it is asked for.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import check_rate_of_address
from server.http.interactive import DUMMY, PASSWORD, Authentication, proven
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
    """Of today; `type` and `user` are of 2015."""

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
    check_rate_of_address(request, "register")
    _check_is_open(request)
    if query_text(request, "kind") == "guest":
        raise MatrixError(ErrorCode.GUEST_ACCESS_FORBIDDEN, "There are no guest accounts on this server.")
    body = await parse(request, RegistrationBody)
    homeserver, writer = context(request).homeserver, context(request).writer
    localpart = body.username or body.user or random_localpart(homeserver.random_text)
    _check_is_free(request, localpart)
    tokens, session = new_session(
        homeserver.random_text,
        body.device_id,
        body.initial_device_display_name,
        is_refreshable=body.refresh_token,
    )
    async with proven(request, body.auth, _stages(request, body)):
        password_hash = await hash_password(checked_password(body.password))
        new_account = Register(localpart, password_hash, None if body.inhibit_login else session)
        user_id = await writer.decide(register, new_account)
    if body.inhibit_login:
        return answer({"user_id": user_id})
    who = {"user_id": user_id, "device_id": session.device_id}
    return answer(who | {"home_server": homeserver.server_name} | tokens.shown())


async def get_available(request: Request) -> Response:
    """GET /register/available; the name is not kept for who asks."""
    check_rate_of_address(request, "register")
    _check_is_open(request)
    username = query_text(request, "username")
    if username is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "The query has no username.")
    _check_is_free(request, username)
    return answer({"available": True})


def _check_is_free(request: Request, localpart: str) -> None:
    homeserver = context(request).homeserver
    with homeserver.views.read() as view:
        check_is_free(view, user_id_for(localpart, homeserver.server_name))


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
