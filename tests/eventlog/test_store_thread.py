"""One thread for a store: calls in order, outcomes on the event loop, whoever still waits for them."""

import asyncio
import threading

import pytest

from eventlog.store_thread import StoreThread

pytestmark = pytest.mark.anyio


async def test_calls_are_made_in_order_on_one_thread() -> None:
    thread, seen = StoreThread("test"), list[tuple[int, int]]()
    await asyncio.gather(
        *(
            thread.call(lambda number=number: seen.append((number, threading.get_ident())))  # type: ignore[misc]
            for number in range(100)
        )
    )
    thread.end()
    assert [number for number, _ in seen] == [*range(100)]
    assert len({ident for _, ident in seen}) == 1


async def test_what_a_call_raises_is_raised_to_the_caller() -> None:
    thread = StoreThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(lambda: "goes on") == "goes on"
    thread.end()


async def test_a_caller_that_gives_up_does_not_stop_the_call() -> None:
    thread, may_go_on, ended = StoreThread("test"), threading.Event(), asyncio.Event()
    waiting = thread.call(may_go_on.wait, after=ended.set)
    waiting.cancel()
    may_go_on.set()
    await asyncio.wait_for(ended.wait(), timeout=10)
    assert waiting.cancelled()
    thread.end()


async def test_others_hear_of_it_before_the_caller_goes_on() -> None:
    thread, order = StoreThread("test"), list[str]()
    await thread.call(lambda: order.append("called"), after=lambda: order.append("after"))
    order.append("caller")
    thread.end()
    assert order == ["called", "after", "caller"]


async def test_what_was_taken_is_done_before_the_end() -> None:
    thread, seen = StoreThread("test"), list[int]()
    calls = [thread.call(lambda: seen.append(1)) for _ in range(10)]
    thread.end()
    await asyncio.gather(*calls)
    assert len(seen) == 10
