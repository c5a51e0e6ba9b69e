"""Requests as they stand on the wire, as well-behaved clients never send them, and what every answer is."""

import http.client
import json
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

_SECONDS_TO_ANSWER = 30
_ERROR_CODE = re.compile(r"(M|[A-Z0-9]+(\.[A-Z0-9]+)+)_[A-Z0-9_]+")
"""A namespace, which is M for the specification's own codes, and the code in it."""


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Wire:
    """One connection, opened again whenever the server closes it."""

    def __init__(self, address: str) -> None:
        host, port = urlsplit(address).hostname, urlsplit(address).port
        assert host is not None
        assert port is not None
        self._place = (host, port)
        self._socket = socket.create_connection(self._place, _SECONDS_TO_ANSWER)

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        token: str | None = None,
        headers: Iterable[bytes] = (),
    ) -> Answer:
        """Send all of it as it is; `headers` are whole lines."""
        head = [f"{method} {target} HTTP/1.1".encode(), b"Host: x", b"Content-Length: %d" % len(body)]
        if token is not None:
            head.append(f"Authorization: Bearer {token}".encode())
        # A server that has read enough need not wait for the rest; what it says is there nevertheless.
        with suppress(ConnectionError):
            self._socket.sendall(b"\r\n".join([*head, *headers, b"", b""]) + body)
        answer = http.client.HTTPResponse(self._socket, method=method)
        answer.begin()
        received = Answer(answer.status, answer.headers, answer.read())
        if answer.will_close:
            self.close()
            self._socket = socket.create_connection(self._place, _SECONDS_TO_ANSWER)
        return received

    def close(self) -> None:
        self._socket.close()


def check(answer: Answer, request: str) -> None:
    """No fault of the server's; and if it is a refusal, one of the form that all have."""
    assert answer.status < 500, (request, answer.status, answer.body[:300])
    assert answer.headers["Access-Control-Allow-Origin"] == "*", request
    assert answer.headers["Content-Type"] == "application/json", request
    told = json.loads(answer.body)
    if answer.status >= 400 and not (answer.status == 401 and "flows" in told):
        assert _ERROR_CODE.fullmatch(told["errcode"]), (request, told)
        assert isinstance(told["error"], str), request
        assert told["error"], request
