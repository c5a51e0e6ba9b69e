"""A user's own account: a new password, and the end of it.

Where: client-server API, "Account management". Both ask for the password once more, so both need a token:
without one there is no stage here that could tell whose account it is.
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate_owner
from server.http.interactive import PASSWORD, Authentication, proven
from server.http.parsing import parse
from server.http.routing import CLIENT, V2_2015, Route
from server.users.account import ChangePassword, Deactivate, change_password, deactivate
from server.users.passwords import checked_password, hash_password


class PasswordBody(msgspec.Struct, frozen=True):
    new_password: str | None = None
    logout_devices: bool = True
    auth: Authentication | None = None


class DeactivationBody(msgspec.Struct, frozen=True):
    erase: bool = False
    auth: Authentication | None = None


async def post_password(request: Request) -> Response:
    """POST /account/password."""
    session = authenticate_owner(request)
    body = await parse(request, PasswordBody)
    async with proven(request, body.auth, [PASSWORD], session.user_id):
        password_hash = await hash_password(checked_password(body.new_password))
        change = ChangePassword(session, password_hash, body.logout_devices)
        await context(request).writer.decide(change_password, change)
    return answer({})


async def post_deactivate(request: Request) -> Response:
    """POST /account/deactivate."""
    session = authenticate_owner(request)
    body = await parse(request, DeactivationBody, empty_is_object=True)
    async with proven(request, body.auth, [PASSWORD], session.user_id):
        while not await context(request).writer.decide(deactivate, Deactivate(session, body.erase)):
            pass
    # No third-party identifiers are kept here: none is left bound.
    return answer({"id_server_unbind_result": "success"})


routes = (
    Route("POST", "/account/password", post_password, CLIENT + V2_2015),
    Route("POST", "/account/deactivate", post_deactivate, CLIENT),
)
