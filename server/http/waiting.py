"""Answers that take their time: whoever hangs up while waiting is not waited for any longer.

An abandoned long poll would otherwise be woken, and its answer put together, until its time is up.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

Answer = TypeVar("Answer")


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """The outcome of the work. Raises `ClientDisconnect`, and ends the work, once the client has gone.

    For requests without a body, or whose body has been read.
    """
    working = asyncio.current_task()
    assert working is not None
    is_working, is_gone = True, False

    def give_up(_: object) -> None:
        nonlocal is_gone
        if is_working:
            is_gone = True
            working.cancel()

    gone = asyncio.ensure_future(_until_gone(request))
    gone.add_done_callback(give_up)
    try:
        return await work
    except asyncio.CancelledError:
        # Somebody else may have cancelled this task as well.
        if is_gone and not working.uncancel():
            raise ClientDisconnect from None
        raise
    finally:
        is_working = False
        gone.cancel()


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
