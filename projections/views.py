"""The store under every view: typed tables in an LMDB environment of its own, beside the log.

Views are disposable. They commit *without* a flush, after the log was flushed; measured on 2 cores and
ext4, three random-key indexes in one synced environment with the log cost 13 times its throughput,
because each random key dirties a page and syncing those is what costs. What that owes is told here:

* A killed process loses nothing, the page cache stays, and LMDB writes its meta page last.
* After a crash of the machine, unsynced pages cannot be trusted at all. So the kernel's boot id is
  noted, durably, before the first write and taken away after a clean close; if a note of another boot
  is found, the views go back to the last state that was flushed and held (`RestorePoint`), and are folded
  on from there; where there is none, they are thrown away and folded anew.
* Nor can a copy that was made while they were open, which has pages of different times: with the boot id
  stands the inode of the file.
* LMDB writes through its map, which saves a copy and a system call for each page: 9 of the 50 µs that
  deciding and keeping a message took. On a full disk such a write would end the process, so the blocks
  are allocated ahead, and a disk that has none left is `Full` before an update begins.
* Views belong to one log. Its identity stands in the same environment; views of another log are dropped.

The checkpoint (how far the log was folded) is written in the same transaction as what was folded.
"""

import hashlib
import mmap
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from eventlog.lmdb_restore_point import go_back, remove_restore_point
from eventlog.lmdb_scrub import is_read_by_others, scrub
from eventlog.log import Position
from eventlog.writing_out import flush
from projections.entries import Entries, Source
from projections.restore_points import RestorePoint, RestorePoints, full_if_there_is_no_room
from projections.row_memory import RowMemories
from projections.tables import Table
from projections.view import ReadView, WritableView

NOTE_OF_THE_BOOT = "opened-in-boot"
"""A file that is there while they are open, or were when the process was killed or the machine went down."""
RESTORE_POINT = "restore-point"
"""A file that tells to what they come back after a crash of the machine, if to anything."""

_FORMAT = b"4"
_MAP_SIZE_FIRST = 1 << 28
"""Address space, not memory, nor disk beyond what is allocated. The map is doubled when it is half full."""
_TABLES_MAX = 128
_PAGE_BYTES = mmap.PAGESIZE
"""LMDB takes the system's."""
_BYTES_AHEAD = 4 << 20
"""Allocated at once, and what LMDB may need besides for its own tables."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READERS_MAX = 126
"""Readers are the server's event loop, which holds one at a time, and people at the command line."""


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """How far one projection has come, and by which version of its fold."""

    version: int
    position: Position


_META: Table[bytes] = Table("meta", bytes)
_CHECKPOINTS: Table[dict[str, Checkpoint]] = Table("checkpoints", dict[str, Checkpoint])


class Update:
    """The open write transaction; everything in it is kept by `commit` or dropped by `abort`."""

    def __init__(self, transaction: lmdb.Transaction, view: WritableView) -> None:
        self._transaction = transaction
        self.view = view

    def checkpoints(self) -> dict[str, Checkpoint]:
        return self.view.get(_CHECKPOINTS, _CHECKPOINTS.name.encode()) or {}

    def commit(self, checkpoints: Mapping[str, Checkpoint]) -> None:
        """Keep what was written, together with how far the log was folded to write it."""
        self.view.put(_CHECKPOINTS, _CHECKPOINTS.name.encode(), dict(checkpoints))
        self.view.commit()

    def abort(self) -> None:
        self._transaction.abort()


class Views:
    """All tables of all projections, owned by one process, used from one thread.

    Reads never span an `await`: an open reader keeps LMDB from reusing pages, and the file grows.
    """

    def __init__(
        self,
        path: Path,
        tables: Sequence[Table[Any]],
        log: Source,
        *,
        read_only: bool = False,
        map_size: int = _MAP_SIZE_FIRST,
    ) -> None:
        """Open the views of `log` in `path`, empty ones if there are none that can be trusted.

        Raises `Full` if the disk has no room for them, `FileNotFoundError` if `read_only` and there are no
        such views of this log.
        """
        self.path = path
        self._read_only = read_only
        self._tables = sorted(tables, key=lambda table: table.name)
        self._file = path / "data.mdb"
        self._note = path / NOTE_OF_THE_BOOT
        self._restore_point_note = path / RESTORE_POINT
        is_restored = False
        if read_only:
            self._refuse_what_cannot_be_read()
        else:
            is_restored = self._restore_or_discard_what_a_crash_left()
        self._map_size_least = map_size
        self._open(is_restored=is_restored)
        if not self._belong_to(log.identity):
            self._begin_anew(log.identity)
        self._log = log
        self._memories = RowMemories({})
        self._entries = Entries(log, remembers=False)

    def _open(self, *, is_restored: bool) -> None:
        if not self._read_only:
            self._note_that_they_are_open()
        self._used_bytes = self._allocated_bytes = 0
        self._environment = lmdb.open(
            str(self.path),
            map_size=_map_size_for(self.path, self._map_size_least),
            max_dbs=_TABLES_MAX,
            max_readers=_READERS_MAX,
            max_spare_txns=2,
            readonly=self._read_only,
            mode=0o600,  # private messages are in it
            readahead=False,
            sync=False,
            writemap=not self._read_only,
        )
        # Before anything is written, which would be written over the pages of the point.
        self._restore_points = RestorePoints(
            self._environment, self._file, self._restore_point_note, is_restored=is_restored
        )
        if not self._read_only:
            self._make_room(0, 0)  # making the tables is writing through the map, too
        self._handles = self._open_tables()

    def read(self) -> ReadView:
        """The views as of the last commit. Copy out what is needed; do not hold it across an `await`."""
        return ReadView(self._environment, self._handles, self._memories, self._entries)

    def update(self) -> Update:
        """Begin the write transaction; there is one at a time. End it by `commit` or `abort`.

        Raises `Full` if the disk has no room for it.
        """
        self._grow_before_it_is_full()
        transaction = self._environment.begin(write=True)
        view = WritableView(transaction, self._handles, self._memories, self._entries, self._make_room)
        return Update(transaction, view)

    def remember(self) -> None:
        """Keep decoded what is read and written from now on; who serves is asked for the same time and again.

        A fold is no faster with it, and would leave its last rows in memory, the more the longer the log, for
        nobody. And who only reads is not told of what the owner commits, and must not remember anything.
        """
        self._memories = RowMemories({table.name: table.remembered for table in self._tables})
        self._entries = Entries(self._log)

    def forget_entry(self, position: Position) -> None:
        """What stands there in the log was replaced."""
        self._entries.forget(position)

    def checkpoints(self) -> dict[str, Checkpoint]:
        with self.read() as view:
            return view.get(_CHECKPOINTS, _CHECKPOINTS.name.encode()) or {}

    @property
    def have_restore_point(self) -> bool:
        return self._restore_points.is_there

    def restore_point(self) -> RestorePoint | None:
        """The views as of the last commit, held for `keep`; `None` if they are what is kept already."""
        return self._restore_points.take(self._handles.values())

    def keep(self, point: RestorePoint) -> None:
        """Flush the views, and from now on come back to this point after a crash of the machine.

        From another thread: it takes as long as the disk needs for all that has changed since the last time.
        Does nothing if the point was given up meanwhile: by `scrub`, because the file grew too long, or
        because the views were closed. Raises `Full` if there is no room for the note that tells of it, and
        `OSError` if the storage fails.
        """
        self._restore_points.keep(point)

    def scrub(self) -> bool:
        """Overwrite whatever the file keeps of rows that are gone; from any thread, while there is no update.

        There is no restore point after that, which would have them, until the next one is kept.

        False if somebody looks at an older state, from another process: try again later then.
        """
        self._restore_points.give_up()
        self._environment.reader_check()  # of readers that were killed
        if is_read_by_others(self._environment.readers(), self._environment.info()["last_txnid"]):
            return False
        scrub(self._file)
        return True

    def digest(self) -> str:
        """SHA-256 over every row of every table: equal for equal views, on every machine."""
        hasher = hashlib.sha256()
        with self._environment.begin() as transaction:
            for table in self._tables:
                hasher.update(b"table %d %s" % (len(table.name), table.name.encode()))
                for at, data in transaction.cursor(self._handles[table.name]):
                    hasher.update(b"row %d %d " % (len(at), len(data)))
                    hasher.update(at)
                    hasher.update(data)
        return hasher.hexdigest()

    def close(self) -> None:
        """Flush and close; only now can the views be trusted after the machine was switched off."""
        if self._read_only:
            self._environment.close()
            return
        self._restore_points.close()
        self._environment.sync(True)
        used = (self._environment.info()["last_pgno"] + 1) * _PAGE_BYTES
        self._environment.close()
        # While it is open the file is as long as its map, most of it without blocks. Let it be as long as
        # what is in it, for whoever copies it with a tool that does not know holes.
        os.truncate(self._file, used)
        self._note.unlink(missing_ok=True)
        self._restore_point_note.unlink(missing_ok=True)
        flush(self.path)

    def abandon(self) -> None:
        """Close without a word of trust, as a crash would; what was committed is still in the page cache."""
        self._restore_points.close()
        self._environment.close()

    def _is_left_by_a_crash(self) -> bool:
        """Were they open when the machine went down, or when they were copied?

        Where the kernel does not tell, they may have been.
        """
        return self._note.exists() and self._note.read_text() != self._words_of_note()

    def _words_of_note(self) -> str | None:
        boot_id = _boot_id()
        return f"{boot_id} {self._file.stat().st_ino}" if boot_id and self._file.exists() else None

    def _note_that_they_are_open(self) -> None:
        self._file.touch(mode=0o600)
        self._note.write_text(self._words_of_note() or "")
        flush(self._note)
        flush(self.path)

    def _refuse_what_cannot_be_read(self) -> None:
        if not self._file.exists():
            raise FileNotFoundError(
                f"there are no views in {self.path}: start the server once, or rebuild them"
            )
        if self._is_left_by_a_crash():
            raise FileNotFoundError(
                f"the views in {self.path} were open when the machine went down, or when they were copied: "
                "start the server once"
            )

    def _open_tables(self) -> dict[str, Any]:
        try:
            return {
                table.name: self._environment.open_db(table.name.encode(), create=not self._read_only)
                for table in (*self._tables, _META, _CHECKPOINTS)
            }
        except lmdb.NotFoundError:
            self._environment.close()
            raise FileNotFoundError(
                f"the views in {self.path} are of another version of this program: start the server once"
            ) from None

    def _restore_or_discard_what_a_crash_left(self) -> bool:
        """Answers whether they are at their restore point, which stays good for as long as it is held."""
        is_left_by_a_crash = self._is_left_by_a_crash()
        is_restored = is_left_by_a_crash and go_back(self._file, self._restore_point_note)
        if not is_restored:
            # What a killed process left is newer, and nobody holds the point: it is written over from now on.
            remove_restore_point(self._restore_point_note)
            if is_left_by_a_crash:
                shutil.rmtree(self.path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the log's own
        return is_restored

    def _belong_to(self, identity: str) -> bool:
        """Are they views of this log, in a form that is known here?"""
        handle = self._handles[_META.name]
        with self._environment.begin() as transaction:
            return all(
                transaction.get(name, db=handle) == _META.encode(value)
                for name, value in _expected(identity).items()
            )

    def _begin_anew(self, identity: str) -> None:
        """Without the file there was, which may have tables in it that nobody knows any more."""
        self._environment.close()
        if self._read_only:
            raise FileNotFoundError(
                f"the views in {self.path} belong to another log, or are of another version of this "
                "program: start the server once, or rebuild them"
            )
        remove_restore_point(self._restore_point_note)
        self._file.unlink()
        self._open(is_restored=False)
        handle = self._handles[_META.name]
        with self._environment.begin(write=True) as transaction:
            for name, value in _expected(identity).items():
                transaction.put(name, _META.encode(value), db=handle)

    def _grow_before_it_is_full(self) -> None:
        info = self._environment.info()
        used = (info["last_pgno"] + 1) * _PAGE_BYTES
        self._restore_points.let_grow(used)
        if used * 2 > info["map_size"]:
            self._restore_points.give_up()  # their readers would be ended, and nobody held them
            # Safe here and only here: this thread has no transaction open between two updates.
            self._environment.set_mapsize(info["map_size"] * 2)
        self._used_bytes = used
        self._make_room(0, 0)

    def _make_room(self, rows: int, row_bytes: int) -> None:
        """Have blocks for so many rows of this update. Raises `Full` if the disk has none."""
        # In the worst case a row needs a copy of its page, but no page is copied twice, and it is split.
        copied = min(rows * _PAGE_BYTES, self._used_bytes)
        needed = self._used_bytes + _BYTES_AHEAD + copied + 2 * row_bytes
        if needed <= self._allocated_bytes:
            return
        until = needed + _BYTES_AHEAD
        with self._file.open("rb+") as file, full_if_there_is_no_room(self.path):
            os.posix_fallocate(file.fileno(), 0, until)
        self._allocated_bytes = until


def _expected(identity: str) -> Mapping[bytes, bytes]:
    return {b"format": _FORMAT, b"identity": identity.encode()}


def _map_size_for(path: Path, least: int) -> int:
    data = path / "data.mdb"
    return max(least, data.stat().st_size if data.exists() else 0)


def _boot_id() -> str:
    """Differs after every start of the machine; empty where the kernel does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
