"""Finding a place in a room's history: around an event, or at a time.

Where: client-server API, "Getting events for a room".
"""

from starlette.requests import Request
from starlette.responses import Response

from projections.events import TIMESTAMP_MAX
from projections.facts import end_of
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import query_choice, query_integer, query_text
from server.http.routing import CLIENT, NEWER, Rendering, Route, rendering
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import readable_until, visible_event
from server.sync.event_context import event_context
from server.sync.filters import parse_event_filter
from server.sync.pagination import LIMIT_DEFAULT, LIMIT_MAX
from server.sync.timestamps import event_near


async def get_context(request: Request) -> Response:
    """GET /rooms/{room_id}/context/{event_id}: what stands around an event, and the state there."""
    session, parts = authenticate(request), context(request)
    path = request.path_params
    limit = query_integer(request, "limit", LIMIT_DEFAULT, minimum=0, maximum=LIMIT_MAX)
    wanted = parse_event_filter(query_text(request, "filter"))
    with parts.homeserver.views.read() as view:
        found = visible_event(view, path["event_id"], session.user_id, room_id=path["room_id"])
        is_legacy = rendering(request) is Rendering.V1
        shown = ClientFormat(view, session, parts.homeserver.now(), legacy=is_legacy)
        return answer(event_context(view, shown, found, limit, wanted, end_of(parts.audience.head)))


async def get_event_at_timestamp(request: Request) -> Response:
    """GET /rooms/{room_id}/timestamp_to_event: the event nearest to a time, in one direction."""
    session, homeserver = authenticate(request), context(request).homeserver
    room_id = request.path_params["room_id"]
    backwards = query_choice(request, "dir", ("f", "b")) == "b"
    if query_text(request, "ts") is None:
        raise MatrixError(ErrorCode.MISSING_PARAM, "The query has no ts.")
    timestamp = query_integer(request, "ts", 0, minimum=0, maximum=TIMESTAMP_MAX)
    with homeserver.views.read() as view:
        readable_until(view, room_id, session.user_id)
    found = await event_near(homeserver, room_id, session.user_id, timestamp, backwards=backwards)
    if found is None:
        direction = "before" if backwards else "after"
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no event {direction} this time that you may see.")
    return answer({"event_id": found.event_id, "origin_server_ts": found.event.origin_server_ts})


routes = (
    Route("GET", "/rooms/{room_id}/context/{event_id}", get_context, CLIENT),
    Route("GET", "/rooms/{room_id}/timestamp_to_event", get_event_at_timestamp, NEWER),
)
