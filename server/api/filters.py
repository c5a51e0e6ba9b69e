"""Filters that are kept on the server. Where: client-server API, "Filtering"."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import filters
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import parse_object, read_body
from server.http.routing import CLIENT, V2_2015, Route
from server.sync.filters import parse_filter
from server.users.filters import StoreFilter, store_filter


async def post_filter(request: Request) -> Response:
    """POST /user/{user_id}/filter."""
    user_id = _own_user_id(request)
    body = await read_body(request)
    definition = parse_object(body)
    parse_filter(body, ErrorCode.BAD_JSON)
    filter_id = await context(request).writer.decide(store_filter, StoreFilter(user_id, definition))
    return answer({"filter_id": filter_id})


async def get_filter(request: Request) -> Response:
    """GET /user/{user_id}/filter/{filter_id}: the filter as it was sent."""
    user_id = _own_user_id(request)
    with context(request).homeserver.views.read() as view:
        definition = filters.filter_of(view, user_id, request.path_params["filter_id"])
    if definition is None:
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such filter.")
    return answer(msgspec.Raw(definition))


def _own_user_id(request: Request) -> str:
    user_id = authenticate(request).user_id
    if request.path_params["user_id"] != user_id:
        raise MatrixError(ErrorCode.FORBIDDEN, "These are another user's filters.")
    return user_id


_FILTERS = "/user/{user_id}/filter"

routes = (
    Route("POST", _FILTERS, post_filter, CLIENT + V2_2015),
    Route("GET", _FILTERS + "/{filter_id}", get_filter, CLIENT + V2_2015),
)
