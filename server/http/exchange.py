"""A request and its answer, as uvicorn has them, made of less: most are over before anybody waits for either.

uvicorn makes an event, a buffer and twenty attributes for each. Here attributes that nearly always stay what
they are belong to the class, the event is made when somebody waits for it, and a body that comes in one piece
is that piece. An `Answer` is written in one piece as well.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from starlette.responses import Response
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from projections.computed import computed
from server.http.answers import Answer
from server.http.cors import BROWSER_HEADERS

Headers: TypeAlias = list[tuple[bytes, bytes]]

_JSON = b"".join(
    b"%b: %b\r\n" % header for header in ((b"content-type", b"application/json"), *BROWSER_HEADERS)
)
"""The headers of an `Answer`, but for its length."""


class Exchange(RequestResponseCycle):
    logger = logging.getLogger("uvicorn.error")
    access_logger = logging.getLogger("uvicorn.access")
    access_log = False
    disconnected = False
    waiting_for_100_continue = False
    body: bytes | bytearray = b""  # type: ignore[assignment]
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0

    _defaults: ClassVar[Headers] = []
    _beginnings: ClassVar[dict[int, bytes]] = {}
    """Of answers with these headers that uvicorn has for every answer, by their status."""

    def __init__(
        self,
        scope: HTTPScope,
        transport: asyncio.Transport,
        flow: FlowControl,
        server_state: ServerState,
        keep_alive: bool,
        on_response: Callable[[], None],
    ) -> None:
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self._server_state = server_state
        self.keep_alive = keep_alive
        self.on_response = on_response

    @property
    def default_headers(self) -> Headers:  # type: ignore[override]
        """Of now: uvicorn makes new ones every second, with the date."""
        return self._server_state.default_headers

    @computed
    def message_event(self) -> asyncio.Event:
        """Set whenever there is something new of the request; made for who is the first to wait for that."""
        event = asyncio.Event()
        if self.body or not self.more_body or self.disconnected or self.response_complete:
            event.set()
        return event

    def tell(self) -> None:
        """Whoever waits, that there is something new."""
        if "message_event" in self.__dict__:
            self.message_event.set()

    def receive_body(self, piece: bytes) -> None:
        if self.response_complete:
            return
        if not self.body:
            self.body = piece
        else:
            self.body = bytearray(self.body) if isinstance(self.body, bytes) else self.body
            self.body += piece
        if len(self.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.tell()

    def receive_end(self) -> None:
        if not self.response_complete:
            self.more_body = False
            self.tell()

    def write_whole(self, response: Response) -> bool:
        """Do what uvicorn does with an answer's two messages, without looking for what cannot be in it.

        `False`: cannot be done now, or not with this one; send it in ASGI's messages.
        """
        if type(response) is not Answer:
            return False
        if self.disconnected:
            return True  # nobody is left to answer
        if self.flow.write_paused or not self.keep_alive or self.response_started:
            return False
        if self.scope["method"] == "HEAD":
            return False
        self.response_started = self.response_complete = True
        beginning, body = self._beginning(response.status_code), bytes(response.body)
        self.transport.write(b"%b%d\r\n\r\n%b" % (beginning, len(body), body))
        self.tell()
        self.on_response()
        return True

    def _beginning(self, status: int) -> bytes:
        """An answer up to its length, which is the same for all until there are other headers."""
        defaults = self.default_headers
        if Exchange._defaults is not defaults:
            Exchange._defaults = defaults
            Exchange._beginnings.clear()
        beginning = Exchange._beginnings.get(status)
        if beginning is None:
            lines = b"".join([b"%b: %b\r\n" % header for header in defaults])
            beginning = b"%b%b%bcontent-length: " % (STATUS_LINE[status], lines, _JSON)
            Exchange._beginnings[status] = beginning
        return beginning
