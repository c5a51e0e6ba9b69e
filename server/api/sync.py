"""GET /sync. Where: client-server API, "Syncing"."""

from starlette.requests import Request
from starlette.responses import Response

from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import query_boolean, query_integer, query_text
from server.http.routing import CLIENT, V2_2015, Route
from server.sync import following
from server.sync.filters import parse_filter
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
        filter=parse_filter(query_text(request, "filter")),
    )
    return answer(await following.sync(parts.homeserver, parts.audience, arguments))


routes = (Route("GET", "/sync", sync, CLIENT + V2_2015),)
