"""Group commit: what arrives during one commit is the next batch, whatever becomes of the callers."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.errors import Closed
from eventlog.group_commit import GroupCommit, Overloaded, Settle

pytestmark = pytest.mark.anyio


class Storage:
    """Commits when it is told to, and notes in which batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began = asyncio.Semaphore(0)
        self._released = asyncio.Semaphore(0)

    async def commit(self, batch: Sequence[int], settle: Settle[int]) -> None:
        self.batches.append(list(batch))
        self.began.release()
        await self._released.acquire()
        settle([ValueError(item) if item < 0 else item * 10 for item in batch])

    def release(self, commits: int = 1000) -> None:
        for _ in range(commits):
            self._released.release()


@pytest.fixture
def storage() -> Storage:
    return Storage()


@pytest.fixture
def gathering(storage: Storage) -> GroupCommit[int, int]:
    return GroupCommit(storage.commit, batch_max=4, waiting_max=8)


async def submit(gathering: GroupCommit[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Submit without waiting for the outcome; returns once all are in the queue."""
    tasks = [asyncio.create_task(gathering.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def submit_under_way(
    storage: Storage, gathering: GroupCommit[int, int], *items: int
) -> list[asyncio.Task[int]]:
    """Submit, and return once they are being committed."""
    tasks = await submit(gathering, *items)
    await storage.began.acquire()
    return tasks


async def test_a_single_item_is_committed_at_once(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    storage.release()
    assert await gathering.submit(1) == 10
    assert storage.batches == [[1]]


async def test_each_item_gets_its_own_result(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    storage.release()
    assert await asyncio.gather(*map(gathering.submit, [1, 2, 3])) == [10, 20, 30]


async def test_what_gathers_meanwhile_is_the_next_batch(
    storage: Storage, gathering: GroupCommit[int, int]
) -> None:
    tasks = await submit_under_way(storage, gathering, 1)
    tasks += await submit(gathering, 2, 3)
    tasks += await submit(gathering, 4)
    storage.release()
    await asyncio.gather(*tasks)
    assert storage.batches == [[1], [2, 3, 4]]


async def test_who_comes_while_the_loop_is_busy_shares_the_next_batch(
    storage: Storage, gathering: GroupCommit[int, int]
) -> None:
    """One in each round of the loop, as answers bring the next requests, of which each takes its time."""
    loop = asyncio.get_running_loop()
    all_are_answered = asyncio.Event()

    def come(numbers: list[int]) -> None:
        gathering.hand_in(numbers[0], lambda _: all_are_answered.set())
        if numbers[1:]:
            loop.call_soon(come, numbers[1:])

    storage.release()
    gathering.hand_in(0, lambda _: come([1, 2, 3]))
    await all_are_answered.wait()
    assert storage.batches == [[0], [1, 2, 3]]


async def test_a_crowd_that_never_ends_does_not_hold_up_a_batch() -> None:
    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        settle(batch)

    async def come_one_after_the_other() -> None:
        while not second.done():
            coming.append(asyncio.create_task(gathering.submit(len(coming))))
            await asyncio.sleep(0)

    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=1_000, waiting_max=1_000)
    coming: list[asyncio.Task[int]] = []
    first = asyncio.create_task(gathering.submit(-2))
    second = asyncio.create_task(gathering.submit(-1))
    async with asyncio.timeout(10):
        await asyncio.gather(first, come_one_after_the_other(), *coming)


async def test_one_batch_is_committed_at_a_time(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    tasks = await submit_under_way(storage, gathering, 1)
    tasks += await submit(gathering, 2)
    assert storage.batches == [[1]]
    storage.release()
    await asyncio.gather(*tasks)


async def test_a_batch_has_a_largest_size(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    tasks = await submit_under_way(storage, gathering, 0)
    tasks += await submit(gathering, *range(1, 8))
    storage.release()
    await asyncio.gather(*tasks)
    assert storage.batches == [[0], [1, 2, 3, 4], [5, 6, 7]]


async def test_one_exception_fails_one_item(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    storage.release()
    results = await asyncio.gather(*map(gathering.submit, [1, -2, 3]), return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (10, ValueError, 30)


async def test_a_failed_commit_fails_its_batch_alone() -> None:
    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        if 1 in batch:
            raise OSError("disk")
        settle(batch)

    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=4, waiting_max=8)
    results = await asyncio.gather(gathering.submit(1), gathering.submit(2), return_exceptions=True)
    assert [type(result) for result in results] == [OSError, OSError]
    assert await gathering.submit(3) == 3


async def test_a_missing_result_fails_the_batch() -> None:
    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        settle(batch[1:])

    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=4, waiting_max=8)
    with pytest.raises(RuntimeError, match="0 results for 1 items"):
        await gathering.submit(1)


async def test_a_commit_that_settles_nothing_fails_its_batch() -> None:
    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        pass

    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=4, waiting_max=8)
    with pytest.raises(RuntimeError, match="no results for 1 items"):
        await gathering.submit(1)


async def test_who_is_settled_does_not_wait_for_the_rest_of_the_commit_and_the_next_batch_does() -> None:
    events: list[str] = []

    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        events.append(f"{batch} begins")
        settle(batch)
        await is_told.wait()
        events.append(f"{batch} ends")

    is_told = asyncio.Event()
    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=1, waiting_max=8)
    first, second = await submit(gathering, 1, 2)
    await first
    events.append("1 is answered")
    is_told.set()
    await second
    assert events[:4] == ["[1] begins", "1 is answered", "[1] ends", "[2] begins"]


async def test_too_many_waiting_are_refused(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    tasks = await submit_under_way(storage, gathering, 0)
    tasks += await submit(gathering, *range(1, 9))
    with pytest.raises(Overloaded):
        await gathering.submit(9)
    storage.release()
    await asyncio.gather(*tasks)
    assert await gathering.submit(9) == 90


async def test_a_cancelled_caller_does_not_disturb_its_batch(
    storage: Storage, gathering: GroupCommit[int, int]
) -> None:
    first, second = await submit_under_way(storage, gathering, 1, 2)
    first.cancel()
    storage.release()
    assert await second == 20
    assert first.cancelled()


async def test_a_cancelled_item_not_yet_taken_is_dropped(
    storage: Storage, gathering: GroupCommit[int, int]
) -> None:
    tasks = await submit_under_way(storage, gathering, 1)
    second, third = await submit(gathering, 2, 3)
    second.cancel()
    storage.release()
    await asyncio.gather(*tasks, third)
    assert storage.batches == [[1], [3]]


async def test_closing_settles_what_was_taken(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    tasks = await submit_under_way(storage, gathering, 1)
    tasks += await submit(gathering, 2)
    closing = asyncio.create_task(gathering.close())
    storage.release()
    await closing
    assert [task.result() for task in tasks] == [10, 20]


async def test_closed_means_no_more_items(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    await gathering.close()
    with pytest.raises(Closed):
        await gathering.submit(1)
    assert storage.batches == []


async def test_nothing_runs_at_rest(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    storage.release()
    before = asyncio.all_tasks()
    await gathering.submit(1)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


@given(
    turns=st.lists(st.integers(0, 7), max_size=20),
    batch_max=st.integers(1, 5),
    waiting_max=st.integers(7, 30),
)
async def test_every_item_is_settled_in_order(turns: list[int], batch_max: int, waiting_max: int) -> None:
    """Some items arrive in each turn of the loop; a commit takes a turn."""
    committed: list[int] = []

    async def commit(batch: Sequence[int], settle: Settle[int]) -> None:
        assert 1 <= len(batch) <= batch_max
        await asyncio.sleep(0)
        committed.extend(batch)
        settle(batch)

    gathering: GroupCommit[int, int] = GroupCommit(commit, batch_max=batch_max, waiting_max=waiting_max)
    tasks: list[asyncio.Task[int]] = []
    for arriving in turns:
        tasks += await submit(gathering, *range(len(tasks), len(tasks) + arriving))
    await gathering.close()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    taken = [item for item, outcome in enumerate(outcomes) if not isinstance(outcome, Overloaded)]
    assert committed == taken == [outcome for outcome in outcomes if isinstance(outcome, int)]


# Who has nothing to wait with


async def test_who_hands_in_is_told_the_result(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    told: list[int | BaseException] = []
    for item in (1, 2):
        gathering.hand_in(item, told.append)
    storage.release()
    await gathering.submit(3)
    assert told == [10, 20]


async def test_who_hands_in_is_told_of_failures(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    told: list[int | BaseException] = []
    gathering.hand_in(-1, told.append)
    storage.release()
    await gathering.close()
    assert [str(outcome) for outcome in told] == ["-1"]


async def test_handing_in_counts_as_waiting(storage: Storage, gathering: GroupCommit[int, int]) -> None:
    for item in range(8):
        gathering.hand_in(item, lambda _: None)
    with pytest.raises(Overloaded):
        gathering.hand_in(8, lambda _: None)
    storage.release()
    await gathering.close()


async def test_nothing_can_be_handed_in_after_closing(gathering: GroupCommit[int, int]) -> None:
    await gathering.close()
    with pytest.raises(Closed):
        gathering.hand_in(1, lambda _: None)
