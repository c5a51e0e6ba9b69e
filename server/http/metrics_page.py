"""The one page of the operator's port: what `server/metrics.py` has to say, at `/metrics`.

It stands at a port of its own, so that nobody who reaches the clients' port can read it, and answers without
the headers for browsers that all of theirs carry: no page of the web is to read it either.

Where: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from server.http.doorkeeper import Bounds

SCRAPERS_MAX = 16
"""Connections; a scraper has one, and opens another if it lost that."""
METRICS_BOUNDS = Bounds(connections_max=SCRAPERS_MAX, connections_of_address_max=SCRAPERS_MAX)

_PATH = "/metrics"
_NOT_TO_BE_GUESSED = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

Text: TypeAlias = Callable[[str], Awaitable[tuple[bytes, str]]]
"""From the header `Accept` to the text, and what type of text it is."""


class MetricsPage:
    """An ASGI application."""

    def __init__(self, text: Text) -> None:
        self._text = text

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(Request(scope, receive))
        response.headers.update(_NOT_TO_BE_GUESSED)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if request.url.path != _PATH:
            return PlainTextResponse(f"There is nothing here but {_PATH}.\n", 404)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("This can only be read.\n", 405, {"Allow": "GET, HEAD"})
        text, media_type = await self._text(",".join(request.headers.getlist("accept")))
        return Response(text, media_type=media_type)
