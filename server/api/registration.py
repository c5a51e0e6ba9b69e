"""POST /register, and the list of flows that clients of 2015 ask for first.

Where: client-server API, "Account registration and management", "User-Interactive Authentication API".
The only stage is `m.login.dummy`; it holds nothing, so no session need be remembered, and a client that
knows the stage may send it with its first request.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import check_rate_of_address
from server.http.interactive import interactive_answer
from server.http.parsing import parse, query_text
from server.http.routing import CLIENT, V1_2015, V2_2015, Rendering, Route, rendering
from server.users.passwords import PASSWORD_CHARACTERS_MAX, hash_password
from server.users.registration import (
    Register,
    check_is_free,
    random_localpart,
    register,
    user_id_for,
)
from server.users.sessions import NewSession, new_device_id
from server.users.tokens import digest_of, new_token

_DUMMY = "m.login.dummy"


class RegistrationBody(msgspec.Struct, frozen=True):
    """Of today; `type` and `user` are of 2015."""

    username: str | None = None
    password: str | None = None
    auth: dict[str, Any] | None = None
    device_id: str | None = None
    initial_device_display_name: str | None = None
    inhibit_login: bool = False
    type: str | None = None
    user: str | None = None


async def get_flows(request: Request) -> Response:
    """GET /register, of 2015: what a registration may look like."""
    _check_is_open(request)
    return answer({"flows": [{"type": "m.login.password"}]})


async def post_register(request: Request) -> Response:
    """POST /register."""
    check_rate_of_address(request, "register")
    _check_is_open(request)
    if query_text(request, "kind") == "guest":
        raise MatrixError(ErrorCode.GUEST_ACCESS_FORBIDDEN, "There are no guest accounts on this server.")
    body = await parse(request, RegistrationBody)
    homeserver, writer = context(request).homeserver, context(request).writer
    localpart = body.username or body.user or random_localpart(homeserver.random_text)
    with homeserver.views.read() as view:  # before anything is asked for: is the name to be had?
        check_is_free(view, user_id_for(localpart, homeserver.server_name))
    refusal = _missing_stage(request, body)
    if refusal is not None:
        return refusal
    password_hash = await hash_password(_checked_password(body.password))
    token, device_id = (
        new_token(homeserver.random_text),
        body.device_id or new_device_id(homeserver.random_text),
    )
    session = NewSession(device_id, digest_of(token), body.initial_device_display_name)
    user_id = await writer.decide(
        register, Register(localpart, password_hash, None if body.inhibit_login else session)
    )
    if body.inhibit_login:
        return answer({"user_id": user_id})
    return answer(
        {
            "user_id": user_id,
            "access_token": token,
            "device_id": device_id,
            "home_server": homeserver.server_name,
        }
    )


def _check_is_open(request: Request) -> None:
    if context(request).config.registration != "open":
        raise MatrixError(ErrorCode.FORBIDDEN, "Registration is closed; ask the operator for an account.")


def _missing_stage(request: Request, body: RegistrationBody) -> Response | None:
    """`None` if the client has done all that is asked of it."""
    if rendering(request) is Rendering.V1 and body.type is not None:
        if body.type != "m.login.password":
            raise MatrixError(ErrorCode.UNKNOWN, "The only way to register is m.login.password.")
        return None
    if body.auth is not None and body.auth.get("type") == _DUMMY:
        return None
    return interactive_answer(request, [_DUMMY], was_tried=body.auth is not None)


def _checked_password(password: str | None) -> str:
    if password is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "A password is needed.")
    if not password:
        raise MatrixError(ErrorCode.WEAK_PASSWORD, "The password is empty.")
    if len(password) > PASSWORD_CHARACTERS_MAX:
        raise MatrixError(
            ErrorCode.INVALID_PARAM, f"A password has at most {PASSWORD_CHARACTERS_MAX} characters."
        )
    return password


routes = (
    Route("POST", "/register", post_register, CLIENT + V2_2015),
    Route("GET", "/register", get_flows, V1_2015),
)
