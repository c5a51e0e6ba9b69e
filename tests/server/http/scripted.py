"""Requests whose every message is written down, for what needs no socket."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from server.http.routing import MatchedRoute

DISCONNECT: Message = {"type": "http.disconnect"}


class Messages:
    """What a client sends, piece by piece; knows how much of it was asked for."""

    def __init__(self, pieces: Sequence[bytes | Message]) -> None:
        self._left = [
            {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
            if isinstance(piece, bytes)
            else piece
            for place, piece in enumerate(pieces)
        ]

    async def __call__(self) -> Message:
        return self._left.pop(0)

    @property
    def unread(self) -> int:
        return len(self._left)


def request(
    *pieces: bytes | Message,
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    matched_route: MatchedRoute | None = None,
) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "PUT",
        "query_string": query,
        "headers": list(headers),
        "matched_route": matched_route,
    }
    return Request(scope, Messages(pieces))
