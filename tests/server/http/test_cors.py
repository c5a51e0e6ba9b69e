"""Headers for browsers: on every answer, whoever gives it."""

from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.http.answers import answer
from server.http.routing import ROOT, Route
from tests.server.http.serving import Address, ask, serving

CALLED: list[str] = []


async def change(request: Request) -> Response:
    CALLED.append(request.method)
    return answer({})


async def fail(_: Request) -> Response:
    raise KeyError("a bug")


@pytest.fixture(scope="module")
def server() -> Iterator[Address]:
    with serving([Route("PUT", "/change", change, ROOT), Route("GET", "/bug", fail, ROOT)]) as address:
        yield address


every_kind_of_answer = pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"PUT /change HTTP/1.1", 200),
        (b"GET /change HTTP/1.1", 405),
        (b"GET /nowhere HTTP/1.1", 404),
        (b"GET / HTTP/1.1", 404),
        (b"GET /bug HTTP/1.1", 500),
        (b"OPTIONS /nowhere HTTP/1.1", 204),
        (b"NO HTTP AT ALL", 400),
    ],
)


@every_kind_of_answer
def test_every_answer_can_be_read_by_a_page(server: Address, request_line: bytes, status: int) -> None:
    response = ask(server, request_line + b"\r\nConnection: close\r\n\r\n")
    assert response.status == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "GET, POST, PUT, DELETE, OPTIONS"
    allowed = response.headers["access-control-allow-headers"]
    assert allowed == "X-Requested-With, Content-Type, Authorization"


@every_kind_of_answer
def test_no_answer_is_taken_for_a_page(server: Address, request_line: bytes, status: int) -> None:
    response = ask(server, request_line + b"\r\nConnection: close\r\n\r\n")
    assert response.status == status
    assert response.headers["x-content-type-options"] == "nosniff"
    assert not response.body or response.headers["content-type"] == "application/json"


@every_kind_of_answer
def test_no_answer_is_kept_on_the_way(server: Address, request_line: bytes, status: int) -> None:
    response = ask(server, request_line + b"\r\nConnection: close\r\n\r\n")
    assert (response.status, response.headers["cache-control"]) == (status, "no-store")


@pytest.mark.parametrize("path", [b"/change", b"/nowhere", b"/%FF", b"*"])
def test_a_preflight_is_answered_for_any_path(server: Address, path: bytes) -> None:
    response = ask(server, b"OPTIONS " + path + b" HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert (response.status, response.body) == (204, b"")


def test_a_preflight_has_no_effect(server: Address) -> None:
    CALLED.clear()
    ask(server, b"OPTIONS /change HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert CALLED == []
