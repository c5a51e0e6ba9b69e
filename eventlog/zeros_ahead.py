"""Zeros on the disk, where LMDB will write next.

A flush that makes a file longer waits for the file system's journal as well as for the data; one that only
overwrites what the file has already does not. Blocks that are allocated and never written do not help, as the
first write to them is for the journal, too.

What is behind the last page means nothing to LMDB, nor to whoever checks a log. But an error here is one of
the storage like any other, after which nothing more is written.
"""

import os
from pathlib import Path

BYTES_AHEAD = 256 * 1024


class ZerosAhead:
    """Of a file that one process writes. Used from one thread, and never while LMDB commits."""

    def __init__(self, file: Path) -> None:
        """The file is kept open: by its name it could be another one later."""
        self._file = file.open("rb+", buffering=0)
        self._length = 0
        """The file is at least so long."""

    def reach(self, end: int) -> None:
        """LMDB may be about to write up to there. Raises `OSError` if it could not."""
        if end <= self._length:
            return
        length = os.fstat(self._file.fileno()).st_size
        missing = end + BYTES_AHEAD - length
        if missing > 0:
            length += os.pwrite(self._file.fileno(), bytes(missing), length)
        self._length = length

    def close(self) -> None:
        self._file.close()
