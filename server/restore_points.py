"""Bounds how long a start takes after a crash of the machine: once a minute the views are put on disk.

The log is flushed with every batch, the views never: what was only in memory when the machine went down has
to be folded anew. Without a point to go back to that is the whole log. So a task beside the requests has the
views flushed by a thread, and held as they were then: see `projections.restore_points`.

Once a minute, because the kernel writes back what is dirty after half of that anyway; sooner, if the point
could not be held as long. With 1,000,000 events before it, a server that got 250 a second always had a point,
and answered 1.1 s after the crash; one that got 1,000 had none, and took 26 s (`python -m bench.recovery`).
"""

import asyncio
import errno
import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eventlog.errors import Full
from projections.views import Views
from server.writer import Writer

SECONDS_BETWEEN = (2.0, 60.0)
"""At least, and at most."""
_SHARE_WRITTEN = 0.3
"""Of what can be written before a point has to be given up: the next one is due."""
_BYTES_OF_A_BATCH, _BYTES_OF_AN_ENTRY = 13 * 4096, 3 * 4096
"""Written to the views, about: 16 pages for one event, 205 for 64 at once, with 1,000,000 before them."""

_log = logging.getLogger("roomlog.restore_points")


@asynccontextmanager
async def keeping_restore_points(
    views: Views, writer: Writer, *, seconds_between: tuple[float, float] = SECONDS_BETWEEN
) -> AsyncIterator[None]:
    """For as long as the context lasts. The first at once: what was folded at the start is in no other."""
    task = asyncio.create_task(_keep(views, writer, *seconds_between))
    task.add_done_callback(_complain)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _keep(views: Views, writer: Writer, seconds_min: float, seconds_max: float) -> None:
    loop = asyncio.get_running_loop()
    while writer.failure is None:
        until, written = loop.time() + seconds_max, _bytes_written(writer)
        point = views.restore_point()
        if point is not None:
            try:
                # Who is cancelled leaves the flush to the thread, and the point is not kept.
                await asyncio.to_thread(views.keep, point)
            except (Full, OSError) as error:
                if isinstance(error, OSError) and error.errno == errno.EIO:
                    writer.stop_writing(OSError(error.errno, error.strerror, str(views.path)))
                else:  # no room, no descriptor: perhaps the next time
                    _log.warning(
                        "no restore point was kept, so more of the log would be folded anew after a crash of "
                        "the machine: %s",
                        error,
                    )
        bytes_max = math.inf if point is None else written + _SHARE_WRITTEN * point.room_bytes
        await asyncio.sleep(seconds_min)
        while loop.time() < until:
            # Where it was given up by now, too much is written for the next one to last.
            if views.have_restore_point and _bytes_written(writer) > bytes_max:
                break
            await asyncio.sleep(seconds_min / 10)


def _complain(task: asyncio.Task[None]) -> None:
    """It ends when it is cancelled, or with the writer; otherwise it met a bug."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("no restore point will be kept any more", exc_info=task.exception())


def _bytes_written(writer: Writer) -> int:
    """To the views, about; only differences tell something."""
    return writer.batches * _BYTES_OF_A_BATCH + writer.head * _BYTES_OF_AN_ENTRY
