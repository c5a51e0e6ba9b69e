"""Whatever is raised on the way becomes an answer in the one shape that errors have.

    MatrixError        raised on purpose: its kind gives the status
    Challenge          a call that asks for more proof: 401 and what to do, which need not be an error
    ClientDisconnect   nobody is left to answer
    everything else    a bug: 500, and its traceback in the server's log

What is raised once an answer has begun does not come here: the server closes the connection, so that the
client sees that something is missing.

Where: client-server API, "Standard error response".
"""

import logging

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer, error_answer
from server.http.interactive import Challenge
from server.http.routing import matched_route

_log = logging.getLogger("roomlog.http")

STOPPING = error_answer(MatrixError(ErrorCode.UNAVAILABLE, "The server is stopping."))
OVERLOADED = error_answer(MatrixError(ErrorCode.UNAVAILABLE, "The server has too much to do."))


def refusal(request: Request, error: Exception) -> Response:
    """The answer to a request whose handler raised this."""
    match error:
        case MatrixError():
            return error_answer(error)
        case Challenge():
            return answer(error.body, 401)
        case ClientDisconnect():
            # The server drops what is sent on a closed connection, but wants to be sent something.
            return error_answer(MatrixError(ErrorCode.REQUEST_TIMED_OUT, "The request did not arrive whole."))
        case _:
            matched = matched_route(request.scope)
            route = matched.template if matched else "(no route)"
            # The template and not the path: identifiers, and tokens in a query, are nobody's business.
            _log.error("%s %s failed", request.method, route, exc_info=error)
            return error_answer(MatrixError(ErrorCode.BUG, "Internal server error"))
