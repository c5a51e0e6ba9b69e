"""The server stops: whoever has a request under way gets an answer that a Matrix client knows."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive

from server.http.answers import answer
from server.http.parsing import read_body
from server.http.routing import ROOT, Endpoint, Route
from tests.server.http.serving import Answer, HalfOfAnAnswer, serving, talk

SECONDS_MAX = 10

STOPPED = (503, "M_UNKNOWN")


class Begun(threading.Event):
    """Set by an endpoint that is at work."""


def answers_when_it_stops(endpoint: Callable[[Begun], Endpoint], request: bytes) -> list[Answer]:
    """What comes to a client whose request the server is at work on when it is told to stop at once."""
    begun = Begun()
    with ThreadPoolExecutor(1) as client:
        with serving([Route("PUT", "/", endpoint(begun), ROOT)], seconds_to_stop=0) as address:
            told = client.submit(talk, address, request)
            assert begun.wait(SECONDS_MAX)
        return told.result(SECONDS_MAX)


def never_done(begun: Begun) -> Endpoint:
    async def endpoint(_: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        return answer({})

    return endpoint


def all_read(begun: Begun) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        begun.set()
        return Response(await read_body(request))

    return endpoint


def half_answered(begun: Begun) -> Endpoint:
    async def wait(_: Receive) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def endpoint(_: Request) -> Response:
        return HalfOfAnAnswer(wait)

    return endpoint


def test_what_is_given_up_is_answered() -> None:
    [given_up] = answers_when_it_stops(never_done, b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert given_up.error == STOPPED
    assert given_up.headers["access-control-allow-origin"] == "*"


def test_a_body_that_has_not_come_is_not_waited_for() -> None:
    [refused] = answers_when_it_stops(all_read, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
    assert refused.error == STOPPED
    assert refused.headers["connection"] == "close"
    assert refused.headers["access-control-allow-origin"] == "*"


def test_half_an_answer_stays_half() -> None:
    """A second answer behind it would be taken for the rest of the first."""
    [half] = answers_when_it_stops(half_answered, b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (half.status, half.body) == (200, b"half")
