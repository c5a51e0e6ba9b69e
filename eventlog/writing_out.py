"""Makes what was written durable: at once, or what is dirty of a large file in small pieces before that.

A flush of all of a large file stands in the way of other files: the log is flushed for every batch, and
somebody waits for each. Hence the pieces, and pauses between them. The longer the pauses, the longer the
whole takes, in which more becomes dirty.

The system call for pieces promises nothing about durability: whoever wants that flushes afterwards, when
little is left. Where there is none, everything is left to that flush.
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


def flush(path: Path) -> None:
    """A file's content, or the names in a directory: flushing a file does not do that for its own name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_out(path: Path) -> None:
    """Leave little of a file for the flush that is to follow. From a thread that has time."""
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
