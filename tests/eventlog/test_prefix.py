"""A prefix of a log ends where it ends, however the log goes on."""

import pytest

from eventlog.errors import Closed
from eventlog.memory_log import MemoryLog
from eventlog.prefix import Prefix

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log() -> MemoryLog:
    log = MemoryLog()
    await log.append([b"one", b"two", b"three"], after=0)
    return log


@pytest.mark.parametrize("head", range(4))
async def test_it_reads_up_to_its_head(log: MemoryLog, head: int) -> None:
    prefix = Prefix(log, head)
    assert await prefix.head() == head
    assert [entry.position async for entry in prefix.read()] == list(range(1, head + 1))


async def test_it_reads_on_from_a_position(log: MemoryLog) -> None:
    assert [entry.payload async for entry in Prefix(log, 2).read(after=1)] == [b"two"]


async def test_it_has_the_identity_of_the_log(log: MemoryLog) -> None:
    assert Prefix(log, 2).identity == log.identity


async def test_waiting_for_what_is_there_is_short(log: MemoryLog) -> None:
    assert await Prefix(log, 2).wait(1) == 2


async def test_waiting_for_more_is_vain(log: MemoryLog) -> None:
    with pytest.raises(Closed):
        await Prefix(log, 2).wait(2)


async def test_nothing_can_be_changed(log: MemoryLog) -> None:
    prefix = Prefix(log, 3)
    with pytest.raises(Closed):
        await prefix.append([b"four"], after=3)
    with pytest.raises(Closed):
        await prefix.erase({1: b""}, ordered_by=2)
    with pytest.raises(Closed):
        await prefix.scrub()
