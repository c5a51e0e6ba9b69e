"""The application: finds the handler, calls it, and turns whatever it raises into an answer.

    preflight  answered here, for any path, before anything looks at a token
    RouteTable → handler → an answer, or an error that becomes one (`refusals.py`)
    every answer leaves with the headers for browsers (`cors.py`)

It takes the place of Starlette's application class, whose three layers around a route cost as much as
finding the route, parsing and authenticating together; requests and responses are Starlette's.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from server.errors import MatrixError
from server.http.answers import WRITE_WHOLE, WriteWhole, error_answer
from server.http.cors import preflight, with_browser_headers
from server.http.parsing import BODY_BYTES_MAX
from server.http.proposals import Proposing
from server.http.refusals import STOPPING, refusal
from server.http.routing import MatchedRoute, Route, RouteTable, matched_route


class Application:
    """An ASGI application for these routes; handlers find what is in `state` as `request.app.state`.

    Raises `ValueError` if two routes cannot be told apart.
    """

    def __init__(self, routes: Iterable[Route], state: Mapping[str, object]) -> None:
        self._table = RouteTable(routes)
        self.state = SimpleNamespace(**state)

    def refuse_all(self, error: MatrixError) -> None:
        """From now on every request is answered with this error, whatever it asks for."""
        answers = error_answer(error)

        async def respond(request: Request) -> Response:
            return preflight() if request.method == "OPTIONS" else answers

        self._respond = respond  # type: ignore[method-assign]  # so that nobody looks at a flag until then
        self._table = RouteTable(())  # nor is anything begun

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"nothing is served over {scope['type']}")
        scope["app"] = self
        response = await self._respond(Request(scope, receive, send))
        write: WriteWhole | None = scope.get(WRITE_WHOLE)
        if write is not None and write(response):
            return
        await response(scope, receive, with_browser_headers(send))

    def begin(self, scope: Scope, body: bytes, respond: Callable[[Response], None]) -> bool:
        """Take a request that is here as a whole, if nothing about it has to be waited for but the writer.

        `respond` is called once then. `False`: nothing was done, and it wants to be called as usual.
        """
        try:
            matched = self._matched(scope)
        except MatrixError:
            return False  # to be said where all errors are said
        if not isinstance(matched.endpoint, Proposing) or len(body) > BODY_BYTES_MAX:
            return False
        scope["app"] = self
        matched.endpoint.begin(Request(scope), body, respond)
        return True

    async def _respond(self, request: Request) -> Response:
        scope = request.scope
        if scope["method"] == "OPTIONS":
            return preflight()
        try:
            return await self._matched(scope).endpoint(request)
        except Exception as error:
            return refusal(request, error)
        except asyncio.CancelledError:
            # The server stops, and has waited long enough: uvicorn would answer with an error of its own.
            return STOPPING

    def _matched(self, scope: Scope) -> MatchedRoute:
        known = matched_route(scope)
        if known is None:
            known, scope["path_params"] = self._table.find(scope["method"], scope["raw_path"])
            scope["matched_route"] = known
        return known
