"""What users say of themselves. Where: client-server API, "Profiles".

Anybody may read a profile, without a token. Clients of 2015 know two fields of it, each at a path of its own.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import accounts, profiles
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse_object, read_body
from server.http.routing import CLIENT, TODAY, V1_2015, Route
from server.users.profiles import ChangeProfile, TellRooms, change_profile, tell_rooms


async def get_profile(request: Request) -> Response:
    """GET /profile/{user_id}: all fields; none is no error for a user who exists."""
    user_id = request.path_params["user_id"]
    with context(request).homeserver.views.read() as view:
        if accounts.account(view, user_id) is None:
            raise MatrixError(ErrorCode.NOT_FOUND, "There is no such user.")
        return answer(profiles.profile_of(view, user_id))


async def get_field(request: Request) -> Response:
    """GET /profile/{user_id}/{key_name}."""
    return _shown(request, request.path_params["key_name"])


async def get_display_name(request: Request) -> Response:
    """GET /profile/{user_id}/displayname, of 2015."""
    return _shown(request, "displayname")


async def get_avatar_url(request: Request) -> Response:
    """GET /profile/{user_id}/avatar_url, of 2015."""
    return _shown(request, "avatar_url")


async def put_field(request: Request) -> Response:
    """PUT /profile/{user_id}/{key_name}."""
    return await _set(request, request.path_params["key_name"])


async def put_display_name(request: Request) -> Response:
    """PUT /profile/{user_id}/displayname, of 2015."""
    return await _set(request, "displayname")


async def put_avatar_url(request: Request) -> Response:
    """PUT /profile/{user_id}/avatar_url, of 2015."""
    return await _set(request, "avatar_url")


async def delete_field(request: Request) -> Response:
    """DELETE /profile/{user_id}/{key_name}; one that is not there is no error."""
    session = _who_changes_their_own(request)
    return await _change(request, ChangeProfile(session, request.path_params["key_name"]))


def _shown(request: Request, name: str) -> Response:
    with context(request).homeserver.views.read() as view:
        value = profiles.field_of(view, request.path_params["user_id"], name)
    if value is msgspec.UNSET:
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such user, or they have not set this field.")
    return answer({name: value})


async def _set(request: Request, name: str) -> Response:
    session = _who_changes_their_own(request)
    body: dict[str, Any] = parse_object(await read_body(request))
    if name not in body:
        raise MatrixError(ErrorCode.MISSING_PARAM, "The body has no key of the field's name.")
    return await _change(request, ChangeProfile(session, name, body[name]))


def _who_changes_their_own(request: Request) -> Session:
    session = authenticate(request)
    check_rate(request, "profile", session.user_id)
    if request.path_params["user_id"] != session.user_id:
        raise MatrixError(ErrorCode.FORBIDDEN, "This is another user's profile.")
    return session


async def _change(request: Request, change: ChangeProfile) -> Response:
    """Answers once all rooms have been told."""
    decide = context(request).writer.decide
    last = await decide(change_profile, change)
    while last is not None:
        last = await decide(tell_rooms, TellRooms(change.session, change.field, last))
    return answer({})


_PROFILE = "/profile/{user_id}"
_FIELD = _PROFILE + "/{key_name}"

routes = (
    Route("GET", _PROFILE, get_profile, CLIENT),
    Route("GET", _FIELD, get_field, TODAY),
    Route("PUT", _FIELD, put_field, TODAY),
    Route("DELETE", _FIELD, delete_field, TODAY),
    Route("GET", _PROFILE + "/displayname", get_display_name, V1_2015),
    Route("PUT", _PROFILE + "/displayname", put_display_name, V1_2015),
    Route("GET", _PROFILE + "/avatar_url", get_avatar_url, V1_2015),
    Route("PUT", _PROFILE + "/avatar_url", put_avatar_url, V1_2015),
)
