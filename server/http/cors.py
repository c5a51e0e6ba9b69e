"""Lets a web page of any origin use the server.

Every answer carries the headers, also errors, 404s and the 500 of a bug: a browser shows a page nothing
of an answer without them, so that the page could not even say what went wrong.

Where: client-server API, "Web Browser Clients".
"""

from collections.abc import Awaitable

from starlette.responses import Response
from starlette.types import Message, Send

CORS_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization"),
)
_SECONDS_TO_REMEMBER = 86_400
"""Without an age a browser asks again before nearly every request."""


def preflight() -> Response:
    """The answer to OPTIONS, the same for every path."""
    return Response(status_code=204, headers={"access-control-max-age": str(_SECONDS_TO_REMEMBER)})


def with_cors_headers(send: Send) -> Send:
    """Sends whatever is sent, and the headers with its beginning."""

    def send_with_headers(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *CORS_HEADERS]
        return send(message)

    return send_with_headers
