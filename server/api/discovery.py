"""What this server is able to do: GET /versions, GET /capabilities.

Where: client-server API, "API Versions", "Capabilities negotiation".
"""

from starlette.requests import Request
from starlette.responses import Response

from projections.room_versions import SUPPORTED
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate
from server.http.routing import CLIENT, UNVERSIONED, Route

VERSIONS = ("r0.6.1", "v1.1")
"""Clients switch features by this list: it names no version whose calls are not served."""


async def versions(_: Request) -> Response:
    """GET /_matrix/client/versions; needs no token."""
    return answer({"versions": VERSIONS, "unstable_features": {}})


async def capabilities(request: Request) -> Response:
    """GET /capabilities."""
    authenticate(request)
    on, off = {"enabled": True}, {"enabled": False}
    return answer(
        {
            "capabilities": {
                "m.room_versions": {
                    "default": context(request).config.default_room_version,
                    "available": dict.fromkeys(SUPPORTED, "stable"),
                },
                "m.change_password": on,
                "m.set_displayname": on,
                "m.set_avatar_url": on,
                "m.profile_fields": on,
                "m.3pid_changes": off,
            }
        }
    )


routes = (
    Route("GET", "/versions", versions, UNVERSIONED),
    Route("GET", "/capabilities", capabilities, CLIENT),
)
