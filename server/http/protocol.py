"""The connection: uvicorn's HTTP/1.1 protocol, with its own answers in the form that Matrix clients know.

Most requests never notice it. It steps in where no application is asked:

* What is no HTTP is answered 400, a path without end 414, headers without end 431, and 503 what comes
  when there is too much to do: each as `{"errcode", "error"}` with the headers for browsers.
* What a client can make grow before its request is complete has a bound: the head, what stands between
  the pieces of a body, the requests that are sent ahead.
* Who is late is answered 408 and closed, who never reads is cut off, and who is one too many is answered
  503; `doorkeeper.py` says who that is.
* An offer to go on in another protocol (WebSocket, HTTP/2 without TLS) is passed over. By itself llhttp
  takes a request with such an offer for the last one of the connection, and drops its body.
* When the server stops, it waits for its own answers for a while, and not at all for the rest of a request;
  what it gives up on is answered 503.
* There is no access log: uvicorn's has the query string in it, and thereby access tokens.

Where: RFC 9112, sections 2.2, 3, 5 and 9.3.2; RFC 9110, section 7.8.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import httptools
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn._types import HTTPScope
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from server.errors import ErrorCode, MatrixError
from server.http.answers import WRITE_WHOLE, error_answer
from server.http.cors import BROWSER_HEADERS, with_browser_headers
from server.http.doorkeeper import Awaited, Doorkeeper, Entrance, Watch
from server.http.exchange import Exchange
from server.http.limits import address_key
from server.http.refusals import OVERLOADED

# At the lowest of its levels uvicorn writes down every request as it came, with the tokens in it.
logging.getLogger("uvicorn.asgi").setLevel(logging.INFO)

URL_BYTES_MAX = 16 * 1024
"""Room for the longest identifiers, all escaped, and for a filter written out in the query of a sync."""
HEAD_BYTES_MAX = 64 * 1024
HEADERS_MAX = 200
"""As little as four bytes become 150 bytes in memory, for as long as the request takes."""
_HEAD_BYTES_USUAL = 4 * 1024
"""Too few for anything to be over its limit that costs much; 1 µs less than looking."""
PIPELINE_MAX = 64
"""Requests sent ahead on one connection; each costs kilobytes, and as little as 18 bytes to send."""


def _refusal(status: int, kind: ErrorCode, message: str) -> Response:
    response = error_answer(MatrixError(kind, message), status)
    response.raw_headers += [*BROWSER_HEADERS, (b"connection", b"close")]
    return response


_MALFORMED = _refusal(400, ErrorCode.UNKNOWN, "This is not a valid HTTP/1.1 request.")
_URL_TOO_LONG = _refusal(414, ErrorCode.TOO_LARGE, f"The URL is longer than {URL_BYTES_MAX} bytes.")
_HEAD_TOO_LARGE = _refusal(431, ErrorCode.TOO_LARGE, f"The headers are larger than {HEAD_BYTES_MAX} bytes.")
_TOO_MANY_HEADERS = _refusal(431, ErrorCode.TOO_LARGE, f"There are more than {HEADERS_MAX} headers.")
_HEAD_LATE = _refusal(408, ErrorCode.REQUEST_TIMED_OUT, "The headers of the request did not arrive in time.")
_BODY_LATE = _refusal(408, ErrorCode.REQUEST_TIMED_OUT, "The body of the request did not arrive in time.")
_TOO_MANY = _refusal(503, ErrorCode.UNAVAILABLE, "There are too many connections to this server.")
_STOPPING = _refusal(503, ErrorCode.UNAVAILABLE, "The server is stopping.")


async def _refuse_overload(scope: Scope, receive: Receive, send: Send) -> None:
    await OVERLOADED(scope, receive, with_browser_headers(send))


_Cycle: TypeAlias = RequestResponseCycle | None

Begin: TypeAlias = Callable[[HTTPScope, bytes, Callable[[Response], None]], bool]
"""See `Application.begin`; other applications have none."""


class _OverLimit(Exception):
    """Stops the parser from within one of its callbacks."""

    def __init__(self, refusal: Response) -> None:
        super().__init__()
        self.refusal = refusal


def protocol_within(doorkeeper: Doorkeeper) -> type[asyncio.Protocol]:
    """What uvicorn takes as `http=`, together with `ws="none"`, and calls for each connection."""
    return cast(type[asyncio.Protocol], partial(MatrixProtocol, doorkeeper))


class MatrixProtocol(HttpToolsProtocol):
    """One connection."""

    cycle: _Cycle  # type: ignore[assignment]  # there is none before the first request

    def __init__(self, doorkeeper: Doorkeeper, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False
        self.doorkeeper = doorkeeper
        self.watch = Watch()
        self.entrance = Entrance.OPEN
        self.url = b""
        self.is_refused = False
        self.unfinished_bytes = 0
        """Received since a head was last complete, or a piece of a body came."""
        self.piece_bytes = 0
        """Received at once, last."""
        self.body_bytes = 0
        """Received in all bodies."""
        self._begin: Begin | None = getattr(self.app, "begin", None)
        self._is_reading = False
        self._held: _Cycle = None
        """A request whose head is complete, for as long as its body may be in what was just received."""
        self._scope: HTTPScope | None = None
        """What is in the scope of all requests of this connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.entrance = self.doorkeeper.enter(self, address_key(self.client[0]) if self.client else "")
        self.is_refused = self.entrance is not Entrance.OPEN
        if self.entrance is Entrance.SHUT:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.doorkeeper.leave(self)
        super().connection_lost(exc)

    def awaits(self) -> tuple[Awaited, object, int]:
        cycle = self.cycle
        if self.transport.is_closing():
            return Awaited.END, cycle, -self.transport.get_write_buffer_size()
        if self.flow.write_paused:
            return Awaited.READER, cycle, -self.transport.get_write_buffer_size()
        if cycle is not None and not cycle.response_complete:
            # While nobody takes what has come, nothing more is read, which is not the client's fault.
            is_late = cycle.more_body and not self.flow.read_paused
            return (Awaited.BODY if is_late else Awaited.ANSWER), cycle, self.body_bytes
        return (Awaited.HEAD if cycle is None or self._is_begun() else Awaited.REQUEST), cycle, 0

    def give_up(self, awaited: Awaited) -> None:
        if awaited is Awaited.BODY:
            self._refuse(_BODY_LATE)
        elif awaited is Awaited.HEAD and self._is_begun():
            self._refuse(_HEAD_LATE)
        elif awaited in (Awaited.READER, Awaited.END):
            self.transport.abort()  # what is not read would keep it from closing
        else:
            self.transport.close()

    def _is_begun(self) -> bool:
        """Something of a next request has come, perhaps together with the one before it."""
        return self.unfinished_bytes > 0 or self.scope is not (self.cycle and self.cycle.scope)

    def data_received(self, data: bytes) -> None:
        if self.is_refused:
            if self.entrance is Entrance.FULL and not self.transport.is_closing():
                # Only now: with a request that nobody has read, the answer would be lost in closing.
                self._refuse(_TOO_MANY)
            return
        self.piece_bytes = len(data)
        self.unfinished_bytes += len(data)
        self._is_reading = True
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._is_reading, self._held = False, None
            cause = error.__context__
            self._refuse(cause.refusal if isinstance(cause, _OverLimit) else _MALFORMED)
        else:
            self._is_reading = False
            if self._held is not None:  # the rest of its body is still to come
                held, self._held = self._held, None
                self._start(held, self.app)
            if self.unfinished_bytes > _HEAD_BYTES_USUAL:
                self._refuse_over_limit()

    def _refuse_over_limit(self) -> None:
        if self.unfinished_bytes > HEAD_BYTES_MAX:
            self._refuse(_URL_TOO_LONG if len(self.url) > URL_BYTES_MAX else _HEAD_TOO_LARGE)
        # None have come before the first request is begun, which uvicorn's annotation leaves out.
        elif len(cast(list[Any] | None, self.headers) or ()) > HEADERS_MAX:
            self._refuse(_TOO_MANY_HEADERS)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                data = self._head_without_upgrade() + data[stopped.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        head = [
            f"{self.scope['method']} ".encode(),
            self.url,
            f" HTTP/{self.scope['http_version']}\r\n".encode(),
        ]
        head += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([*head, b"\r\n"])

    def _should_upgrade(self) -> bool:
        """Makes uvicorn leave alone what `_feed` will parse again. CONNECT cannot be anything else."""
        return self.scope["method"] != "CONNECT"

    def on_message_begin(self) -> None:
        if self._scope is None:
            super().on_message_begin()
            self._scope = self.scope
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = self._scope.copy()
        self.scope["headers"] = self.headers
        self.scope["state"] = self.app_state.copy()

    def on_headers_complete(self) -> None:
        if len(self.url) > URL_BYTES_MAX:
            raise _OverLimit(_URL_TOO_LONG)
        # The head cannot be over a limit if all that came with it is not.
        if self.piece_bytes + self.unfinished_bytes > _HEAD_BYTES_USUAL:
            if self._head_bytes() > HEAD_BYTES_MAX:
                raise _OverLimit(_HEAD_TOO_LARGE)
            if len(self.headers) > HEADERS_MAX:
                raise _OverLimit(_TOO_MANY_HEADERS)
        self.unfinished_bytes = 0
        if len(self.pipeline) >= PIPELINE_MAX:
            # Goes unsaid, because there are answers to come first.
            raise _OverLimit(_MALFORMED)
        if self._begin is None:
            super().on_headers_complete()
        else:
            self._complete_head()

    def _complete_head(self) -> None:
        """What uvicorn does, but for undoing the escapes of the path: routes are found by the raw one."""
        parser, scope, url = self.parser, self.scope, self.url
        http_version = parser.get_http_version()
        scope["method"] = parser.get_method().decode("ascii")
        if http_version != "1.1":
            scope["http_version"] = http_version
        if parser.should_upgrade() and self._should_upgrade():
            return
        if url.startswith(b"/") and b"#" not in url:
            raw_path, _, query = url.partition(b"?")
        else:
            parsed = httptools.parse_url(url)
            raw_path, query = parsed.path, parsed.query or b""
        scope["raw_path"], scope["query_string"] = raw_path, query
        scope["path"] = raw_path.decode("ascii")
        present = self.cycle
        self.cycle = cycle = Exchange(
            self.scope,
            self.transport,
            self.flow,
            self.server_state,
            http_version != "1.0" and parser.should_keep_alive(),
            self.on_response_complete,
        )
        if self.expect_100_continue:
            cycle.waiting_for_100_continue = True
        if present is None or present.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self.unfinished_bytes = 0
        self.body_bytes += len(body)
        if type(self.cycle) is Exchange:
            self.cycle.receive_body(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if type(self.cycle) is Exchange:
            self.cycle.receive_end()
        else:
            super().on_message_complete()
        held, self._held = self._held, None
        if held is not None and not self._is_begun_at_once(held):
            self._start(held, self.app)

    def on_response_complete(self) -> None:
        """As uvicorn's own, but that it sets no timer: see `doorkeeper.py`."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def shutdown(self) -> None:
        """The server stops: what is being answered is answered, what has not come whole is not waited for."""
        cycle = self.cycle
        is_coming = cycle is not None and cycle.more_body and not cycle.response_complete
        if is_coming and not self.pipeline:
            self._refuse(_STOPPING)
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Called with a head that is complete. If its body came with it, that is known in a moment."""
        if self._is_reading and app is self.app and cycle.keep_alive and not cycle.waiting_for_100_continue:
            self._held = cycle
        else:
            self._start(cycle, _refuse_overload if app is service_unavailable else app)

    def _start(self, cycle: RequestResponseCycle, app: Any) -> None:
        if type(cycle) is Exchange:
            cycle.scope[WRITE_WHOLE] = cycle.write_whole  # type: ignore[typeddict-unknown-key]
        super()._start_asgi_task(cycle, app)

    def _is_begun_at_once(self, cycle: RequestResponseCycle) -> bool:
        """Did the application take a request that is here as a whole, without a task of its own for it?"""
        if self._begin is None or type(cycle) is not Exchange or self.flow.write_paused:
            return False
        return self._begin(cycle.scope, bytes(cycle.body), partial(self._respond, cycle))

    def _respond(self, cycle: Exchange, response: Response) -> None:
        if cycle.write_whole(response):
            return

        async def send(scope: Scope, receive: Receive, send: Send) -> None:
            await response(scope, receive, with_browser_headers(send))

        self._start(cycle, send)

    def _head_bytes(self) -> int:
        return sum(len(name) + len(value) for name, value in self.headers)

    def _refuse(self, refusal: Response) -> None:
        """Take nothing more from this connection, and say why if the client can make sense of it.

        Answers come in the order of the requests. While there are some to come they are given, and then
        the connection ends; whatever was sent behind them was not looked at.
        """
        self.is_refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            # It is the body of this very request that is broken.
            cycle.disconnected = True  # so that nothing is written behind the refusal
            if cycle.response_started or self.pipeline:
                self.transport.close()
                return
        headers = (*self.server_state.default_headers, *refusal.raw_headers)
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[refusal.status_code] + lines + b"\r\n" + bytes(refusal.body))
        self.transport.close()
