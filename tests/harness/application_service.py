"""An application service as the server meets it: a real listener on a socket, which does as the test says."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec

from server.appservices.registration import AppService, Namespace, Namespaces

AS_TOKEN, HS_TOKEN = "as-token-of-irc", "hs-token-of-irc"
SENDER = "@_irc:localhost"
_TODAY = "/_matrix/app/v1/transactions/"
_SECONDS_TO_COME = 20


class Received(NamedTuple):
    method: str
    target: str
    """Path and query as they came over the wire."""
    authorization: str | None
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path


class Reply(NamedTuple):
    status: int = 200
    body: bytes = b"{}"


Respond: TypeAlias = Callable[[Received], Reply]


class Transaction(NamedTuple):
    id: str
    events: list[Any]

    @property
    def event_ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]


def acknowledge(_: Received) -> Reply:
    return Reply()


def fail(_: Received) -> Reply:
    return Reply(500)


class ApplicationService:
    """What it received, in the order of arrival."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.respond: Respond = acknowledge
        self._changed = threading.Condition()
        self._is_released = threading.Event()

    def registration(self, service_id: str = "irc", **fields: Any) -> AppService:
        """Its own are users and aliases that begin with `_irc_`."""
        namespaces = Namespaces(
            users=(Namespace("@_irc_.*", exclusive=True),), aliases=(Namespace("#_irc_.*", exclusive=True),)
        )
        known = {"as_token": AS_TOKEN, "hs_token": HS_TOKEN, "sender_localpart": "_irc", "url": self.url}
        return AppService(**{"id": service_id, "namespaces": namespaces, **known, **fields})

    def register_in(self, directory: Path, **fields: Any) -> Path:
        """The file that an operator would write."""
        path = directory / "irc.yaml"
        path.write_bytes(msgspec.yaml.encode(self.registration(**fields)))
        return path

    def hang(self, _: Received) -> Reply:
        """Say nothing for as long as the listener stands."""
        self._is_released.wait()
        return Reply(503)

    def hear(self, request: Received) -> Reply:
        with self._changed:
            self.received.append(request)
            self._changed.notify_all()
        return self.respond(request)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Return once it is so, after whatever comes in."""
        with self._changed:
            assert self._changed.wait_for(is_so, _SECONDS_TO_COME), f"what came: {self.received}"

    def wait_for(self, event_id: str) -> None:
        """Return once a transaction with this event has come."""
        self.wait_until(lambda: any(event_id in sent.event_ids for sent in self.transactions))

    @property
    def transactions(self) -> list[Transaction]:
        """Those on today's path, repeats included."""
        return [
            Transaction(request.path.removeprefix(_TODAY), msgspec.json.decode(request.body)["events"])
            for request in self.received
            if request.path.startswith(_TODAY)
        ]

    @property
    def event_ids(self) -> list[str]:
        """All events, as a service has them that drops a transaction whose id it knows."""
        known = {sent.id: sent.event_ids for sent in self.transactions}
        return [event_id for event_ids in known.values() for event_id in event_ids]

    def asked_for(self, kind: str) -> list[str]:
        """Users or aliases (`rooms`) that it was asked for on today's path."""
        prefix = f"/_matrix/app/v1/{kind}/"
        paths = [request.path for request in self.received]
        return [unquote(path.removeprefix(prefix)) for path in paths if path.startswith(prefix)]

    def release(self) -> None:
        self._is_released.set()


@contextmanager
def application_service() -> Iterator[ApplicationService]:
    """Listening for as long as the context lasts."""
    with _Listener(("127.0.0.1", 0), _Handler) as listener:
        service = ApplicationService(f"http://127.0.0.1:{listener.server_port}")
        listener.service = service  # type: ignore[attr-defined]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            service.release()
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the server ended in the middle of it
            self.close_connection = True
            return
        request = Received(self.command, self.path, self.headers.get("Authorization"), body)
        reply = self.server.service.hear(request)  # type: ignore[attr-defined]
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815 - the names that the library looks for

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:  # the server was killed, or has waited long enough
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
        """Nothing: the tests look at what was received."""
