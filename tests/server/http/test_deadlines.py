"""Deadlines and bounds of connections: who is late is told so and closed, who is not is left alone.

The deadlines are those of production, made short; a test waits for the server to hang up, and never for a
time to pass. Each has a control with the deadline switched off, or a neighbour that must be spared.
"""

import asyncio
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pytest
from starlette.requests import Request
from starlette.responses import Response

from server.http import doorkeeper as module
from server.http.answers import answer
from server.http.doorkeeper import FILES_FOR_OTHERS, TOLD_MAX, Awaited, Bounds, Doorkeeper, Entrance, Watch
from server.http.doorkeeper import bounds_here as bounds_of_this_process
from server.http.parsing import read_body
from server.http.protocol import HEADERS_MAX
from server.http.routing import ROOT, Route
from tests.server.http.serving import Address, ask, serving, talk

GET = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
LAST = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LONG = bytes(32 << 20)
"""More than the kernel takes for somebody who does not read."""
SHORT = 0.05
NEVER = 3600.0
LIMIT = 10.0
"""Seconds after which a server that does not hang up has failed."""


def within(
    *, head: float = NEVER, next_request: float = NEVER, patience: float = NEVER, rate: int = 1 << 40
) -> Bounds:
    """Only these deadlines; beyond its patience the server wants bodies, and readers, to be fast."""
    return Bounds(100, 100, head, next_request, patience, rate, walk_seconds=SHORT / 5)


async def ping(_: Request) -> Response:
    return answer({})


async def echo(request: Request) -> Response:
    return Response(await read_body(request, limit=1 << 20))


async def long_answer(_: Request) -> Response:
    return Response(LONG)


ROUTES = [
    Route("GET", "/ping", ping, ROOT),
    Route("PUT", "/echo", echo, ROOT),
    Route("GET", "/long", long_answer, ROOT),
]


@contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=LIMIT) as connection:
        yield connection


# Heads


@pytest.mark.parametrize("begun", [b"G", b"GET /ping HTTP/1.1\r\nHost: x\r\n", b"\r\n"])
def test_a_late_head_is_told_so(begun: bytes) -> None:
    with serving(ROUTES, bounds=within(head=SHORT)) as address:
        refused = ask(address, begun)
    assert (refused.error, refused.headers["connection"]) == ((408, "M_UNKNOWN"), "close")
    assert refused.headers["access-control-allow-origin"] == "*"


def test_a_trickling_head_is_late() -> None:
    """A byte now and then is no reason to go on waiting."""
    with serving(ROUTES, bounds=within(head=SHORT)) as address, connected(address) as connection:
        connection.settimeout(SHORT / 10)
        for byte in b"GET /" + b"a" * 10_000:
            with suppress(TimeoutError):
                connection.send(bytes([byte]))
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
                return
    pytest.fail("the server took a head of 10,000 pieces")


def test_a_late_head_behind_an_answer_is_told_so() -> None:
    with serving(ROUTES, bounds=within(head=SHORT)) as address:
        first, second = talk(address, GET, b"GET /pi")
    assert (first.status, second.status) == (200, 408)


def test_a_connection_without_a_word_is_closed_without_one() -> None:
    with serving(ROUTES, bounds=within(head=SHORT)) as address:
        assert talk(address) == []


def test_nobody_waits_for_the_next_request_for_ever() -> None:
    with serving(ROUTES, bounds=within(next_request=SHORT)) as address:
        [answered] = talk(address, GET)
    assert answered.status == 200


# Bodies


def test_a_late_body_is_told_so() -> None:
    with serving(ROUTES, bounds=within(patience=SHORT)) as address:
        refused = ask(address, PUT + b"{")
    assert (refused.error, refused.headers["connection"]) == ((408, "M_UNKNOWN"), "close")


def test_a_trickling_body_is_late() -> None:
    head = b"PUT /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(ROUTES, bounds=within(patience=SHORT)) as address, connected(address) as connection:
        connection.sendall(head)
        connection.settimeout(SHORT / 10)
        for _ in range(10_000):
            with suppress(TimeoutError):
                connection.send(b"1\r\n \r\n")
                assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
                return
    pytest.fail("the server took a body of 10,000 pieces")


class Walks:
    """A call that answers once the doorkeeper must have come by several times."""

    def __init__(self) -> None:
        self.route = Route("GET", "/walks", self._answer, ROOT)

    async def _answer(self, _: Request) -> Response:
        await asyncio.sleep(SHORT)  # five walks
        return answer({})

    def pass_by(self, address: Address) -> None:
        assert ask(address, LAST.replace(b"/ping", b"/walks")).status == 200


def test_who_waits_for_an_answer_is_never_late() -> None:
    walked = Walks()
    with serving([*ROUTES, walked.route], bounds=within(head=0, next_request=0, patience=0)) as address:
        walked.pass_by(address)


# Readers


def test_who_never_reads_is_cut_off() -> None:
    with serving(ROUTES, bounds=within(patience=SHORT)) as address, connected(address) as connection:
        connection.sendall(GET.replace(b"/ping", b"/long"))
        assert is_cut_off(connection, sending=b"\r\n")
        # Far less than all of it came: what nobody had read was thrown away.
        assert received_bytes(connection) < len(LONG)


def test_who_never_reads_many_answers_is_cut_off() -> None:
    with serving(ROUTES, bounds=within(patience=SHORT)) as address, connected(address) as connection:
        connection.settimeout(LIMIT)
        assert is_cut_off(connection, sending=GET * 1000)


def test_who_reads_gets_it_all() -> None:
    """The control of the tests above: the length alone is no reason."""
    with serving(ROUTES, bounds=within(patience=0, rate=1)) as address:
        long = ask(address, LAST.replace(b"/ping", b"/long"))
    assert long.body == LONG


def is_cut_off(connection: socket.socket, *, sending: bytes) -> bool:
    """It comes to be, while one goes on sending and does not read."""
    with suppress(ConnectionError):
        while True:
            connection.sendall(sending)
    return True


def received_bytes(connection: socket.socket) -> int:
    total = 0
    with suppress(ConnectionError):
        while data := connection.recv(1 << 20):
            total += len(data)
    return total


# Bounds


def test_one_connection_too_many_is_told_so() -> None:
    bounds = Bounds(connections_max=2)
    with serving(ROUTES, bounds=bounds) as address, connected(address) as one, connected(address) as other:
        answered(one)
        answered(other)
        refused = ask(address, GET)
        assert (refused.error, refused.headers["connection"]) == ((503, "M_UNKNOWN"), "close")
        answered(one)


def test_a_connection_that_ends_makes_room() -> None:
    with serving(ROUTES, bounds=Bounds(connections_max=1)) as address:
        assert [ask(address, LAST).status for _ in range(5)] == [200] * 5


def answered(connection: socket.socket) -> None:
    connection.sendall(GET)
    assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


def test_too_many_headers_are_refused() -> None:
    lines = b"a:\r\n" * (HEADERS_MAX + 1)
    padding = b"X: " + b"a" * 4096 + b"\r\n"
    with serving(ROUTES) as address:
        whole = ask(address, b"GET /ping HTTP/1.1\r\n" + padding + lines + b"\r\n")
        endless = ask(address, b"GET /ping HTTP/1.1\r\n" + padding + lines)
    assert whole.error == endless.error == (431, "M_TOO_LARGE")


def test_as_many_headers_as_allowed_are_taken() -> None:
    lines = b"a:\r\n" * (HEADERS_MAX - 2) + b"X: " + b"a" * 4096 + b"\r\nConnection: close\r\n\r\n"
    with serving(ROUTES) as address:
        assert ask(address, b"GET /ping HTTP/1.1\r\n" + lines).status == 200


class Scripted:
    """A connection as the doorkeeper knows it."""

    def __init__(self, awaited: Awaited, *, bytes_between_walks: int = 0) -> None:
        self.watch = Watch()
        self.given_up = asyncio.Event()
        self._awaited = awaited
        self._moved = 0
        self._bytes_between_walks = bytes_between_walks

    def awaits(self) -> tuple[Awaited, object, int]:
        self._moved += self._bytes_between_walks
        return self._awaited, None, self._moved

    def give_up(self, awaited: Awaited) -> None:
        self.given_up.set()


@pytest.mark.anyio
async def test_who_is_inside_and_who_was_refused_is_counted() -> None:
    doorkeeper = Doorkeeper(Bounds(connections_max=1))
    inside, refused = Scripted(Awaited.ANSWER), Scripted(Awaited.ANSWER)
    for connection in (inside, refused):
        doorkeeper.enter(connection, "10.0.0.1")
    doorkeeper.leave(refused)
    assert (doorkeeper.connections, doorkeeper.refused) == (1, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("awaited", [Awaited.BODY, Awaited.READER, Awaited.END])
async def test_who_is_fast_enough_is_not_late(awaited: Awaited) -> None:
    doorkeeper = Doorkeeper(within(patience=SHORT, rate=10))
    still = Scripted(awaited)
    fast = Scripted(awaited, bytes_between_walks=10)
    for connection in (fast, still):
        doorkeeper.enter(connection, "10.0.0.1")
    async with asyncio.timeout(LIMIT):
        await still.given_up.wait()
    assert not fast.given_up.is_set()


class Looked(NamedTuple):
    at: float
    which: int


class Seen(Scripted):
    """Notes when it is looked at."""

    def __init__(self, which: int, looked: "asyncio.Queue[Looked]") -> None:
        super().__init__(Awaited.ANSWER)
        self._which = which
        self._looked = looked

    def awaits(self) -> tuple[Awaited, object, int]:
        self._looked.put_nowait(Looked(asyncio.get_running_loop().time(), self._which))
        return super().awaits()


@pytest.mark.anyio
async def test_a_walk_over_many_is_spread_over_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody who comes meanwhile shares the event loop with all of it."""
    monkeypatch.setattr(module, "LOOKED_AT_ONCE", 2)
    bounds = replace(within(), walk_seconds=SHORT)
    doorkeeper, looked = Doorkeeper(bounds), asyncio.Queue[Looked]()
    for which in range(6):
        doorkeeper.enter(Seen(which, looked), "10.0.0.1")
    async with asyncio.timeout(LIMIT):
        seen = [await looked.get() for _ in range(12)]
    assert [one.which for one in seen] == [*range(6), *range(6)]
    steps = [one.at for one in seen[::2]]
    clock = 0.001  # as exact as an event loop is
    assert all(later - earlier >= SHORT / 3 - clock for earlier, later in pairwise(steps))


@pytest.mark.anyio
async def test_who_left_during_a_walk_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKED_AT_ONCE", 1)
    doorkeeper, looked = Doorkeeper(within()), asyncio.Queue[Looked]()
    connections = [Seen(which, looked) for which in range(3)]
    for connection in connections:
        doorkeeper.enter(connection, "10.0.0.1")
    async with asyncio.timeout(LIMIT):
        assert (await looked.get()).which == 0
        doorkeeper.leave(connections[1])
        assert (await looked.get()).which == 2


Enter = Callable[[str], Entrance]


@pytest.fixture
def enter() -> Iterator[Callable[[Bounds], Enter]]:
    """Opens connections, of which none ends, to a doorkeeper with these bounds."""
    with ExitStack() as running:

        def to(bounds: Bounds) -> Enter:
            runner = running.enter_context(asyncio.Runner())
            doorkeeper = Doorkeeper(bounds)

            async def one(address: str) -> Entrance:
                return doorkeeper.enter(Scripted(Awaited.ANSWER), address)

            return lambda address: runner.run(one(address))

        yield to


def test_an_address_cannot_take_all_connections(enter: Callable[[Bounds], Enter]) -> None:
    opened = enter(Bounds(connections_max=5, connections_of_address_max=3))
    assert [opened("10.0.0.1") for _ in range(4)] == [Entrance.OPEN] * 3 + [Entrance.FULL]
    assert opened("10.0.0.2") is Entrance.OPEN


def test_not_even_refusals_are_without_end(enter: Callable[[Bounds], Enter]) -> None:
    opened = enter(Bounds(connections_max=1))
    entrances = [opened(f"10.0.0.{number}") for number in range(TOLD_MAX + 3)]
    assert entrances == [Entrance.OPEN] + [Entrance.FULL] * TOLD_MAX + [Entrance.SHUT] * 2


def test_the_bounds_leave_files_for_others() -> None:
    bounds = bounds_of_this_process()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert bounds.connections_of_address_max < bounds.connections_max
    assert soft == resource.RLIM_INFINITY or bounds.connections_max <= soft - FILES_FOR_OTHERS
