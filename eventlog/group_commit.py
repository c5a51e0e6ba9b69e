"""Many callers share one commit: whoever arrives while one is under way goes into the next.

A flush costs the same for one item as for sixty-four. So nobody waits on purpose for company, and
nobody flushes alone in a crowd: at rest an item is committed at once, by itself; under load the
batches grow by themselves to what arrives during one commit. Knows neither logs nor Matrix: what
an item is, and what committing means, is up to the `commit` it is given.

Who just got an answer is likely to come again soon, and while the event loop is busy with those who come, a
commit would only take the processor from them. So between two batches there are rounds of the loop for as
long as each brings somebody, and a few at most.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from eventlog.errors import Closed

Item = TypeVar("Item")
Result = TypeVar("Result")

Settle: TypeAlias = Callable[[Sequence[Result | BaseException]], None]
"""Takes one result or exception for each item of a batch, in their order, and tells who waits for them."""

_ROUNDS_MAX = 8
"""A round reads what has arrived on each connection. In fewer than these a crowd is back, if it comes."""


class Overloaded(Exception):
    """As many items wait as may wait; this one was not taken and nothing happened to it."""


class _Waiting(NamedTuple, Generic[Item, Result]):
    item: Item
    settle: Callable[[Result | BaseException], None]
    outcome: asyncio.Future[Result] | None
    """Of a caller that waits for it, and may give up."""

    @property
    def is_wanted(self) -> bool:
        return self.outcome is None or not self.outcome.cancelled()


class GroupCommit(Generic[Item, Result]):
    """Gathers items into batches and commits one batch at a time, in order of arrival.

    `commit` settles the items that it is given as soon as they are safe. What it does after that nobody waits
    for but the next batch. If it raises instead, every item of its batch gets that exception. Belongs to the
    event loop it is used on.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item], Settle[Result]], Awaitable[None]],
        *,
        batch_max: int,
        waiting_max: int,
    ) -> None:
        self._commit = commit
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many items wait for a batch; those of the batch under way are none of them."""
        return len(self._waiting)

    async def submit(self, item: Item) -> Result:
        """Return what `commit` answered for this item.

        A caller that is cancelled leaves its batch alone: an item that was not yet taken is
        dropped, one that was is committed and its result goes nowhere.

        Raises `Overloaded` if `waiting_max` items wait already, `Closed` after `close`.
        """
        outcome: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._take(_Waiting(item, partial(_settle, outcome), outcome))
        return await outcome

    def hand_in(self, item: Item, settle: Callable[[Result | BaseException], None]) -> None:
        """The same for who has nothing to wait with: `settle` is called with the result, or what was raised.

        It must not raise. Saves a future, and a task that has to wake up for it.
        """
        self._take(_Waiting(item, settle, None))

    def _take(self, waiting: _Waiting[Item, Result]) -> None:
        if self._closed:
            raise Closed("no more items: closing")
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded(f"{len(self._waiting)} items are waiting already")
        self._waiting.append(waiting)
        if self._runner is None:
            self._runner = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Take no more items, and return once all that were taken are settled."""
        self._closed = True
        if self._runner is not None:
            await asyncio.shield(self._runner)

    async def _run(self) -> None:
        try:
            while batch := self._take_batch():
                await self._commit_batch(batch)
                await self._gather()
        finally:
            self._runner = None
            for waiting in self._waiting:  # only if this task was cancelled
                waiting.settle(asyncio.CancelledError())
            self._waiting.clear()

    async def _gather(self) -> None:
        for _ in range(_ROUNDS_MAX):
            waiting = len(self._waiting)
            await asyncio.sleep(0)
            if len(self._waiting) == waiting:
                break

    def _take_batch(self) -> list[_Waiting[Item, Result]]:
        batch: list[_Waiting[Item, Result]] = []
        while self._waiting and len(batch) < self._batch_max:
            waiting = self._waiting.popleft()
            if waiting.is_wanted:
                batch.append(waiting)
        return batch

    async def _commit_batch(self, batch: list[_Waiting[Item, Result]]) -> None:
        unsettled = batch

        def settle(results: Sequence[Result | BaseException]) -> None:
            nonlocal unsettled
            if len(results) != len(unsettled):
                raise RuntimeError(f"commit gave {len(results)} results for {len(unsettled)} items")
            settled, unsettled = unsettled, []
            for waiting, result in zip(settled, results, strict=True):
                waiting.settle(result)

        try:
            await self._commit([waiting.item for waiting in batch], settle)
            if unsettled:
                raise RuntimeError(f"commit gave no results for {len(unsettled)} items")
        except asyncio.CancelledError as cancelled:
            settle([cancelled] * len(unsettled))
            raise
        except Exception as error:
            if not unsettled:
                raise
            settle([error] * len(unsettled))


def _settle(outcome: asyncio.Future[Result], result: Result | BaseException) -> None:
    if outcome.cancelled():
        return
    if isinstance(result, asyncio.CancelledError):
        outcome.cancel()
    elif isinstance(result, BaseException):
        outcome.set_exception(result)
    else:
        outcome.set_result(result)
