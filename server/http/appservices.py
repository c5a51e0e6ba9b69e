"""Requests of application services: which one asks, as whom, and when it says that an event was sent.

Its token is in its registration and in no view; so `identity.py` looks for it here once no session is known
by it, and whoever has a session pays nothing for there being services.

Where: application service API, "Identity assertion", "Timestamp massaging".
"""

from contextlib import suppress

from starlette.requests import Request

from projections.sessions import Session
from server.appservices.identity import acting_session
from server.appservices.registration import AppService, with_token
from server.errors import ErrorCode, MatrixError
from server.http.authentication import access_token_of
from server.http.context import context
from server.http.parsing import query_text
from server.rooms.canonical_json import INTEGER_MAX

_TIMESTAMP_DIGITS = len(str(INTEGER_MAX))


def service_of(request: Request) -> AppService | None:
    """The application service that asks, once the request was authenticated; `None` for everybody else."""
    found: AppService | None = request.scope.get("appservice")
    return found


def acting(request: Request, token: str) -> Session | None:
    """The user whom a service names; `None` if the token is none of a service.

    Raises `MatrixError` as `acting_session` does.
    """
    service = _service_with(request, token)
    if service is None:
        return None
    homeserver = context(request).homeserver
    user_id, device_id = query_text(request, "user_id"), query_text(request, "device_id")
    with homeserver.views.read() as view:
        return acting_session(view, homeserver.server_name, service, user_id, device_id)


def find_service(request: Request) -> AppService | None:
    """The service that asks, in a call that others make without a token: theirs is not looked at."""
    if not context(request).config.appservices:
        return None
    with suppress(MatrixError):
        return authenticate_service(request)
    return None


def authenticate_service(request: Request) -> AppService:
    """Raises `MatrixError` 401 for everybody who is no application service."""
    token = access_token_of(request, query_allowed=context(request).config.query_tokens == "on")
    service = _service_with(request, token)
    if service is None:
        message = "This access token is not that of an application service."
        raise MatrixError(ErrorCode.UNKNOWN_TOKEN, message, soft_logout=False)
    return service


def timestamp_of(request: Request) -> int | None:
    """When a service says that its event was sent, in milliseconds; of others it is not heard."""
    text = None if service_of(request) is None else query_text(request, "ts")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _TIMESTAMP_DIGITS) or int(text) > INTEGER_MAX:
        message = f"ts in the query must be milliseconds since 1970, an integer from 0 to {INTEGER_MAX}."
        raise MatrixError(ErrorCode.INVALID_PARAM, message)
    return int(text)


def is_exempt(request: Request, user_id: str) -> bool:
    """Is a service asking whose users are held to no rate limits?"""
    service = service_of(request)
    if service is None:
        return False
    return not service.rate_limited or user_id == service.sender(context(request).homeserver.server_name)


def _service_with(request: Request, token: str) -> AppService | None:
    service = with_token(context(request).config.appservices, token)
    request.scope["appservice"] = service
    return service
