"""A crash of the machine, as far as a server can tell at its next start, and the point that it goes back to.

Nothing is lost of what the kernel has in memory; whether enough had reached the disk, `roomlog torture` asks.
"""

import os
import time
from pathlib import Path

from bench.processes import Failed
from eventlog.lmdb_file import DATA_FILE
from projections.views import NOTE_OF_THE_BOOT, RESTORE_POINT
from server.config import log_path, views_path

_SECONDS_TO_WAIT = 60


def crash(data: Path) -> None:
    """As if the machine had gone down while a server ran, which was killed just now."""
    restart_the_machine(views_path(data))
    with (log_path(data) / DATA_FILE).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def restart_the_machine(views: Path) -> None:
    """As far as these views can tell. Raises `FileNotFoundError` if nobody had them open."""
    note = views / NOTE_OF_THE_BOOT
    if not note.exists():
        raise FileNotFoundError(f"{note}: whoever has views open has it there")
    note.write_text("another boot of this machine")


def restore_point(data: Path) -> Path:
    """What notes it; there is none while the file is not there."""
    return views_path(data) / RESTORE_POINT


def wait_for_restore_point(data: Path) -> None:
    """Every server begins with one. Raises `Failed` if this one does not."""
    deadline = time.monotonic() + _SECONDS_TO_WAIT
    while not restore_point(data).exists():
        if time.monotonic() > deadline:
            raise Failed(f"no {restore_point(data)} after {_SECONDS_TO_WAIT} s")
        time.sleep(0.01)
