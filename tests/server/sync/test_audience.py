"""Who waits for a room without being in it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.app import Running
from server.sync import audience as module
from server.sync.audience import Audience
from tests.harness.local_homeserver import fast_directory, local_homeserver
from tests.projections.folding import OTHER_ROOM, ROOM, room_event

pytestmark = pytest.mark.anyio

LONG = 60


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    with fast_directory() as directory:
        async with local_homeserver(directory) as running:
            yield running


@pytest.fixture
def audience(running: Running) -> Audience:
    return Audience(running.homeserver.views, head=5)


async def waiting(audience: Audience, *, after: int = 5) -> "asyncio.Task[None]":
    """Somebody who has begun to wait."""
    task = asyncio.create_task(audience.wait_for_room(ROOM, after=after, seconds=LONG))
    await asyncio.sleep(0)
    return task


async def test_an_event_of_the_room_ends_the_waiting(audience: Audience) -> None:
    first, second = await waiting(audience), await waiting(audience)
    audience.hear(6, [room_event("$1", room_id=OTHER_ROOM)])
    await asyncio.sleep(0)
    assert not first.done()
    audience.hear(7, [room_event("$2")])
    await asyncio.wait_for(asyncio.gather(first, second), LONG)


async def test_what_came_before_the_waiting_is_not_missed(audience: Audience) -> None:
    audience.hear(6, [room_event("$1")])
    await asyncio.wait_for(audience.wait_for_room(ROOM, after=5, seconds=LONG), LONG)


async def test_the_time_runs_out(audience: Audience) -> None:
    await audience.wait_for_room(ROOM, after=5, seconds=0.001)


async def test_so_many_wait_and_no_more(audience: Audience, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PEEKING_PER_ROOM_MAX", 2)
    first, second, third = [await waiting(audience) for _ in range(3)]
    await asyncio.wait_for(first, LONG)
    assert [task.done() for task in (second, third)] == [False, False]
    audience.hear(6, [room_event("$1")])
    await asyncio.wait_for(asyncio.gather(second, third), LONG)


async def test_the_end_ends_all_waiting(audience: Audience) -> None:
    task = await waiting(audience)
    audience.close()
    await asyncio.wait_for(task, LONG)
    await asyncio.wait_for(audience.wait_for_room(ROOM, after=5, seconds=LONG), LONG)
