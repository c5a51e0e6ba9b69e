"""Who is asking, and whether they ask too often: the first lines of every handler.

The order of the checks is the one that clients rely on: the token (401), the rate (429), then the body.
"""

from starlette.requests import Request

from projections import sessions
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.authentication import access_token_of
from server.http.context import context
from server.http.limits import Bucket, address_key
from server.users.tokens import digest_of


def authenticate(request: Request) -> Session:
    """Whom the request's token stands for. Raises `MatrixError` 401 if it has none, or a void one."""
    parts = context(request)
    token = access_token_of(request, query_allowed=parts.config.query_tokens == "on")
    with parts.homeserver.views.read() as view:
        session = sessions.session_of_token(view, digest_of(token))
    if session is None:
        raise MatrixError(
            ErrorCode.UNKNOWN_TOKEN, "This access token is not valid, or not any more.", soft_logout=False
        )
    return session


def check_rate(request: Request, name: Bucket, user_id: str) -> None:
    """Raises `MatrixError` 429 if the user does this too often."""
    parts = context(request)
    parts.rate_limits.check(name, user_id, parts.homeserver.now())


def check_rate_of_address(request: Request, name: Bucket) -> None:
    """The same for calls that need no token: by where the request comes from."""
    host = request.client.host if request.client else ""
    check_rate(request, name, address_key(host))
