"""Answers: values to JSON, and refusals to the one shape that every error body has.

Where: client-server API, "Standard error response", "Rate limiting".
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError

_encoder = msgspec.json.Encoder()


class Refusal(MatrixError):
    """A `MatrixError` that is not complete without headers, such as `Allow` or `Connection`."""

    def __init__(self, kind: ErrorCode, message: str, headers: Mapping[str, str]) -> None:
        super().__init__(kind, message)
        self.headers = headers


class Answer(Response):
    """JSON, with no headers but those that every answer has: most of what the server says.

    Its headers are made when they are asked for, because mostly nobody asks: the connection knows them.
    """

    media_type = "application/json"

    def __init__(self, body: bytes, status: int) -> None:
        self.body = body
        self.status_code = status
        self.background = None

    def __getattr__(self, name: str) -> Any:
        if name != "raw_headers":
            raise AttributeError(name)
        self.init_headers()
        return self.raw_headers


WRITE_WHOLE: Final = "roomlog.write_whole"
"""In the scope of a request: takes an `Answer` in one piece, where the connection can; 9 µs less."""
WriteWhole: TypeAlias = Callable[[Response], bool]
"""`False`: it is no `Answer`, or cannot be done now; send it in ASGI's messages."""


def answer(value: Any, status: int = 200) -> Answer:
    """Answer with a value as JSON. What it holds as `msgspec.Raw` is sent as it is stored."""
    return Answer(_encoder.encode(value), status)


def error_answer(error: MatrixError, status: int | None = None) -> Response:
    """Answer with an error; its kind gives the status, unless HTTP itself has a closer one."""
    body = {"errcode": error.kind.code, "error": error.message, **error.fields}
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    wait_ms = error.fields.get("retry_after_ms")
    if isinstance(wait_ms, int):
        # The body's field is deprecated, older clients know nothing else; seconds are rounded up, so
        # that whoever waits that long is not refused again.
        headers["Retry-After"] = str(-(-wait_ms // 1000))
    status = error.kind.status if status is None else status
    if not headers:
        return answer(body, status)
    return Response(_encoder.encode(body), status, headers, media_type="application/json")
