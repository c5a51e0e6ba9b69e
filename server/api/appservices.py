"""What an application service may ask this server about itself.

Where: application service API, "Pinging".
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import service_of
from server.http.context import context
from server.http.identity import authenticate
from server.http.parsing import parse
from server.http.routing import NEWER, Route


class Ping(msgspec.Struct, frozen=True):
    """The body of POST /appservice/{appservice_id}/ping."""

    transaction_id: str | None = None


async def ping(request: Request) -> Response:
    """POST /appservice/{appservice_id}/ping: can this server reach the service that asks?"""
    authenticate(request)
    service = service_of(request)
    if service is None or service.id != request.path_params["appservice_id"]:
        raise MatrixError(ErrorCode.FORBIDDEN, "This is not the token of the application service.")
    body = await parse(request, Ping)
    return answer({"duration_ms": await context(request).queries.ping(service, body.transaction_id)})


routes = (Route("POST", "/appservice/{appservice_id}/ping", ping, NEWER),)
