"""Whoever hangs up is not waited for."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from server.http.waiting import while_connected

pytestmark = pytest.mark.anyio


def request_that(hangs_up: asyncio.Event) -> Request:
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in messages:
            return message
        await hangs_up.wait()
        return {"type": "http.disconnect"}

    return Request({"type": "http", "method": "GET", "path": "/", "headers": []}, receive)


async def test_what_is_done_in_time_is_answered() -> None:
    async def work() -> str:
        return "news"

    assert await while_connected(request_that(hangs_up=asyncio.Event()), work()) == "news"


async def test_who_is_told_answers_in_the_same_round() -> None:
    """Of the event loop: nobody who asks meanwhile comes between those who are told of the same news."""
    news = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await news

    task = asyncio.create_task(while_connected(request_that(hangs_up=asyncio.Event()), work()))
    await asyncio.sleep(0)
    news.set_result(None)
    await asyncio.sleep(0)
    assert task.done()


async def test_work_ends_when_the_client_hangs_up() -> None:
    hangs_up, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        hangs_up.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ClientDisconnect):
        await while_connected(request_that(hangs_up), work())
    await asyncio.wait_for(ended.wait(), timeout=5)


async def test_a_refusal_reaches_the_client() -> None:
    async def work() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await while_connected(request_that(hangs_up=asyncio.Event()), work())


async def test_a_stop_is_not_taken_for_a_hang_up() -> None:
    task = asyncio.create_task(
        while_connected(request_that(hangs_up=asyncio.Event()), asyncio.Event().wait())
    )
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("rounds", range(6))
async def test_who_hangs_up_while_the_answer_is_there_cancels_nothing_else(rounds: int) -> None:
    """However many rounds of the event loop lie between the two."""
    hangs_up = asyncio.Event()

    async def work() -> str:
        await asyncio.sleep(0)  # so that it is heard when the client hangs up
        hangs_up.set()
        for _ in range(rounds):
            await asyncio.sleep(0)
        return "news"

    async def answered() -> str:
        try:
            answer = await while_connected(request_that(hangs_up), work())
        except ClientDisconnect:
            answer = "gone"
        for _ in range(6):
            await asyncio.sleep(0)
        return answer

    assert await asyncio.create_task(answered()) in ("news", "gone")
