"""The connection: what is no HTTP, what has no end, and what comes ahead of its turn."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.http.answers import answer
from server.http.parsing import read_body
from server.http.protocol import HEAD_BYTES_MAX, PIPELINE_MAX, URL_BYTES_MAX
from server.http.routing import ROOT, Route
from tests.server.http.serving import Address, HalfOfAnAnswer, ask, serving, talk

GET = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
TURNS = 20
"""Of the event loop that a slow handler lets pass: more than parsing what came in one piece takes."""
ENDLESS = b"a" * (HEAD_BYTES_MAX + (1 << 18))
"""More than the limit, and as much as is read at once."""

LONG = b"a" * (4 * len(ENDLESS))


async def ping(_: Request) -> Response:
    return answer({})


async def ping_slowly(_: Request) -> Response:
    for _turn in range(TURNS):
        await asyncio.sleep(0)
    return answer({"was": "slow"})


async def echo(request: Request) -> Response:
    return Response(await read_body(request, limit=len(LONG)))


async def answer_early(_: Request) -> Response:
    """Begins its answer before the request is complete, and waits for the rest of it."""
    return HalfOfAnAnswer(_until_complete)


async def _until_complete(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass


ROUTES = [
    Route("PUT", "/early", answer_early, ROOT),
    Route("GET", "/ping", ping, ROOT),
    Route("GET", "/slow", ping_slowly, ROOT),
    Route("PUT", "/echo", echo, ROOT),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with serving(ROUTES) as address:
        yield address


def statuses(address: Address, *pieces: bytes) -> list[int]:
    return [response.status for response in talk(address, *pieces)]


@pytest.mark.parametrize(
    "malformed",
    [
        b"BREW /ping HTTP/1.1\r\n\r\n",
        b"GET /ping HTTP/9.9\r\n\r\n",
        b"GET /pi ng HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET http://host-without-a-path HTTP/1.1\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nno header\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT /echo HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_refused(server: Address, malformed: bytes) -> None:
    response = ask(server, malformed)
    assert (response.error, response.headers["connection"]) == ((400, "M_UNKNOWN"), "close")


def test_a_body_that_is_no_http_is_refused(server: Address) -> None:
    response = ask(server, b"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n")
    assert response.error == (400, "M_UNKNOWN")


def test_a_url_may_be_as_long_as_the_limit(server: Address) -> None:
    path = b"/ping?" + b"a" * (URL_BYTES_MAX - len(b"/ping?"))
    assert ask(server, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\n\r\n").status == 200


def test_a_url_over_the_limit_is_refused(server: Address) -> None:
    path = b"/ping?" + b"a" * (URL_BYTES_MAX - len(b"/ping?") + 1)
    assert ask(server, b"GET " + path + b" HTTP/1.1\r\n\r\n").error == (414, "M_TOO_LARGE")


def test_a_url_without_an_end_is_refused(server: Address) -> None:
    assert ask(server, b"GET /" + ENDLESS).error == (414, "M_TOO_LARGE")


def headers_of(size: int) -> bytes:
    return (
        b"GET /ping HTTP/1.1\r\nConnection: close\r\nX: "
        + b"a" * (size - len(b"ConnectioncloseX"))
        + b"\r\n\r\n"
    )


def test_headers_may_be_as_large_as_the_limit(server: Address) -> None:
    assert ask(server, headers_of(HEAD_BYTES_MAX - 1024)).status == 200


def test_headers_over_the_limit_are_refused(server: Address) -> None:
    assert ask(server, headers_of(HEAD_BYTES_MAX + 1)).error == (431, "M_TOO_LARGE")


def test_many_small_headers_are_refused(server: Address) -> None:
    lines = b"".join(b"X-%06d: %032d\r\n" % (number, number) for number in range(HEAD_BYTES_MAX // 40 + 1))
    assert ask(server, b"GET /ping HTTP/1.1\r\n" + lines + b"\r\n").error == (431, "M_TOO_LARGE")


CHUNKED = b"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"


@pytest.mark.parametrize(
    "unfinished",
    [
        b"GET /ping HTTP/1.1\r\nX: " + ENDLESS,
        b"GET /ping HTTP/1.1\r\n" + b"X: a\r\n" * (len(ENDLESS) // 6),
        b"\r\n" * (len(ENDLESS) // 2),
        CHUNKED + b"2;" + ENDLESS,
        CHUNKED + b"0\r\nX: " + ENDLESS,
        CHUNKED + b"0\r\n" + b"X: a\r\n" * (len(ENDLESS) // 6),
    ],
    ids=["header", "headers", "blank lines", "chunk extension", "trailer", "trailers"],
)
def test_what_has_no_end_is_refused(server: Address, unfinished: bytes) -> None:
    assert ask(server, unfinished).error == (431, "M_TOO_LARGE")


def test_a_long_body_is_not_unfinished(server: Address) -> None:
    head = b"PUT /echo HTTP/1.1\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(LONG)
    assert ask(server, head, LONG).body == LONG


def test_requests_sent_ahead_are_answered_in_order(server: Address) -> None:
    puts = [b"PUT /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(9)]
    slow = b"GET /slow HTTP/1.1\r\n\r\n"
    bodies = [response.body for response in talk(server, b"".join([slow, *puts, LAST]))]
    assert bodies == [b'{"was":"slow"}', *(b"%d" % number for number in range(9)), b"{}"]


def test_as_many_requests_as_allowed_can_be_sent_ahead(server: Address) -> None:
    assert statuses(server, GET * PIPELINE_MAX + LAST) == [200] * (PIPELINE_MAX + 1)


def test_too_many_requests_sent_ahead_end_the_connection(server: Address) -> None:
    assert statuses(server, GET * (10 * PIPELINE_MAX)) == [200] * (PIPELINE_MAX + 1)


def test_a_request_before_a_malformed_one_is_answered(server: Address) -> None:
    [response] = talk(server, b"GET /slow HTTP/1.1\r\n\r\nNO HTTP AT ALL\r\n\r\n")
    assert (response.body, response.headers["connection"]) == (b'{"was":"slow"}', "close")


def test_a_malformed_request_after_an_answer_is_refused(server: Address) -> None:
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(GET)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        connection.sendall(b"NO HTTP AT ALL\r\n\r\n")
        assert b"HTTP/1.1 400" in _until_the_end(connection)


def test_a_refusal_is_not_taken_for_an_earlier_answer(server: Address) -> None:
    assert statuses(server, b"GET /slow HTTP/1.1\r\n\r\n" + CHUNKED + b"zz\r\n") == []


def test_a_refusal_does_not_come_in_the_middle_of_an_answer(server: Address) -> None:
    with socket.create_connection(server, timeout=10) as connection:
        connection.sendall(CHUNKED.replace(b"/echo", b"/early"))
        received = b""
        while b"half" not in received:
            received += connection.recv(1 << 16)
        connection.sendall(b"zz\r\n")
        assert _until_the_end(connection) == b""


def _until_the_end(connection: socket.socket) -> bytes:
    received = bytearray()
    while data := connection.recv(1 << 16):
        received += data
    return bytes(received)


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_an_offer_of_another_protocol_is_passed_over(server: Address, protocol: bytes) -> None:
    offer = b"GET /ping HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
    assert statuses(server, offer + offer, LAST) == [200, 200, 200]


def test_a_request_keeps_its_body_when_it_offers_another_protocol(server: Address) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    head = b"PUT /echo HTTP/1.1\r\n" + offer + b"Content-Length: 6\r\n\r\n"
    first, second = talk(server, head + b"bo", b"dy.." + LAST)
    assert (first.body, second.body) == (b"body..", b"{}")


def test_too_many_connections_are_told_so() -> None:
    with serving(ROUTES, limit_concurrency=1) as address:
        response = ask(address, LAST)
    assert response.error == (503, "M_UNKNOWN")
    assert response.headers["access-control-allow-origin"] == "*"


def _logged(caplog: pytest.LogCaptureFixture, protocol: type[HttpToolsProtocol] | None = None) -> str:
    with caplog.at_level(logging.DEBUG), serving(ROUTES, protocol=protocol) as address:
        ask(address, b"GET /ping?access_token=s3cret HTTP/1.1\r\nConnection: close\r\n\r\n")
    return caplog.text


def test_no_token_in_a_query_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert "s3cret" not in _logged(caplog)


def test_a_log_of_requests_would_show_the_token(caplog: pytest.LogCaptureFixture) -> None:
    """The control of the test above."""
    assert "s3cret" in _logged(caplog, HttpToolsProtocol)
