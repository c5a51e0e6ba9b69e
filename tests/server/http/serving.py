"""A real server on a real socket, and clients that may send whatever bytes they like."""

import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.application import Application
from server.http.doorkeeper import Bounds, Doorkeeper
from server.http.protocol import protocol_within
from server.http.routing import Route

Address: TypeAlias = tuple[str, int]

_SECONDS_TO_ANSWER = 10


class HalfOfAnAnswer(Response):
    """Sends half of what it announces, and then does what it is told."""

    def __init__(self, then: Callable[[Receive], Awaitable[None]]) -> None:
        super().__init__()
        self._then = then

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await self._then(receive)


@contextmanager
def serving(
    routes: Iterable[Route],
    *,
    protocol: type[HttpToolsProtocol] | None = None,
    bounds: Bounds | None = None,
    limit_concurrency: int | None = None,
    seconds_to_stop: int | None = None,
) -> Iterator[Address]:
    """Serve until the end of the block; by then every request has been dealt with.

    What takes longer than `seconds_to_stop` at the end is given up.
    """
    # Listening begins here, so that a client that comes before the server is ready just waits.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            Application(routes, {}),
            http=protocol or protocol_within(Doorkeeper(bounds or Bounds())),
            ws="none",
            lifespan="off",
            log_config=None,
            limit_concurrency=limit_concurrency,
            timeout_graceful_shutdown=seconds_to_stop,
        )
        server = uvicorn.Server(config)
        address: Address = listener.getsockname()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> tuple[int, str]:
        """Status and error code, once it is made sure that the body has the form that errors have."""
        fields = msgspec.json.decode(self.body, type=dict[str, str])
        assert fields.keys() == {"errcode", "error"}
        assert self.headers["content-type"] == "application/json"
        return self.status, fields["errcode"]


def talk(address: Address, *pieces: bytes, is_head: bool = False, hangs_up: bool = False) -> list[Answer]:
    """Send pieces, each when the one before has left; all answers until the server hangs up.

    With `hangs_up` the client is the one who does, as soon as it has sent everything.
    """
    with socket.create_connection(address, timeout=_SECONDS_TO_ANSWER) as connection:
        # A server that has refused a request may have closed the connection by now.
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        if hangs_up:
            return []
        received = bytearray()
        with suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                received += data
    return list(_answers(bytes(received), is_head))


def ask(address: Address, *pieces: bytes) -> Answer:
    """The same, where exactly one answer is to come."""
    [answer] = talk(address, *pieces)
    return answer


def _answers(received: bytes, is_head: bool) -> Iterator[Answer]:
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = 0 if is_head else int(headers.get("content-length", "0"))
        yield Answer(int(status_line.split()[1]), headers, received[:length])
        received = received[length:]
