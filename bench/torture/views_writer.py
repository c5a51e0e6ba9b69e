"""A process that folds a log into views and keeps restore points, and what a power cut has left of them.

    python -m bench.torture.views_writer VIEWS SEED --log DATA [--unsafe-no-flush]
    python -m bench.torture.views_writer VIEWS SEED --log DATA --after-the-cut

The first waits for a line on its standard input, as `log_writer` does, and then prints the position of each
restore point that is kept: a line says that the views will not come back to less. It folds 64 entries at a
time, as a server under load, while a thread flushes. The second opens what is left as the next start of the
machine would, and folds on from there; it prints where the views came back to, and their digest in the end.
"""

import argparse
import asyncio
import os
import random
import sys
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import msgspec

from eventlog.engines import open_log
from eventlog.log import Position
from projections import restore_points
from projections.facts import decode_entry, order_of
from projections.follower import catch_up, checkpoints_at, open_views
from projections.projection import Fold
from projections.registry import PROJECTIONS
from projections.views import Views
from server.config import log_url

MODULE = "bench.torture.views_writer"
_ENTRIES_PER_UPDATE = 64
_UPDATES_PER_POINT = (2, 8)


class CameBack(msgspec.Struct, frozen=True):
    """Of the views after a crash of the machine."""

    to: Position
    """Where they were, before anything was folded anew."""
    digest: str
    """At the end of the log."""


async def write(path: Path, seed: int, data: Path) -> None:
    """Fold the log, and then wait to be killed."""
    updates = random.Random(seed)
    async with open_log(log_url(data), read_only=True) as log:
        views, fold = open_views(path, log), Fold(PROJECTIONS)
        keeping = asyncio.create_task(_keep(views, 0))
        left, update = 0, views.update()
        async for entry in log.read():
            fold.apply(update.view, order_of(entry.position), decode_entry(entry.payload))
            if entry.position % _ENTRIES_PER_UPDATE:
                continue
            update.commit(checkpoints_at(entry.position))
            left -= 1
            if left <= 0:
                await keeping
                left = updates.randint(*_UPDATES_PER_POINT)
                keeping = asyncio.create_task(_keep(views, entry.position))
            await asyncio.sleep(0)
            update = views.update()
        await asyncio.Event().wait()


async def _keep(views: Views, position: Position) -> None:
    point = views.restore_point()
    assert point is not None
    await asyncio.to_thread(views.keep, point)
    assert views.have_restore_point, "it was given up, though it was not held for long"
    os.write(1, b"%d\n" % position)


async def look_at(path: Path, data: Path) -> CameBack:
    async with open_log(log_url(data), read_only=True) as log:
        views = open_views(path, log)
        position = min((checkpoint.position for checkpoint in views.checkpoints().values()), default=0)
        await catch_up(log, views)
        digest = views.digest()
        views.abandon()
    return CameBack(position, digest)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--unsafe-no-flush", action="store_true")
    parser.add_argument("--after-the-cut", action="store_true")
    given = parser.parse_args()
    if given.after_the_cut:
        sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(look_at(given.path, given.log))))
        return
    if not sys.stdin.readline():
        return  # whoever was to give the sign is gone
    with ExitStack() as careless:
        if given.unsafe_no_flush:
            for name in ("write_out", "flush"):
                careless.enter_context(patch.object(restore_points, name, lambda path: None))
        asyncio.run(write(given.path, given.seed, given.log))


if __name__ == "__main__":
    main()
