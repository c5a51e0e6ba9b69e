"""Brings what is dirty of a large file to the disk in small pieces, with pauses in between.

A flush of it all at once stands in the way of other files: the log is flushed for every batch, and somebody
waits for each. The longer the pauses, the longer the whole takes, in which more becomes dirty; with pauses
four times as long as the pieces, a server that got 250 events a second was not done before it had to be.

The system call promises nothing about durability: whoever wants that flushes afterwards, when little is left.
Where there is none, everything is left to that flush.
"""

import ctypes
import os
import time
from pathlib import Path

_PIECE_BYTES = 256 * 1024
_PAUSE = 1
"""Times as long as the piece before it took."""
_SECONDS_IF_CLEAN = 0.0005
"""Then nothing was written, and nobody needs a pause."""
_SECONDS_MAX = 0.1
_WAIT_WRITE_WAIT = 1 | 2 | 4
"""What is being written, what is dirty, until it is there."""


def write_out(path: Path) -> None:
    """From a thread that has time."""
    try:
        sync_file_range = ctypes.CDLL(None).sync_file_range
    except AttributeError:  # not Linux
        return
    sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for offset in range(0, os.fstat(descriptor).st_size, _PIECE_BYTES):
            began = time.perf_counter()
            sync_file_range(descriptor, offset, _PIECE_BYTES, _WAIT_WRITE_WAIT)
            took = time.perf_counter() - began
            if took > _SECONDS_IF_CLEAN:
                time.sleep(min(_PAUSE * took, _SECONDS_MAX))
    finally:
        os.close(descriptor)
