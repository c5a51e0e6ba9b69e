"""Answers: values to JSON, and refusals to the one shape that every error body has.

Where: client-server API, "Standard error response", "Rate limiting".
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError

_encoder = msgspec.json.Encoder()


class Refusal(MatrixError):
    """A `MatrixError` that is not complete without headers, such as `Allow` or `Connection`."""

    def __init__(self, kind: ErrorCode, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(kind, message)
        self.headers = headers


def answer(value: Any, status: int = 200) -> Response:
    """Answer with a value as JSON. What it holds as `msgspec.Raw` is sent as it is stored."""
    return Response(_encoder.encode(value), status, media_type="application/json")


def error_answer(error: MatrixError, status: int | None = None) -> Response:
    """Answer with an error; its kind gives the status, unless HTTP itself has a closer one."""
    body = {"errcode": error.kind.code, "error": error.message, **error.fields}
    response = answer(body, error.kind.status if status is None else status)
    if isinstance(error, Refusal):
        response.headers.update(error.headers)
    wait_ms = error.fields.get("retry_after_ms")
    if isinstance(wait_ms, int):
        # The body's field is deprecated, older clients know nothing else; seconds are rounded up, so
        # that whoever waits that long is not refused again.
        response.headers["Retry-After"] = str(-(-wait_ms // 1000))
    return response
