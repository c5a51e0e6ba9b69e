"""The calls that /sync replaced: GET /initialSync, GET /events, GET /rooms/{roomId}/initialSync.

Where: client-server API, "Syncing" (deprecated calls); of 2015, "Syncing".
"""

from starlette.requests import Request
from starlette.responses import Response

from projections.facts import end_of
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import query_boolean, query_integer, query_text
from server.http.routing import CLIENT, Rendering, Route, rendering
from server.http.waiting import while_connected
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import may_follow, readable_until
from server.sync import legacy
from server.sync.legacy import EventsRequest
from server.sync.tokens import parse_token

LIMIT_DEFAULT = 16
LIMIT_MAX = 1_000
TIMEOUT_MS_MAX = 120_000


async def initial_sync(request: Request) -> Response:
    """GET /initialSync: all rooms with their state and last events."""
    session, parts = authenticate(request), context(request)
    found = await legacy.initial_sync(
        parts.homeserver,
        parts.audience.head,
        session,
        _limit(request),
        archived=query_boolean(request, "archived", default=False),
        is_legacy=rendering(request) is Rendering.V1,
    )
    return answer(found)


async def events(request: Request) -> Response:
    """GET /events: what came since a token; waits up to `timeout` milliseconds for something.

    With `room_id` only of that room, which may also be one that the user only looks at.
    """
    session, parts = authenticate(request), context(request)
    head, begin = parts.audience.head, query_text(request, "from")
    room_id = query_text(request, "room_id")
    if room_id is not None:
        with parts.homeserver.views.read() as view:
            if not may_follow(view, room_id, session.user_id):
                raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")
    arguments = EventsRequest(
        session=session,
        start=end_of(head) if not begin else parse_token(begin, head=head, parameter="from"),
        timeout_ms=query_integer(request, "timeout", 0, minimum=0, maximum=TIMEOUT_MS_MAX),
        room_id=room_id,
    )
    is_legacy = rendering(request) is Rendering.V1
    waiting = legacy.events(parts.homeserver, parts.audience, arguments, is_legacy=is_legacy)
    found = await while_connected(request, waiting)
    authenticate(request)  # once more: who was logged out while waiting is told nothing that came after
    return answer(found)


async def room_initial_sync(request: Request) -> Response:
    """GET /rooms/{room_id}/initialSync: one room as it is, or as it was when the reader left."""
    session, parts = authenticate(request), context(request)
    room_id = request.path_params["room_id"]
    with parts.homeserver.views.read() as view:
        readable_until(view, room_id, session.user_id)
        is_legacy = rendering(request) is Rendering.V1
        shown = ClientFormat(view, session, parts.homeserver.now(), legacy=is_legacy)
        until = end_of(parts.audience.head)
        room = legacy.room_snapshot(view, shown, room_id, until, _limit(request))
        return answer({"membership": shown.visibility(room_id).membership_at(until)} | room)


def _limit(request: Request) -> int:
    return query_integer(request, "limit", LIMIT_DEFAULT, minimum=1, maximum=LIMIT_MAX)


routes = (
    Route("GET", "/initialSync", initial_sync, CLIENT),
    Route("GET", "/events", events, CLIENT),
    Route("GET", "/rooms/{room_id}/initialSync", room_initial_sync, CLIENT),
)
