"""Room aliases. Where: client-server API, "Room aliases"."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import directory
from server.appservices.identity import check_may_make
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import service_of
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse
from server.http.routing import CLIENT, Route
from server.rooms.aliases import RemoveAlias, SetAlias, remove_alias, set_alias
from server.rooms.visibility import readable_until


class AliasTarget(msgspec.Struct, frozen=True):
    """The body of PUT /directory/room/{room_alias}."""

    room_id: str


async def put_alias(request: Request) -> Response:
    """PUT /directory/room/{room_alias}."""
    session = authenticate(request)
    check_rate(request, "state", session.user_id)
    body = await parse(request, AliasTarget)
    parts, alias = context(request), request.path_params["room_alias"]
    check_may_make(parts.config.appservices, "aliases", alias, service_of(request))
    await parts.writer.decide(set_alias, SetAlias(session, alias, body.room_id))
    return answer({})


async def get_alias(request: Request) -> Response:
    """GET /directory/room/{room_alias}; needs no token."""
    alias, homeserver = request.path_params["room_alias"], context(request).homeserver
    await context(request).queries.ensure_alias(homeserver, alias)
    with homeserver.views.read() as view:
        known = directory.alias(view, alias)
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no room alias {alias}.")
    return answer({"room_id": known.room_id, "servers": [homeserver.server_name]})


async def delete_alias(request: Request) -> Response:
    """DELETE /directory/room/{room_alias}."""
    session = authenticate(request)
    check_rate(request, "state", session.user_id)
    parts, alias, service = context(request), request.path_params["room_alias"], service_of(request)
    check_may_make(parts.config.appservices, "aliases", alias, service)
    arguments = RemoveAlias(session, alias, is_in_own_namespace=service is not None)
    await parts.writer.decide(remove_alias, arguments)
    return answer({})


async def get_aliases_of_room(request: Request) -> Response:
    """GET /rooms/{room_id}/aliases."""
    session = authenticate(request)
    room_id = request.path_params["room_id"]
    with context(request).homeserver.views.read() as view:
        readable_until(view, room_id, session.user_id)
        return answer({"aliases": directory.aliases_of_room(view, room_id)})


_ALIAS = "/directory/room/{room_alias}"

routes = (
    Route("PUT", _ALIAS, put_alias, CLIENT),
    Route("GET", _ALIAS, get_alias, CLIENT),
    Route("DELETE", _ALIAS, delete_alias, CLIENT),
    Route("GET", "/rooms/{room_id}/aliases", get_aliases_of_room, CLIENT),
)
