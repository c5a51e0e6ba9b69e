"""The one place that appends: decides, appends, applies, notifies.

Decisions are run one after the other, each seeing the effects of all before it, also of those in its
own batch, because they are applied at once in the still uncommitted transaction of the views. Then the
whole batch is made durable by one flush of the log, which runs in a thread while the event loop parses
the next requests. Only now do the callers get their answers, and in the same moment, before the event loop
looks at another request, the views commit; then those who follow are told. Whatever gathered meanwhile is the
next batch.

If the append fails, the transaction of the views is aborted and nobody was told anything. If it cannot
be known whether the batch is on disk, this process never writes again: `failure` is set, every write is
answered 503, and the restart finds out by reading. Why it failed, and where, is for the operator alone, in
the server's own log: clients need not know what the machine looks like inside.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeAlias, TypeVar

from eventlog.errors import Closed, Full
from eventlog.group_commit import GroupCommit, Overloaded, Settle
from eventlog.log import Position
from projections.facts import Fact, encode_entry, order_of
from projections.follower import checkpoints_at
from projections.projection import Fold
from projections.registry import PROJECTIONS
from projections.view import View
from projections.views import Update
from server.errors import ErrorCode, MatrixError
from server.homeserver import Homeserver

Answer = TypeVar("Answer")
Arguments = TypeVar("Arguments")

BATCH_MAX = 1024
"""Decisions that share a flush; bounds how long the event loop decides without a pause."""
WAITING_MAX = 16_384
"""Decisions that may wait for their turn; beyond it a request is told to come back later."""

NO_ROOM = "There is no room left to store anything; try again later."
STORAGE_FAILED = "The storage has failed. Nothing more is stored until the server was restarted."

_log = logging.getLogger("roomlog.writer")


class Turn:
    """What a decision may look at: the views as they are when its turn has come, and what is random."""

    def __init__(self, homeserver: Homeserver, view: View) -> None:
        self.server_name = homeserver.server_name
        self.now = homeserver.now()
        self.random_text = homeserver.random_text
        self.view = view


class Decided(Generic[Answer]):
    """The outcome of a decision: what is to be put on record as one entry, and what the caller is told.

    No facts: nothing happens, and the answer still waits until everything that the decision saw is durable.
    """

    __slots__ = ("answer", "facts")

    def __init__(self, answer: Answer, facts: Sequence[Fact] = ()) -> None:
        self.answer = answer
        self.facts = facts


Decision: TypeAlias = Callable[[Turn, Arguments], Decided[Answer]]
"""Reads views, touches nothing, raises `MatrixError` to refuse."""

Listener: TypeAlias = Callable[[Position, Sequence[Fact]], None]
"""Told of every entry once it is durable and its effects can be read."""

_Waiting: TypeAlias = tuple[Decision[Any, Any], Any]


class Writer:
    """Owns the order of everything. One for each log; used from one event loop."""

    def __init__(self, homeserver: Homeserver, head: Position) -> None:
        """`head` is where log and views are now."""
        self._homeserver = homeserver
        self._head = head
        self._fold = Fold(PROJECTIONS)
        self._gathering: GroupCommit[_Waiting, Any] = GroupCommit(
            self._commit_in_turn, batch_max=BATCH_MAX, waiting_max=WAITING_MAX
        )
        self._listeners: list[Listener] = []
        self._at_work = asyncio.Lock()
        self.failure: BaseException | None = None
        """Why this process no longer writes; `None` while it does."""
        self.failed = asyncio.Event()
        self._is_full = False
        self._complained = -math.inf
        # Plain numbers, for whoever looks at the metrics; but for refusals, counted once for a batch.
        self.head_at_start = head
        self.batches = 0
        """Appended since then."""
        self.append_seconds = 0.0
        """Spent in waiting for those appends, those that failed included."""
        self.refused = 0
        """Decisions that were told to come back later."""

    @property
    def head(self) -> Position:
        """The last entry that is durable and visible in the views; listeners hear of it a moment later."""
        return self._head

    @property
    def waiting(self) -> int:
        """How many decisions wait for a batch."""
        return self._gathering.waiting

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def decide(self, decision: Decision[Arguments, Answer], arguments: Arguments) -> Answer:
        """Run a decision in its turn; return its answer once its facts are durable and visible.

        Raises the decision's own `MatrixError`, or `MatrixError` 503 if it could not be put on record.
        """
        if self.failure is not None:
            raise storage_failed()
        try:
            answer: Answer = await self._gathering.submit((decision, arguments))
        except _NOT_TAKEN as error:
            raise self._not_written(error) from error
        return answer

    def hand_in(
        self,
        decision: Decision[Arguments, Answer],
        arguments: Arguments,
        settle: Callable[[Answer | BaseException], None],
    ) -> None:
        """As `decide`, but `settle` is called in the end, with the answer or with what `decide` would raise.

        Raises `MatrixError` 503 if nothing can be taken; then `settle` is not called.
        """
        if self.failure is not None:
            raise storage_failed()
        try:
            self._gathering.hand_in((decision, arguments), settle)
        except _NOT_TAKEN as error:
            raise self._not_written(error) from error

    @asynccontextmanager
    async def resting(self) -> AsyncIterator[None]:
        """While this lasts nobody writes to the views; decisions wait."""
        async with self._at_work:
            yield

    async def close(self) -> None:
        """Refuse new decisions and finish those that wait."""
        await self._gathering.close()

    async def _commit_in_turn(self, batch: Sequence[_Waiting], settle: Settle[Any]) -> None:
        async with self._at_work:
            try:
                await self._commit(batch, settle)
            except Full as error:
                raise self._not_written(error) from error

    async def _commit(self, batch: Sequence[_Waiting], settle: Settle[Any]) -> None:
        if self.failure is not None:  # these were waiting when it came
            raise storage_failed()
        update = self._homeserver.views.update()
        try:
            outcomes, entries = self._decide_all(update, batch)
            payloads = [encode_entry(facts) for facts in entries]
            update.view.flush()
        except Exception:
            update.abort()
            if len(batch) == 1:
                raise
            # A fold or an encoder has a bug that one of these requests met: let only that one fail.
            settle([outcome for waiting in batch for outcome in await self._commit_alone(waiting)])
            return
        await self._append(update, payloads)
        # Told from the event loop, so that who waits for an answer of this batch goes on before all those
        # who only follow along: with 100 of them waiting a send took 10 ms, of which 9 were theirs.
        telling = asyncio.get_running_loop().call_soon(self._tell, self._head, entries)
        try:
            settle(outcomes)
        finally:  # whoever is told, the views have to follow the log
            self._show(update, self._head + len(entries), telling)

    def _show(self, update: Update, head: Position, telling: asyncio.Handle) -> None:
        try:
            update.commit(checkpoints_at(head))
        except Exception as error:  # what is on disk has been acknowledged; the restart will show it
            telling.cancel()
            update.abort()
            self.stop_writing(error)
        else:
            self._head = head

    def _tell(self, before: Position, entries: Sequence[Sequence[Fact]]) -> None:
        for position, facts in enumerate(entries, before + 1):
            for listener in self._listeners:
                listener(position, facts)

    async def _commit_alone(self, waiting: _Waiting) -> Sequence[Any]:
        outcomes: list[Any] = []
        try:
            await self._commit([waiting], outcomes.extend)
        except Full as error:
            return [self._not_written(error)]
        except Exception as error:
            return [error]
        return outcomes

    def _decide_all(
        self, update: Update, batch: Sequence[_Waiting]
    ) -> tuple[list[Any], list[Sequence[Fact]]]:
        """One outcome (an answer or an exception) for each request, and the entries of those that succeed."""
        outcomes: list[Any] = []
        entries: list[Sequence[Fact]] = []
        turn = Turn(self._homeserver, update.view)
        for decision, arguments in batch:
            try:
                decided = decision(turn, arguments)
            except Exception as error:
                outcomes.append(error)
                continue
            if decided.facts:
                entries.append(decided.facts)
                position = self._head + len(entries)
                update.view.append(position, decided.facts)
                self._fold.apply(update.view, order_of(position), decided.facts)
            outcomes.append(decided.answer)
        return outcomes, entries

    async def _append(self, update: Update, payloads: Sequence[bytes]) -> None:
        """Make a batch durable. Raises `Full`, or `MatrixError` 503 if nobody knows whether it is."""
        if not payloads:
            return
        began = time.perf_counter()
        try:
            await self._homeserver.log.append(payloads, after=self._head)
        except Full:
            update.abort()
            raise
        except Exception as error:
            update.abort()
            self.stop_writing(error)
            raise storage_failed() from error
        finally:
            self.append_seconds += time.perf_counter() - began
        self.batches += 1
        if self._is_full:
            self._is_full = False
            _log.warning("there is room on the disk again")

    def stop_writing(self, error: Exception) -> None:
        """The storage has failed, here or under the views: never write again."""
        _log.critical("the log cannot be written any more: %s", error)
        self.failure = error
        self.failed.set()

    def _not_written(self, reason: BaseException) -> MatrixError:
        """What is told of it; what is the matter with the storage, only the operator is."""
        if isinstance(reason, Overloaded):
            self.refused += 1
            message = "Too many requests are waiting to be written; try again in a moment."
            return MatrixError(ErrorCode.UNAVAILABLE, message)
        if isinstance(reason, Full):
            self._complain_of_a_full_disk(reason)
            return MatrixError(ErrorCode.UNAVAILABLE, NO_ROOM)
        if self.failure is not None:
            return storage_failed()
        return MatrixError(ErrorCode.UNAVAILABLE, "The server is stopping.")

    def _complain_of_a_full_disk(self, error: Full) -> None:
        """Once, and not again before there was room; nor so often, where there is room now and then."""
        if not self._is_full and time.monotonic() - self._complained > _SECONDS_BETWEEN_COMPLAINTS:
            self._is_full, self._complained = True, time.monotonic()
            _log.error("nothing can be stored: %s. Requests are answered 503 until there is room", error)


_SECONDS_BETWEEN_COMPLAINTS = 60
_NOT_TAKEN = (Closed, Overloaded)


def storage_failed() -> MatrixError:
    """What everybody is told once the log cannot be written any more."""
    return MatrixError(ErrorCode.UNAVAILABLE, STORAGE_FAILED)
