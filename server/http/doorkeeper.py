"""Who may come in, and who has kept the server waiting for too long: all connections of one server.

uvicorn takes every connection that there is a file descriptor for, and has no deadline but for who asks
nothing more. So whoever sends a byte a minute, or never reads, would keep a connection for ever, and who
opens enough of them would keep everybody out.

Deadlines are kept by a walk over all connections within each second, and by nothing else: no request sets a
timer or looks at a clock, and the one timer that uvicorn set for each answer is gone. A connection
is late if it waits for the same thing of the same request as when the walk first saw it do so; a deadline is
therefore heard up to two walks late, never early.

Measured (2 busy cores, 8,000 connections): to look at one takes 1.2 µs, so 10,000 cost 12 ms of each second,
in steps of 0.25 ms. The steps are spread over the second: beside 10,000 idle polls the p99 of sends was 1.46
times that without them while the steps came one right after the other, and 1.11 since (`python -m bench.idle
--repetitions 9`). To set a timer and take it back costs 0.7 µs of each request.
"""

import asyncio
import math
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from typing import Protocol

FILES_FOR_OTHERS = 256
"""Descriptors that connections never take: the log, the views, logging, application services."""
TOLD_MAX = 64
"""Connections over the bound that are kept until they have been told; more are closed without a word."""
LOOKED_AT_ONCE = 200


class Awaited(Enum):
    """What a connection is waiting for."""

    REQUEST = "the next request, of which nothing has come"
    HEAD = "the rest of a head, or the first byte of all"
    BODY = "the rest of a body"
    ANSWER = "the server"
    READER = "somebody to read an answer"
    END = "somebody to read the last answer, before it closes"


@dataclass(frozen=True)
class Bounds:
    connections_max: int = 50_000
    """Some 10 KB each when nothing is going on, and 18 KB with a long poll."""
    connections_of_address_max: int = 20_000
    """Of IPv6, a network of /64 is one address. High, because a proxy in front makes all clients one."""
    head_seconds: float = 15
    """From the first byte, or from the opening of the connection."""
    next_request_seconds: float = 75
    patience_seconds: float = 60
    """Within which a body, or somebody who reads, need not move at all."""
    bytes_per_second_min: int = 1024
    """How fast they have to be beyond that, on the whole."""
    walk_seconds: float = 1


def bounds_here() -> Bounds:
    """As many connections as this process may have; raises its limit of open files if that is allowed."""
    most = Bounds()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most.connections_max + FILES_FOR_OTHERS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    connections = max(1, wanted - FILES_FOR_OTHERS)
    # Nobody can take all of them.
    of_address = min(most.connections_of_address_max, max(1, connections * 3 // 4))
    return Bounds(connections, of_address)


@dataclass(slots=True)
class Watch:
    """What a connection was waiting for when the walk last came by, and since when."""

    awaited: Awaited | None = None
    request: object = None
    since: float = 0.0
    moved: int = 0
    """Bytes that had come or gone at that time."""


class Connection(Protocol):
    """What the doorkeeper has to know of one."""

    watch: Watch

    def awaits(self) -> tuple[Awaited, object, int]:
        """What it waits for, on behalf of which request, and the bytes that have come or gone."""

    def give_up(self, awaited: Awaited) -> None:
        """It has waited for too long."""


class Entrance(Enum):
    OPEN = "come in"
    FULL = "tell them that there are too many"
    SHUT = "there is nobody left to tell them"


@dataclass
class Doorkeeper:
    """One for each server; used from one event loop."""

    bounds: Bounds
    _inside: dict[Connection, str] = field(default_factory=dict)
    """All that are open, and their addresses."""
    _of_address: dict[str, int] = field(default_factory=dict)
    _told: set[Connection] = field(default_factory=set)
    """Those inside who are over the bound."""
    _is_walking: bool = False
    refused: int = 0
    """Connections that were one too many, since the start."""

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._inside)

    def enter(self, connection: Connection, address: str) -> Entrance:
        """A connection was opened. Unless it is `SHUT` out, its deadlines are kept until it leaves."""
        admitted = len(self._inside) - len(self._told)
        if (
            admitted >= self.bounds.connections_max
            or self._of_address.get(address, 0) >= self.bounds.connections_of_address_max
        ):
            self.refused += 1
            if len(self._told) >= TOLD_MAX:
                return Entrance.SHUT
            self._told.add(connection)
        else:
            self._of_address[address] = self._of_address.get(address, 0) + 1
        self._inside[connection] = address
        if not self._is_walking:
            self._is_walking = True
            self._walk_on(iter(()))
        return Entrance.FULL if connection in self._told else Entrance.OPEN

    def leave(self, connection: Connection) -> None:
        """A connection has ended, whether or not it was let in."""
        address = self._inside.pop(connection, None)
        if connection in self._told:
            self._told.discard(connection)
        elif address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _walk(self, rest: Iterator[Connection]) -> None:
        """Look at the next few; behind the last of a walk begins the next one."""
        some = list(islice(rest, LOOKED_AT_ONCE))
        if not some:
            rest = iter(list(self._inside))
            some = list(islice(rest, LOOKED_AT_ONCE))
        now = asyncio.get_running_loop().time()
        for connection in some:
            if connection in self._inside:  # it may have left since the walk began
                self._look_at(connection, now)
        self._walk_on(rest)

    def _walk_on(self, rest: Iterator[Connection]) -> None:
        if not self._inside:
            self._is_walking = False
            return
        steps = -(-len(self._inside) // LOOKED_AT_ONCE)
        asyncio.get_running_loop().call_later(self.bounds.walk_seconds / steps, self._walk, rest)

    def _look_at(self, connection: Connection, now: float) -> None:
        awaited, request, moved = connection.awaits()
        watch = connection.watch
        if awaited is not watch.awaited or request is not watch.request:
            watch.awaited, watch.request, watch.since, watch.moved = awaited, request, now, moved
        elif now - watch.since > self._seconds(awaited, moved - watch.moved):
            watch.awaited = None  # whatever comes of it has a deadline of its own
            connection.give_up(awaited)

    def _seconds(self, awaited: Awaited, moved: int) -> float:
        match awaited:
            case Awaited.ANSWER:
                return math.inf
            case Awaited.HEAD:
                return self.bounds.head_seconds
            case Awaited.REQUEST:
                return self.bounds.next_request_seconds
            case _:
                return self.bounds.patience_seconds + moved / self.bounds.bytes_per_second_min
