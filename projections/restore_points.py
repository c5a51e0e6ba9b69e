"""What a crash of the machine leaves of the views: the last of their states that was held and flushed.

LMDB writes over no page that a reader can see. So a reader is opened at a state, the file is flushed, and
where that state begins is noted beside it (`eventlog.lmdb_restore_point`). From then on the views can come
back to it, until the next one has been kept in the same way and its reader is ended.

What it costs: while there is the reader, LMDB uses no page again that was in use since. A batch of 64 sends
takes some 200 pages (1,000,000 events before it), so under full load the file would grow by 13 kB an event.
Therefore its length is bounded. If the next point is not kept before the file is as long, both are given up,
and a crash of the machine before the one after that costs a fold of the whole log.
"""

import errno
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb

from eventlog.errors import Full
from eventlog.lmdb_meta import read_raw
from eventlog.lmdb_restore_point import remove_restore_point, write_restore_point
from eventlog.writing_out import flush, write_out

_SHARE_HELD_MAX = 0.25
"""Of what is in use, which the file may become longer: log and views stay below 1,000 bytes an event."""
_BYTES_HELD = 16 << 20
"""Which the file may become longer in any case."""


class RestorePoint(NamedTuple):
    """The views as of one commit, whose pages stay as they are while the reader is open."""

    reader: "lmdb.Transaction[bytes]"
    transaction: int
    raw_meta: bytes
    file_bytes_max: int
    """If the file becomes longer, the point is given up."""
    room_bytes: int
    """What can be written before that: the longer file, and what is free in it."""


class RestorePoints:
    """Of an open environment. The one that is kept, and the next one, which is not flushed yet."""

    def __init__(self, environment: lmdb.Environment, file: Path, note: Path, *, is_restored: bool) -> None:
        """`is_restored`: the environment is as of the point that the note is about."""
        self._environment = environment
        self._page_bytes = environment.stat()["psize"]
        self._file = file
        self._note = note
        self._deciding = threading.Lock()
        """Is it still wanted? Taken for moments; not while the file is flushed."""
        self._next: RestorePoint | None = None
        self._kept = self._hold(self._file_bytes()) if is_restored else None

    @property
    def is_there(self) -> bool:
        """Can the views come back to one?"""
        return self._kept is not None

    def take(self, tables: Iterable[Any]) -> RestorePoint | None:
        """Hold the state of the last commit, for `keep`; `None` if it is what is kept already."""
        kept = self._kept
        if kept is not None and kept.transaction == self._environment.info()["last_txnid"]:
            return None
        with self._environment.begin() as reader:
            trees = [reader.stat(table) for table in tables]
        pages = sum(tree["branch_pages"] + tree["leaf_pages"] + tree["overflow_pages"] for tree in trees)
        with self._deciding:
            self._next = self._hold(pages * self._page_bytes)
            return self._next

    def keep(self, point: RestorePoint) -> None:
        """Flush the file, and from now on come back to this point; see `Views.keep`."""
        try:
            write_out(self._file)
            flush(self._file)
            with self._deciding:
                if point is self._next:
                    self._put_down(point)
        except BaseException:
            with self._deciding:
                if point is self._next:
                    self._next = None
                    point.reader.abort()
            raise

    def _put_down(self, point: RestorePoint) -> None:
        with full_if_there_is_no_room(self._note):
            write_restore_point(self._note, self._file, point.raw_meta)
        before, self._kept, self._next = self._kept, point, None
        if before is not None:
            before.reader.abort()

    def let_grow(self, file_bytes: int) -> None:
        """Give them up if the file has become too long on their account."""
        points = [point for point in (self._kept, self._next) if point is not None]
        if points and file_bytes > max(point.file_bytes_max for point in points):
            self.give_up()

    def give_up(self) -> None:
        """Let LMDB write over all pages again. First the note goes, durably."""
        with self._deciding:
            remove_restore_point(self._note)
            for point in (self._kept, self._next):
                if point is not None:
                    point.reader.abort()
            self._kept = self._next = None

    def close(self) -> None:
        """What is kept stays, as after a crash; nothing is kept any more, since nobody would hold it."""
        with self._deciding:
            self._next = None

    def _hold(self, bytes_in_use: int) -> RestorePoint:
        reader = self._environment.begin()
        transaction = reader.id()
        room = int(_SHARE_HELD_MAX * bytes_in_use) + _BYTES_HELD
        # The file may be longer already: then some of it is free, and perhaps enough.
        file_bytes_max = max(self._file_bytes(), bytes_in_use + room)
        return RestorePoint(
            reader,
            transaction,
            read_raw(self._file, transaction),
            file_bytes_max,
            room_bytes=file_bytes_max - bytes_in_use,
        )

    def _file_bytes(self) -> int:
        return (self._environment.info()["last_pgno"] + 1) * self._page_bytes


@contextmanager
def full_if_there_is_no_room(path: Path) -> Iterator[None]:
    """Raises `Full` where the disk has no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Full(f"{path}: no room for the views on the disk") from error
