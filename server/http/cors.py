"""The outermost layer: lets a web page of any origin use the server.

Every answer carries the headers, also errors, 404s and the 500 of a bug: a browser shows a page nothing
of an answer without them, so that the page could not even say what went wrong. A preflight is answered
here, for any path, before anything looks at a token.

Where: client-server API, "Web Browser Clients".
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CORS_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization"),
)
_PREFLIGHT: Message = {
    "type": "http.response.start",
    "status": 204,
    # Without an age a browser asks again before nearly every request.
    "headers": [*CORS_HEADERS, (b"access-control-max-age", b"86400")],
}
_NO_BODY: Message = {"type": "http.response.body", "body": b""}


class Cors:
    """Wraps an application; plain ASGI, because it is part of every request's cost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await send(_PREFLIGHT)
            await send(_NO_BODY)
        else:

            def send_with_headers(message: Message) -> Awaitable[None]:
                if message["type"] == "http.response.start":
                    message["headers"] = [*message.get("headers", ()), *CORS_HEADERS]
                return send(message)

            await self._app(scope, receive, send_with_headers)
