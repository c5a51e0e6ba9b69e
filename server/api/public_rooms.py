"""The public list of rooms. Where: client-server API, "Published room directory"."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import parse, query_integer, query_text
from server.http.routing import CLIENT, Rendering, Route, rendering
from server.rooms import public_list
from server.rooms.public_list import LIMIT_MAX, ListRoom, Wanted, list_room


class Filter(msgspec.Struct, frozen=True):
    generic_search_term: str | None = None
    room_types: tuple[str | None, ...] | None = None


class Search(msgspec.Struct, frozen=True):
    """The body of POST /publicRooms."""

    limit: int = LIMIT_MAX
    since: str | None = None
    filter: Filter = Filter()
    include_all_networks: bool = False
    third_party_instance_id: str | None = None


class Listing(msgspec.Struct, frozen=True):
    """The body of PUT /directory/list/room/{room_id}."""

    visibility: str = "public"


async def get_public_rooms(request: Request) -> Response:
    """GET /publicRooms; needs no token."""
    limit = query_integer(request, "limit", LIMIT_MAX, minimum=1, maximum=LIMIT_MAX)
    return _page(request, Wanted(), limit, query_text(request, "since"))


async def search_public_rooms(request: Request) -> Response:
    """POST /publicRooms: with a filter."""
    authenticate(request)
    body = await parse(request, Search, empty_is_object=True)
    if body.limit < 1:
        raise MatrixError(ErrorCode.INVALID_PARAM, "`limit` must be at least 1.")
    if body.third_party_instance_id is not None:
        if body.include_all_networks:
            message = "Either all networks or the rooms of one of them."
            raise MatrixError(ErrorCode.INVALID_PARAM, message)
        raise MatrixError(ErrorCode.NOT_FOUND, "No other network is bridged to this server.")
    wanted = Wanted(body.filter.generic_search_term or "", body.filter.room_types)
    return _page(request, wanted, min(body.limit, LIMIT_MAX), body.since)


def _page(request: Request, wanted: Wanted, limit: int, since: str | None) -> Response:
    homeserver = context(request).homeserver
    if query_text(request, "server") not in (None, homeserver.server_name):
        raise MatrixError(ErrorCode.NOT_FOUND, "This server does not know the lists of other servers.")
    is_legacy = rendering(request) is Rendering.V1
    with homeserver.views.read() as view:
        return answer(public_list.page(view, wanted, limit, since or None, is_legacy=is_legacy))


async def get_listing(request: Request) -> Response:
    """GET /directory/list/room/{room_id}; needs no token."""
    with context(request).homeserver.views.read() as view:
        is_listed = public_list.is_listed(view, request.path_params["room_id"])
    return answer({"visibility": "public" if is_listed else "private"})


async def put_listing(request: Request) -> Response:
    """PUT /directory/list/room/{room_id}."""
    session = authenticate(request)
    body = await parse(request, Listing, empty_is_object=True)
    if body.visibility not in ("public", "private"):
        raise MatrixError(ErrorCode.INVALID_PARAM, "`visibility` is public or private.")
    arguments = ListRoom(session, request.path_params["room_id"], body.visibility == "public")
    await context(request).writer.decide(list_room, arguments)
    return answer({})


_LISTING = "/directory/list/room/{room_id}"

routes = (
    Route("GET", "/publicRooms", get_public_rooms, CLIENT),
    Route("POST", "/publicRooms", search_public_rooms, CLIENT),
    Route("GET", _LISTING, get_listing, CLIENT),
    Route("PUT", _LISTING, put_listing, CLIENT),
)
