"""Lets a web page of any origin use the server, and lets a browser make nothing of an answer but data.

Every answer carries the headers, also errors, 404s and the 500 of a bug: a browser shows a page nothing
of an answer without them, so that the page could not even say what went wrong. Those that are not of CORS
keep a browser from guessing that JSON with somebody's markup in it is a page, and whoever stands between
from keeping what was meant for one reader.

Where: client-server API, "Web Browser Clients".
"""

from collections.abc import Awaitable

from starlette.responses import Response
from starlette.types import Message, Send

BROWSER_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"X-Requested-With, Content-Type, Authorization"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_SECONDS_TO_REMEMBER = 86_400
"""Without an age a browser asks again before nearly every request."""


def preflight() -> Response:
    """The answer to OPTIONS, the same for every path."""
    return Response(status_code=204, headers={"access-control-max-age": str(_SECONDS_TO_REMEMBER)})


def with_browser_headers(send: Send) -> Send:
    """Sends whatever is sent, and the headers with its beginning."""

    def send_with_headers(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *BROWSER_HEADERS]
        return send(message)

    return send_with_headers
