"""Tells application services of events, in the order of the log: one task for each, at its own pace.

The log is the queue. A task looks through it for events that concern its service, puts up to 100 of them on
record as a transaction, and sends that until it is acknowledged; then it goes on from there. Nothing is
kept for a service that is slow or down but its place in the log, and no sender ever waits for one.

A service that is seen for the first time begins at the head of the log as it is then: it is not told of
the past. From its first transaction on its place is a fact of the log, so that it survives every restart.

Where: application service API, "Pushing events".
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeAlias

from eventlog.log import Position
from projections import appservices, timeline
from projections.appservices import AppserviceTransaction
from projections.facts import Fact, Order, RoomEvent, end_of, position_of
from server.appservices.connection import Connection, Unreachable
from server.appservices.interest import Interest
from server.appservices.transactions import EVENTS_MAX, BeginTransaction, begin_transaction, content_of
from server.errors import MatrixError
from server.homeserver import Homeserver
from server.writer import Writer

Pause: TypeAlias = Callable[[float], Awaitable[None]]

SECONDS_TO_ANSWER = 60.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0
_DOUBLINGS_MAX = 20
"""Beyond the longest pause anyway; without a limit the number grows until no float can hold it."""
_BYTES_MAX = 1 << 20
"""Of events in a transaction, as stored: the event that passes it is the last."""
_ENTRIES_LOOKED_AT_MAX = 500
"""Without a pause for others: 2 ms."""
ENTRIES_UNRECORDED_MAX = 10_000
"""After so many entries without anything for a service, its place is put on record all the same: that is
how much of the log is looked through again after a restart."""

_log = logging.getLogger("roomlog.appservices")


class _Looked(NamedTuple):
    """A piece of the log, looked through."""

    orders: tuple[Order, ...]
    """Of the events in it that concern the service."""
    upto: Order
    is_head: bool


def seconds_to_pause(failures: int) -> float:
    """After so many failures in a row: 1, 2, 4 … seconds, at most five minutes."""
    return min(_FIRST_PAUSE * 2.0 ** min(failures - 1, _DOUBLINGS_MAX), _LONGEST_PAUSE)


class Delivery:
    """To one service. Used from one event loop."""

    def __init__(self, connection: Connection, homeserver: Homeserver, writer: Writer, pause: Pause) -> None:
        self._connection = connection
        self._service_id = connection.service.id
        self._homeserver = homeserver
        self._writer = writer
        self._pause = pause
        self._interest = Interest(connection.service, homeserver.server_name)
        self._news = asyncio.Event()
        with homeserver.views.read() as view:
            self._newest = appservices.newest_transaction(view, self._service_id)
        self._looked_upto = self._newest.upto if self._newest else end_of(writer.head)

    def notice(self) -> None:
        """There are events past those that were looked at."""
        self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled. Begins with the transaction of which nobody knows whether it arrived."""
        newest = self._newest or await self._begin(())
        await self._deliver(newest)
        while True:
            self._news.clear()
            looked = self._look()
            self._looked_upto = looked.upto
            unrecorded = position_of(looked.upto) - position_of(newest.upto)
            if looked.orders or unrecorded >= ENTRIES_UNRECORDED_MAX:
                newest = await self._begin(looked.orders)
                await self._deliver(newest)
            elif looked.is_head:
                await self._news.wait()
            else:
                await asyncio.sleep(0)

    def _look(self) -> _Looked:
        """Through the next piece of the log: to its head, or as much as is enough for one turn."""
        orders: list[Order] = []
        size = 0
        with self._homeserver.views.read() as view:
            head = self._writer.head
            until = min(head, position_of(self._looked_upto) + _ENTRIES_LOOKED_AT_MAX)
            for found in timeline.events_between(view, self._looked_upto, until):
                if self._interest.concerns(view, found):
                    orders.append(found.order)
                    size += len(found.stored)
                if len(orders) == EVENTS_MAX or size > _BYTES_MAX:
                    return _Looked(tuple(orders), found.order, is_head=False)
            return _Looked(tuple(orders), end_of(until), is_head=until == head)

    async def _begin(self, orders: tuple[Order, ...]) -> AppserviceTransaction:
        """Put the next transaction on record, as soon as anything can be."""
        request = BeginTransaction(self._service_id, orders, self._looked_upto)
        failures = 0
        while True:
            try:
                return await self._writer.decide(begin_transaction, request)
            except MatrixError:  # too much waits to be written, or nothing can be
                failures += 1
                await self._pause(seconds_to_pause(failures))

    async def _deliver(self, transaction: AppserviceTransaction) -> None:
        """Return once the service has acknowledged it."""
        failures = 0
        while transaction.orders:
            trouble = await self._send(transaction)
            if trouble is None:
                break
            failures += 1
            if failures == 1:
                _log.warning(
                    "application service %s does not take transaction %d (%s); it will be tried again",
                    self._service_id,
                    transaction.number,
                    trouble,
                )
            await self._pause(seconds_to_pause(failures))
        if failures:
            _log.warning(
                "application service %s takes transactions again; %d was sent %d times",
                self._service_id,
                transaction.number,
                failures + 1,
            )

    async def _send(self, transaction: AppserviceTransaction) -> str | None:
        """What went wrong; `None` if nothing did."""
        with self._homeserver.views.read() as view:
            body = content_of(view, transaction, self._homeserver.now())
        path = f"/transactions/{transaction.number}"
        try:
            answer = await self._connection.ask("PUT", path, body, seconds=SECONDS_TO_ANSWER)
        except Unreachable as error:
            return str(error)
        return None if answer.is_success else f"status {answer.status}"


@asynccontextmanager
async def delivering(
    connections: Sequence[Connection], homeserver: Homeserver, writer: Writer, pause: Pause = asyncio.sleep
) -> AsyncIterator[None]:
    """Deliver for as long as the context lasts. At its end nothing is waited for: what is under way goes
    out again after the next start."""
    if not connections:
        yield
        return
    deliveries = [Delivery(connection, homeserver, writer, pause) for connection in connections]

    def hear(_: Position, facts: Sequence[Fact]) -> None:
        if any(isinstance(fact, RoomEvent) for fact in facts):
            for delivery in deliveries:
                delivery.notice()

    writer.listen(hear)
    tasks = [asyncio.create_task(delivery.run()) for delivery in deliveries]
    for task in tasks:
        task.add_done_callback(_complain)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _complain(task: asyncio.Task[None]) -> None:
    """A delivery ends only when it is cancelled; otherwise it met a bug, and somebody should hear of it."""
    if not task.cancelled():
        _log.critical("delivery to an application service has ended", exc_info=task.exception())
