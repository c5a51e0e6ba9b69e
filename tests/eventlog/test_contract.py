"""The contract, the same for every engine. A new engine is one more line in `ADDRESSES`."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.engines import open_log
from eventlog.envelope import NO_PREVIOUS, seal
from eventlog.errors import Closed, Conflict
from eventlog.log import Entry, Erased, Log, Position
from projections.dictionary import entry_dictionary

pytestmark = pytest.mark.anyio

ADDRESSES = {
    "memory": "memory:",
    "lmdb": "lmdb:{directory}",
    "compressed": "lmdb:{directory}",
}
DICTIONARIES = {"compressed": entry_dictionary()}


@pytest.fixture(params=ADDRESSES)
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    async with opened(request.param, tmp_path) as log:
        yield log


def opened(engine: str, directory: Path) -> AbstractAsyncContextManager[Log]:
    address = ADDRESSES[engine].format(directory=directory)
    return open_log(address, dictionary=DICTIONARIES.get(engine, b""))


async def read(log: Log, *, after: Position = 0) -> list[Entry]:
    return [entry async for entry in log.read(after=after)]


async def payloads(log: Log, *, after: Position = 0) -> list[bytes]:
    return [entry.payload for entry in await read(log, after=after)]


async def until_waiting(task: asyncio.Task[Position]) -> None:
    """Give the task its turns; what it waits for after that is not going to come by itself."""
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()


async def test_an_empty_log_has_head_zero(log: Log) -> None:
    assert await log.head() == 0
    assert await read(log) == []


async def test_append_returns_the_position_of_the_last(log: Log) -> None:
    assert await log.append([b"a", b"b", b"c"], after=0) == 3
    assert await log.append([b"d"], after=3) == 4
    assert await log.head() == 4


async def test_positions_follow_without_gaps(log: Log) -> None:
    head = 0
    for size in (1, 2, 3, 300):
        head = await log.append([b"x"] * size, after=head)
    assert [entry.position for entry in await read(log)] == list(range(1, 307))


async def test_read_gives_what_was_appended(log: Log) -> None:
    await log.append([b"one", b"", bytes(range(256)), b"x" * 1_000_000], after=0)
    assert await payloads(log) == [b"one", b"", bytes(range(256)), b"x" * 1_000_000]


async def test_read_begins_past_after(log: Log) -> None:
    await log.append([b"a", b"b", b"c"], after=0)
    assert await payloads(log, after=1) == [b"b", b"c"]


@pytest.mark.parametrize("after", [2, 3, 1000])
async def test_read_past_the_head_yields_nothing(log: Log, after: Position) -> None:
    await log.append([b"a", b"b"], after=0)
    assert await payloads(log, after=after) == []


async def test_read_ends_at_what_was_there(log: Log) -> None:
    await log.append([b"a", b"b"], after=0)
    reading = log.read()
    await log.append([b"too late"], after=2)
    assert [entry.payload async for entry in reading] == [b"a", b"b"]


async def test_appending_while_reading_is_possible(log: Log) -> None:
    head = await log.append([b"x"] * 600, after=0)
    seen = 0
    async for _ in log.read():
        head = await log.append([b"y"], after=head)
        seen += 1
    assert (seen, head) == (600, 1200)


async def test_an_empty_batch_writes_nothing(log: Log) -> None:
    await log.append([b"a"], after=0)
    assert await log.append([], after=1) == 1
    assert await log.head() == 1


async def test_an_empty_batch_can_conflict(log: Log) -> None:
    await log.append([b"a"], after=0)
    with pytest.raises(Conflict):
        await log.append([], after=0)


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_a_conflict_writes_nothing(log: Log, after: Position) -> None:
    await log.append([b"a", b"b"], after=0)
    with pytest.raises(Conflict) as raised:
        await log.append([b"c", b"d"], after=after)
    assert (raised.value.expected, raised.value.head) == (after, 2)
    assert await payloads(log) == [b"a", b"b"]


async def test_one_of_two_rivals_wins(log: Log) -> None:
    outcomes = await asyncio.gather(
        log.append([b"a"], after=0), log.append([b"b"], after=0), return_exceptions=True
    )
    [conflict] = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert conflict.head == 1
    assert len(await payloads(log)) == 1


async def test_an_append_survives_its_caller(log: Log) -> None:
    appending = asyncio.ensure_future(log.append([b"a"], after=0))
    await asyncio.sleep(0)
    appending.cancel()
    assert await log.wait(0) == 1
    assert await log.append([b"b"], after=1) == 2


async def test_entries_carry_digest_and_chain(log: Log) -> None:
    await log.append([b"a", b"b"], after=0)
    await log.append([b"c"], after=2)
    chain = NO_PREVIOUS
    for entry, payload in zip(await read(log), [b"a", b"b", b"c"], strict=True):
        _, chain = seal(entry.position, payload, chain)
        assert (entry.digest, entry.chain) == (hashlib.sha256(payload).digest(), chain)


async def test_an_erased_payload_is_replaced(log: Log) -> None:
    await log.append([b"a", b"secret", b"c", b"order"], after=0)
    before = await read(log)
    await log.erase({2: b"public"}, ordered_by=4)
    after = await read(log)
    assert [entry.payload for entry in after] == [b"a", b"public", b"c", b"order"]
    assert [(e.digest, e.chain) for e in after] == [(e.digest, e.chain) for e in before]
    assert after[1].erased == Erased(b"public", before[1].digest, len(b"secret"), ordered_by=4)
    assert [entry.erased for entry in after if entry.position != 2] == [None] * 3


async def test_erasing_again_changes_nothing(log: Log) -> None:
    await log.append([b"secret", b"order"], after=0)
    await log.erase({1: b"public"}, ordered_by=2)
    erased = await read(log)
    await log.erase({1: b"public"}, ordered_by=2)
    assert await read(log) == erased


async def test_what_was_erased_can_be_erased_further(log: Log) -> None:
    await log.append([b"two secrets", b"order", b"order"], after=0)
    [digest, *_] = [entry.digest for entry in await read(log)]
    await log.erase({1: b"one secret"}, ordered_by=2)
    await log.erase({1: b"none"}, ordered_by=3)
    [entry, *_] = await read(log)
    assert entry.erased == Erased(b"none", digest, len(b"two secrets"), ordered_by=3)


@pytest.mark.parametrize(("position", "ordered_by"), [(0, 2), (2, 2), (2, 1), (1, 3), (3, 4)])
async def test_erasing_takes_a_later_entry_that_is_there(
    log: Log, position: Position, ordered_by: Position
) -> None:
    await log.append([b"secret", b"order"], after=0)
    with pytest.raises(ValueError, match=r"^entry \d cannot order"):
        await log.erase({1: b"public", position: b"public"}, ordered_by=ordered_by)
    assert await payloads(log) == [b"secret", b"order"]


async def test_an_erased_entry_can_be_appended_to_another_log(log: Log, tmp_path: Path) -> None:
    await log.append([b"secret", b"order"], after=0)
    await log.erase({1: b"public"}, ordered_by=2)
    entries = await read(log)
    async with open_log(f"lmdb:{tmp_path / 'another'}") as another:
        await another.append([entry.erased or entry.payload for entry in entries], after=0)
        assert await read(another) == entries


async def test_a_log_goes_on_after_scrubbing(log: Log) -> None:
    await log.append([b"secret", b"order"], after=0)
    await log.erase({1: b"public"}, ordered_by=2)
    assert await log.scrub()
    assert await log.append([b"c"], after=2) == 3
    assert await payloads(log) == [b"public", b"order", b"c"]


async def test_wait_returns_at_once_if_past(log: Log) -> None:
    await log.append([b"a", b"b"], after=0)
    assert await log.wait(0) == 2


async def test_an_append_wakes_everyone_who_waits(log: Log) -> None:
    waiting = [asyncio.ensure_future(log.wait(0)) for _ in range(3)]
    await until_waiting(waiting[0])
    await log.append([b"a"], after=0)
    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_wait_goes_on_until_past(log: Log) -> None:
    waiting = asyncio.ensure_future(log.wait(1))
    await log.append([b"a"], after=0)
    await until_waiting(waiting)
    await log.append([b"b"], after=1)
    assert await waiting == 2


async def test_closing_ends_waiting(log: Log) -> None:
    waiting = asyncio.ensure_future(log.wait(0))
    await until_waiting(waiting)
    await log.close()
    with pytest.raises(Closed):
        await waiting


async def test_closing_finishes_the_append_under_way(log: Log) -> None:
    appending = asyncio.ensure_future(log.append([b"a"], after=0))
    await asyncio.sleep(0)
    await log.close()
    assert await appending == 1


async def test_a_closed_log_refuses_every_call(log: Log) -> None:
    await log.append([b"a"], after=0)
    reading = log.read()
    await log.close()
    erasing = (log.erase({}, ordered_by=1), log.scrub())
    for call in (log.append([b"b"], after=1), log.head(), log.wait(1), anext(reading), *erasing):
        with pytest.raises(Closed):
            await call
    with pytest.raises(Closed):
        log.read()


async def test_a_payload_is_looked_up_by_its_position(log: Log) -> None:
    head = await log.append([b"first", b"second " * 100, b""], after=0)
    found = [log.payload_at(position) for position in range(1, head + 1)]
    assert found == [b"first", b"second " * 100, b""]


@pytest.mark.parametrize("position", [0, 3])
async def test_where_there_is_no_entry_none_is_looked_up(log: Log, position: Position) -> None:
    await log.append([b"first", b"second"], after=0)
    with pytest.raises(LookupError, match=f"there is no entry {position}"):
        log.payload_at(position)


async def test_what_is_looked_up_once_it_was_erased_is_what_stands_there(log: Log) -> None:
    await log.append([b"secret " * 30, b"order"], after=0)
    await log.erase({1: b"gone"}, ordered_by=2)
    assert log.payload_at(1) == b"gone"


async def test_nothing_is_looked_up_in_a_closed_log(log: Log) -> None:
    await log.append([b"first"], after=0)
    await log.close()
    with pytest.raises(Closed):
        log.payload_at(1)


async def test_closing_twice_is_harmless(log: Log) -> None:
    await asyncio.gather(log.close(), log.close())
    await log.close()


async def test_a_log_has_an_identity_of_its_own(log: Log, tmp_path: Path) -> None:
    async with open_log(f"lmdb:{tmp_path / 'another'}") as another:
        assert len({log.identity, another.identity, ""}) == 3


BATCHES = st.lists(st.tuples(st.lists(st.binary(max_size=3000), max_size=5), st.integers(0, 12)), max_size=12)


@pytest.mark.parametrize("engine", ADDRESSES)
@settings(max_examples=30, deadline=None)
@given(attempts=BATCHES)
async def test_a_log_behaves_like_a_list(engine: str, attempts: list[tuple[list[bytes], int]]) -> None:
    """`after` hits the head now and then: those batches are in, the others are not."""
    model: list[bytes] = []
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = await stack.enter_async_context(opened(engine, directory))
        for batch, after in attempts:
            try:
                assert await log.append(batch, after=min(after, len(model))) == len(model) + len(batch)
                model += batch
            except Conflict:
                assert min(after, len(model)) != len(model)
            assert await log.head() == len(model)
        assert await payloads(log) == model
