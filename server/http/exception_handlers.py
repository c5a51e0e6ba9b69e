"""Whatever is raised on the way becomes an answer in the one shape that errors have.

    MatrixError        raised on purpose: its kind gives the status
    Challenge          a call that asks for more proof: 401 and what to do, which need not be an error
    HTTPException      Starlette's own refusals
    ClientDisconnect   nobody is left to answer
    everything else    a bug: 500, and a line in the server's log

When an answer has begun already, a second one is not sent: Starlette raises instead, and the server
closes the connection, so that the client sees that something is missing.

Where: client-server API, "Standard error response".
"""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer, error_answer
from server.http.interactive import Challenge
from server.http.routing import matched_route

_log = logging.getLogger("roomlog.http")

_KIND_OF_STATUS = {
    404: ErrorCode.NO_SUCH_PATH,
    405: ErrorCode.NO_SUCH_METHOD,
    413: ErrorCode.TOO_LARGE,
}


async def _answer_matrix_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, MatrixError)
    return error_answer(error)


async def _answer_challenge(_request: Request, challenge: Exception) -> Response:
    assert isinstance(challenge, Challenge)
    return answer(challenge.body, 401)


async def _answer_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _KIND_OF_STATUS.get(error.status_code, ErrorCode.UNKNOWN)
    response = error_answer(MatrixError(kind, error.detail), error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    """The server drops what is sent on a closed connection, but wants to be sent something."""
    return error_answer(MatrixError(ErrorCode.REQUEST_TIMED_OUT, "The request did not arrive whole."))


async def _answer_bug(request: Request, _error: Exception) -> Response:
    """Starlette raises the error again behind this, and the server logs it with its traceback."""
    matched = matched_route(request.scope)
    # The template and not the path: identifiers, and tokens in a query, are nobody's business.
    _log.error("%s %s failed", request.method, matched.template if matched else "(no route)")
    return error_answer(MatrixError(ErrorCode.BUG, "Internal server error"))


EXCEPTION_HANDLERS: Mapping[Any, ExceptionHandler] = {
    MatrixError: _answer_matrix_error,
    Challenge: _answer_challenge,
    HTTPException: _answer_http_exception,
    ClientDisconnect: _answer_nobody,
    Exception: _answer_bug,
}
