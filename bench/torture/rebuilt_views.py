"""The proof that ends every trial and test of a whole server: the views it left are what its log folds to.

The same comparison as `roomlog rebuild --verify`, in the process of who asks. It works on a copy and leaves
the data as they are: whoever starts the server again finds what the last one left.
"""

import asyncio
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eventlog.engines import open_log
from eventlog.log import Log
from projections.follower import catch_up, open_views, rebuild
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.views import NOTE_OF_THE_BOOT
from server.config import log_url, views_path


class ViewsDiffer(AssertionError):
    """Somebody who followed the log saw something else than who reads it from the beginning."""


def assert_views_are_as_rebuilt(data: Path) -> None:
    """Raise `ViewsDiffer` if the views in a data directory that nobody serves are not those of its log.

    Views that lag behind, as those of a killed server may, are brought to the head first.
    """
    with tempfile.TemporaryDirectory(dir=data.parent, prefix="views-compared-") as directory:
        followed, rebuilt = Path(directory) / "followed", Path(directory) / "rebuilt"
        # The file of a killed server is as long as its map; `shutil` would write all of its holes out.
        subprocess.run(["cp", "-r", "--sparse=always", views_path(data), followed], check=True)
        # Nobody writes to them: the copy is whole, and not one of views that are open.
        (followed / NOTE_OF_THE_BOOT).unlink(missing_ok=True)
        # In a thread: who calls may have an event loop running.
        with ThreadPoolExecutor(max_workers=1) as elsewhere:
            elsewhere.submit(lambda: asyncio.run(_compare(data, followed, rebuilt))).result()


async def _compare(data: Path, followed: Path, rebuilt: Path) -> None:
    async with open_log(log_url(data), read_only=True) as log:
        for path, bring_to_head in ((followed, catch_up), (rebuilt, rebuild)):
            views = open_views(path, log)
            await bring_to_head(log, views)
            views.abandon()
        if _digest(log, followed) == _digest(log, rebuilt):
            return
        differing = [
            projection.name
            for projection in PROJECTIONS
            if _digest(log, followed, [projection]) != _digest(log, rebuilt, [projection])
        ]
    raise ViewsDiffer(f"rebuilt from the log, these views are others: {', '.join(differing)}")


def _digest(log: Log, path: Path, projections: Sequence[Projection] = PROJECTIONS) -> str:
    views = open_views(path, log, projections=projections)
    try:
        return views.digest()
    finally:
        views.abandon()
