"""The layers put together, over real sockets: every way to fail ends in the one shape of errors."""

import logging
import threading
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.application import Application
from server.http.parsing import BODY_BYTES_MAX, parse_object, read_body
from server.http.routing import ROOT, Route
from tests.server.http.serving import Address, HalfOfAnAnswer, ask, serving, talk

BODY_LEFT = threading.Event()
"""Set when a client has gone while its body was being read."""


async def echo(request: Request) -> Response:
    content = parse_object(await read_body(request))
    return answer({"path": request.path_params, "content": content})


async def forbid(_: Request) -> Response:
    raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")


async def fail(_: Request) -> Response:
    raise KeyError("a bug")


async def upload(request: Request) -> Response:
    try:
        await read_body(request)
    except ClientDisconnect:
        BODY_LEFT.set()
        raise
    return answer({})


async def fail_in_the_middle(_: Request) -> Response:
    """Raises what would be answered 403, after a part of a 200 has left."""
    return HalfOfAnAnswer(_refuse_too_late)


async def _refuse_too_late(_: Receive) -> None:
    raise MatrixError(ErrorCode.FORBIDDEN, "Too late.")


ROUTES = [
    Route("PUT", "/rooms/{room_id}/send/{event_type}/{txn_id}", echo, ROOT),
    Route("GET", "/forbidden", forbid, ROOT),
    Route("GET", "/bug/{user_id}", fail, ROOT),
    Route("PUT", "/upload", upload, ROOT),
    Route("GET", "/half", fail_in_the_middle, ROOT),
]


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with serving(ROUTES) as address:
        yield address


@pytest.fixture
def client(server: Address) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://{server[0]}:{server[1]}") as client:
        yield client


def error_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/json"
    assert response.json().keys() == {"errcode", "error"}
    return response.status_code, response.json()["errcode"]


def test_a_request_reaches_its_handler(client: httpx.Client) -> None:
    response = client.put("/rooms/!r%2F1:x/send/m.room.message/35", json={"body": "hello"})
    assert response.json() == {
        "path": {"room_id": "!r/1:x", "event_type": "m.room.message", "txn_id": "35"},
        "content": {"body": "hello"},
    }


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_is_not_asked_for(client: httpx.Client, content_type: str) -> None:
    headers = {"content-type": content_type}
    assert client.put("/rooms/r/send/t/1", content=b"{}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nowhere", (404, "M_UNRECOGNIZED")),
        ("GET", "/", (404, "M_UNRECOGNIZED")),
        ("GET", "/forbidden/", (404, "M_UNRECOGNIZED")),
        ("POST", "/rooms/r/send/t/1", (405, "M_UNRECOGNIZED")),
        ("GET", "/forbidden", (403, "M_FORBIDDEN")),
        ("GET", "/bug/@u:x", (500, "M_UNKNOWN")),
        ("PUT", "/rooms/%FF/send/t/1", (400, "M_INVALID_PARAM")),
        ("PUT", "/rooms/r/send//1", (400, "M_INVALID_PARAM")),
        ("PUT", "/rooms/r/send/t/1", (400, "M_NOT_JSON")),
    ],
)
@pytest.mark.requirement("R01")
def test_every_failure_has_the_shape_of_errors(
    client: httpx.Client, method: str, path: str, expected: tuple[int, str]
) -> None:
    assert error_of(client.request(method, path)) == expected


@pytest.mark.requirement("E13")
def test_a_post_with_a_transaction_id_is_a_wrong_method(client: httpx.Client) -> None:
    response = client.post("/rooms/r/send/t/1", json={})
    assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, PUT")


def test_head_is_a_wrong_method_without_a_body(server: Address) -> None:
    [response] = talk(server, b"HEAD /forbidden HTTP/1.1\r\nConnection: close\r\n\r\n", is_head=True)
    assert (response.status, response.headers["allow"]) == (405, "GET, OPTIONS")


def test_a_body_over_the_limit_is_cut_off_while_it_comes(server: Address) -> None:
    """The body never ends; still there is an answer, and the connection is closed."""
    piece = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    pieces = [piece] * (BODY_BYTES_MAX // 0x10000 + 1)
    response = ask(server, b"PUT /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", *pieces)
    assert (response.error, response.headers["connection"]) == ((413, "M_TOO_LARGE"), "close")


def test_a_declared_length_over_the_limit_is_not_waited_for(server: Address) -> None:
    head = b"PUT /upload HTTP/1.1\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (
        BODY_BYTES_MAX + 1
    )
    response = ask(server, head)
    assert (response.error, response.headers["connection"]) == ((413, "M_TOO_LARGE"), "close")


def test_a_client_that_expects_to_be_asked_is_asked(server: Address) -> None:
    head = b"PUT /upload HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    assert [response.status for response in talk(server, head, b"{}")] == [100, 200]


def test_an_upload_over_the_limit_is_answered_to_an_ordinary_client(client: httpx.Client) -> None:
    response = client.put("/upload", content=(b"a" * 0x10000 for _ in range(64)))
    assert error_of(response) == (413, "M_TOO_LARGE")


def test_a_client_that_leaves_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    BODY_LEFT.clear()
    with serving(ROUTES) as address, caplog.at_level(logging.WARNING):
        assert talk(address, b"PUT /upload HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", hangs_up=True) == []
        assert BODY_LEFT.wait(timeout=10)
    assert caplog.records == []


def test_an_answer_that_has_begun_is_not_followed_by_another(server: Address) -> None:
    [response] = talk(server, b"GET /half HTTP/1.1\r\n\r\n")
    assert (response.status, response.body) == (200, b"half")


def test_a_bug_is_logged_without_what_the_client_said(caplog: pytest.LogCaptureFixture) -> None:
    with serving(ROUTES) as address:
        lines = b"Authorization: Bearer t0ken\r\nConnection: close\r\n\r\n"
        ask(address, b"GET /bug/@alice:x?access_token=s3cret HTTP/1.1\r\n" + lines)
    assert "GET /bug/{user_id} failed" in caplog.text
    assert "KeyError: 'a bug'" in caplog.text
    assert not any(said in caplog.text for said in ("alice", "s3cret", "t0ken"))


@pytest.mark.anyio
async def test_handlers_find_the_state_of_the_application() -> None:
    async def whose(request: Request) -> Response:
        return answer({"name": request.app.state.name})

    app = Application([Route("GET", "/", whose, ROOT)], {"name": "example.org"})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.get("/")).json() == {"name": "example.org"}
