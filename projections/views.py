"""The store under every view: typed tables in an LMDB environment of its own, beside the log.

Views are disposable. They commit *without* a flush, after the log was flushed; measured on 2 cores and
ext4, three random-key indexes in one synced environment with the log cost 13 times its throughput,
because each random key dirties a page and syncing those is what costs. What that owes is told here:

* A killed process loses nothing, the page cache stays, and LMDB writes its meta page last.
* After a crash of the machine, unsynced pages cannot be trusted at all. So the kernel's boot id is
  noted, durably, before the first write and taken away after a clean close; if a note of another boot
  is found, the views are thrown away and folded anew.
* LMDB writes through its map, which saves a copy and a system call for each page: 9 of the 50 µs that
  deciding and keeping a message took. On a full disk such a write would end the process, so the blocks
  are allocated ahead, and a disk that has none left is `Full` before an update begins.
* Views belong to one log. Its identity stands in the same environment; views of another log are dropped.

The checkpoint (how far the log was folded) is written in the same transaction as what was folded.
"""

import errno
import hashlib
import mmap
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lmdb
import msgspec

from eventlog.errors import Full
from eventlog.lmdb_scrub import is_read_by_others, scrub
from eventlog.log import Position
from projections.entries import Entries, Source
from projections.facts import Fact, Order, index_of, position_of
from projections.row_memory import ROW_BYTES_MAX, RowMemories
from projections.tables import Key, Table, Value

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


class View:
    """The tables as of one transaction, for reading."""

    _transaction: lmdb.Transaction

    def __init__(self, handles: Mapping[str, Any], memories: RowMemories, entries: Entries) -> None:
        self._handles = handles
        self._memories = memories
        self._entries = entries
        self._commits = memories.commits

    def facts_at(self, position: Position) -> Sequence[Fact]:
        """The facts of an entry of the log. Raises `LookupError` if there is none."""
        return self._entries.facts_at(position)

    def fact_at(self, order: Order) -> Fact:
        """Raises `LookupError` if there is none."""
        return self._entries.fact_at(order)

    def get(self, table: Table[Value], at: Key) -> Value | None:
        memory = self._memories.of_table.get(table.name)
        if memory is None or self._memories.commits != self._commits:
            data = self._transaction.get(at, db=self._handles[table.name])
            return None if data is None else table.decode(data)
        found: Value | None = memory.rows.get(at)
        if found is None:
            data = self._transaction.get(at, db=self._handles[table.name])
            if data is None:
                return None
            found = table.decode(data)
            if len(data) <= ROW_BYTES_MAX:
                memory.remember(at, found)
        return found

    def scan(
        self,
        table: Table[Value],
        prefix: Key = b"",
        *,
        after: Key | None = None,
        before: Key | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[Key, Value]]:
        """Rows whose key begins with `prefix`, in the order of keys or backwards.

        `after` and `before` are whole keys and exclusive. Do not write to the table while scanning it.
        """
        with self._transaction.cursor(self._handles[table.name]) as cursor:
            found = _seek_last(cursor, prefix, before) if reverse else _seek_first(cursor, prefix, after)
            rows = cursor.iterprev() if reverse else cursor.iternext()
            for at, data in cast(Iterator[tuple[bytes, bytes]], rows) if found else ():
                if not at.startswith(prefix):
                    return
                if reverse and after is not None and at <= after:
                    return
                if not reverse and before is not None and at >= before:
                    return
                yield at, table.decode(data)

    def count(self, table: Table[Any]) -> int:
        """How many rows a table has; costs the same for any number of them."""
        return self._transaction.stat(self._handles[table.name])["entries"]

    def last(
        self, table: Table[Value], prefix: Key, *, before: Key | None = None
    ) -> tuple[Key, Value] | None:
        """The last row under `prefix` short of `before`."""
        return next(self.scan(table, prefix, before=before, reverse=True), None)


def _seek_first(cursor: lmdb.Cursor, prefix: Key, after: Key | None) -> bool:
    if after is None or after < prefix:
        return cursor.set_range(prefix)
    return cursor.set_range(after) and (cursor.key() != after or cursor.next())


def _seek_last(cursor: lmdb.Cursor, prefix: Key, before: Key | None) -> bool:
    end = _following(prefix)
    if before is not None and (end is None or before < end):
        end = before
    if end is not None and cursor.set_range(end):
        return cursor.prev()
    return cursor.last()


def _following(prefix: Key) -> Key | None:
    """The least key that is greater than every key with this prefix; `None` if there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


class ReadView(View):
    """What a reader looks at, until the end of its `with`. No transaction is begun before it is needed."""

    def __init__(
        self,
        environment: lmdb.Environment,
        handles: Mapping[str, Any],
        memories: RowMemories,
        entries: Entries,
    ) -> None:
        super().__init__(handles, memories, entries)
        self._environment = environment

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        transaction = self.__dict__.pop("_transaction", None)
        # LMDB keeps a reader's slot for as long as anybody refers to its transaction.
        if transaction is not None:
            transaction.abort()

    def __getattr__(self, name: str) -> Any:
        if name != "_transaction":
            raise AttributeError(name)
        self._transaction = self._environment.begin()
        return self._transaction


_GONE: Any = object()
"""Stands for a row that the update deleted; `None` is a value that rows can have."""


class WritableView(View):
    """The tables within the one write transaction; what is written is seen by its own later reads.

    Writes are gathered and handed to LMDB together, each table's in the order of keys: before a scan of the
    table, and before the end. A row that is written ten times in a batch, as a room's last event is, is then
    encoded and written once.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction,
        handles: Mapping[str, Any],
        memories: RowMemories,
        entries: Entries,
        make_room: Callable[[int, int], None],
    ) -> None:
        super().__init__(handles, memories, entries)
        self._transaction = transaction
        self._make_room = make_room
        self._rows = self._row_bytes = 0
        self._written: dict[str, _Written] = {}
        self._appended: dict[Position, Sequence[Fact]] = {}

    def append(self, position: Position, facts: Sequence[Fact]) -> None:
        """An entry that is folded before the log has it; it has to be there when the update is committed."""
        self._appended[position] = facts

    def facts_at(self, position: Position) -> Sequence[Fact]:
        return self._appended.get(position) or super().facts_at(position)

    def fact_at(self, order: Order) -> Fact:
        appended = self._appended.get(position_of(order))
        return super().fact_at(order) if appended is None else appended[index_of(order)]

    def get(self, table: Table[Value], at: Key) -> Value | None:
        written = self._written.get(table.name)
        if written is not None:
            found: Value | None = written.unflushed.get(at)
            if found is None:
                found = written.flushed.get(at)
            if found is not None:
                return None if found is _GONE else found
            if written.is_cleared:
                return None
        return super().get(table, at)

    def put(self, table: Table[Value], at: Key, value: Value) -> None:
        written = self._written.get(table.name)
        if written is None:
            written = self._written[table.name] = _Written(table)
        written.unflushed[at] = value

    def delete(self, table: Table[Value], at: Key) -> bool:
        """Was there a row to delete?"""
        written = self._written.setdefault(table.name, _Written(table))
        existed = self._exists(written, at)
        written.unflushed[at] = _GONE
        return existed

    def clear(self, table: Table[Any]) -> None:
        self._transaction.drop(self._handles[table.name], delete=False)
        self._written[table.name] = _Written(table, is_cleared=True)

    def scan(
        self,
        table: Table[Value],
        prefix: Key = b"",
        *,
        after: Key | None = None,
        before: Key | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[Key, Value]]:
        if table.name in self._written:
            self._flush(self._written[table.name])
        return super().scan(table, prefix, after=after, before=before, reverse=reverse)

    def count(self, table: Table[Any]) -> int:
        if table.name in self._written:
            self._flush(self._written[table.name])
        return super().count(table)

    def flush(self) -> None:
        """Hand everything to LMDB, which may refuse it: better before than while it is committed."""
        for written in self._written.values():
            self._flush(written)

    def commit(self) -> None:
        """Keep what was written, on disk some time later and in memory at once."""
        self.flush()
        self._transaction.commit()
        self._memories.commits += 1
        for name, memory in self._memories.of_table.items():
            written = self._written.get(name)
            if written is None:
                continue
            if written.is_cleared:
                memory.rows.clear()
            for at, value in written.flushed.items():
                if value is _GONE or at in written.long:
                    memory.forget(at)
                else:
                    memory.remember(at, value)
        for position, facts in self._appended.items():
            self._entries.remember(position, facts)

    def _exists(self, written: "_Written", at: Key) -> bool:
        for rows in (written.unflushed, written.flushed):
            if at in rows:
                return rows[at] is not _GONE
        handle = self._handles[written.table.name]
        return not written.is_cleared and self._transaction.get(at, db=handle) is not None

    def _flush(self, written: "_Written") -> None:
        unflushed, table = written.unflushed, written.table
        if not unflushed:
            return
        handle, encode = self._handles[table.name], table.encode
        rows: list[tuple[Key, bytes]] = []
        for at in sorted(unflushed):
            value = unflushed[at]
            if value is _GONE:
                self._transaction.delete(at, db=handle)
            else:
                rows.append((at, encode(value)))
        written.flushed.update(unflushed)
        unflushed.clear()
        if not rows:
            return
        if table.remembered:
            written.long.update(at for at, data in rows if len(data) > ROW_BYTES_MAX)
        self._rows += len(rows)
        self._row_bytes += sum([len(data) for _, data in rows])
        self._make_room(self._rows, self._row_bytes)
        with self._transaction.cursor(handle) as cursor:
            # Behind all others no place has to be looked for, and pages are filled to the end.
            is_behind = not cursor.last() or bytes(cursor.key()) < rows[0][0]
            cursor.putmulti(rows, append=is_behind)


class _Written:
    """What an update wrote to one table: the last value of each row, or that it is gone."""

    __slots__ = ("flushed", "is_cleared", "long", "table", "unflushed")

    def __init__(self, table: Table[Any], *, is_cleared: bool = False) -> None:
        self.table = table
        self.is_cleared = is_cleared
        self.unflushed: dict[Key, Any] = {}
        """What LMDB has not been told of yet."""
        self.flushed: dict[Key, Any] = {}
        self.long: set[Key] = set()
        """Rows that are too long to be remembered."""


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
        self._note = path / "opened-in-boot"
        if read_only:
            self._refuse_what_cannot_be_read()
        else:
            self._discard_what_a_crash_left()
        self._map_size_least = map_size
        self._used_bytes = self._allocated_bytes = 0
        self._open()
        if not self._belong_to(log.identity):
            self._begin_anew(log.identity)
        self._log = log
        self._memories = RowMemories({})
        self._entries = Entries(log, remembers=False)

    def _open(self) -> None:
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

    def scrub(self) -> bool:
        """Overwrite whatever the file keeps of rows that are gone; from any thread, while there is no update.

        False if somebody looks at an older state, from another process: try again later then.
        """
        self._environment.reader_check()  # of readers that were killed
        if is_read_by_others(self._environment.readers(), self._environment.info()["last_txnid"]):
            return False
        scrub(self.path / "data.mdb")
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
        self._environment.sync(True)
        used = (self._environment.info()["last_pgno"] + 1) * _PAGE_BYTES
        self._environment.close()
        # While it is open the file is as long as its map, most of it without blocks. Let it be as long as
        # what is in it, for whoever copies it with a tool that does not know holes.
        os.truncate(self.path / "data.mdb", used)
        self._note.unlink(missing_ok=True)
        _flush(self.path)

    def abandon(self) -> None:
        """Close without a word of trust, as a crash would; what was committed is still in the page cache."""
        self._environment.close()

    def _is_left_by_a_crash(self) -> bool:
        """Were they open when the machine went down? Where the kernel does not tell, they may have been."""
        return self._note.exists() and self._note.read_text() != (_boot_id() or None)

    def _refuse_what_cannot_be_read(self) -> None:
        if not (self.path / "data.mdb").exists():
            raise FileNotFoundError(
                f"there are no views in {self.path}: start the server once, or rebuild them"
            )
        if self._is_left_by_a_crash():
            raise FileNotFoundError(
                f"the views in {self.path} were open when the machine went down: start the server once"
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

    def _discard_what_a_crash_left(self) -> None:
        if self._is_left_by_a_crash():
            shutil.rmtree(self.path)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the log's own
        self._note.write_text(_boot_id())
        _flush(self._note)
        _flush(self.path)

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
        (self.path / "data.mdb").unlink()
        self._used_bytes = self._allocated_bytes = 0
        self._open()
        handle = self._handles[_META.name]
        with self._environment.begin(write=True) as transaction:
            for name, value in _expected(identity).items():
                transaction.put(name, _META.encode(value), db=handle)

    def _grow_before_it_is_full(self) -> None:
        info = self._environment.info()
        used = (info["last_pgno"] + 1) * _PAGE_BYTES
        if used * 2 > info["map_size"]:
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
        with (self.path / "data.mdb").open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, until)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise Full(f"{self.path}: no room for the views on the disk") from error
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


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
