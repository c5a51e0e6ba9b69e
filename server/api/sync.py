"""GET /sync. Where: client-server API, "Syncing"."""

from starlette.requests import Request
from starlette.responses import Response

from projections import filters
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import query_boolean, query_integer, query_text
from server.http.routing import CLIENT, V2_2015, Route
from server.http.waiting import while_connected
from server.sync import following
from server.sync.filters import Filter, parse_filter
from server.sync.following import SyncRequest
from server.sync.tokens import parse_token

TIMEOUT_MS_MAX = 120_000
"""A client that asks for more is answered after this, and asks again."""


async def sync(request: Request) -> Response:
    """GET /sync: what is new since a token; waits up to `timeout` milliseconds for something."""
    session, parts = authenticate(request), context(request)
    since = query_text(request, "since")
    arguments = SyncRequest(
        session=session,
        since=None if not since else parse_token(since, head=parts.audience.head, parameter="since"),
        timeout_ms=query_integer(request, "timeout", 0, minimum=0, maximum=TIMEOUT_MS_MAX),
        full_state=query_boolean(request, "full_state", default=False),
        use_state_after=query_boolean(request, "use_state_after", default=False),
        filter=_filter(request, session),
    )
    found = await while_connected(request, following.sync(parts.homeserver, parts.audience, arguments))
    authenticate(request)  # once more: who was logged out while waiting is told nothing that came after
    return answer(found)


def _filter(request: Request, session: Session) -> Filter:
    """Given inline, or by the id under which the user stored it."""
    text = query_text(request, "filter")
    if not text:
        return Filter()
    if text.startswith("{"):
        return parse_filter(text)
    with context(request).homeserver.views.read() as view:
        definition = filters.filter_of(view, session.user_id, text)
    if definition is None:
        raise MatrixError(ErrorCode.INVALID_PARAM, "`filter` is not the id of a filter of yours.")
    return parse_filter(definition)


routes = (Route("GET", "/sync", sync, CLIENT + V2_2015),)
