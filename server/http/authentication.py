"""Finds the access token of a request; whose it is, the views know.

In 2015 the token was a parameter of the query, today it is a header. Two tokens, even two equal ones,
are refused: which of them counts should not depend on who reads the request.

Where: client-server API, "Using access tokens"; RFC 6750, section 2.
"""

import re

from starlette.requests import Request

from server.errors import ErrorCode, MatrixError
from server.http.parsing import query_texts
from server.http.routing import API_V1, V2_ALPHA, matched_route

_BEARER = re.compile(rb"bearer +([!-~]+)", re.IGNORECASE)


def access_token_of(request: Request, *, query_allowed: bool) -> str:
    """The token, from `Authorization: Bearer …` or `?access_token=…`. MISSING_TOKEN if there is not one.

    `query_allowed` speaks of the prefixes of today; under those of 2015 the query is always heard.
    """
    scope = request.scope
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    texts = query_texts(request, "access_token") if scope["query_string"] else []
    if len(headers) + len(texts) > 1:
        raise _missing("The request has more than one access token.")
    if headers:
        bearer = _BEARER.fullmatch(headers[0])
        if bearer is None:
            raise _missing("The Authorization header must be the word Bearer and an access token.")
        return bearer[1].decode()
    if not texts or not texts[0]:
        raise _missing("The request has no access token.")
    if not query_allowed and not _is_from_2015(request):
        raise _missing("The access token must be in the Authorization header.")
    return texts[0]


def _is_from_2015(request: Request) -> bool:
    matched = matched_route(request.scope)
    return matched is not None and matched.prefix in (API_V1, V2_ALPHA)


def _missing(message: str) -> MatrixError:
    return MatrixError(ErrorCode.MISSING_TOKEN, message)
