"""The store under every view: typed tables in an LMDB environment of its own, beside the log.

Views are disposable. They commit *without* a flush, after the log was flushed; measured on 2 cores and
ext4, three random-key indexes in one synced environment with the log cost 13 times its throughput,
because each random key dirties a page and syncing those is what costs. What that owes is told here:

* A killed process loses nothing, the page cache stays, and LMDB writes its meta page last.
* After a crash of the machine, unsynced pages cannot be trusted at all. So the kernel's boot id is
  noted, durably, before the first write and taken away after a clean close; if a note of another boot
  is found, the views are thrown away and folded anew.
* Views belong to one log. Its identity stands in the same environment; views of another log are dropped.

The checkpoint (how far the log was folded) is written in the same transaction as what was folded.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar, cast

import lmdb
import msgspec

from eventlog.log import Position
from projections.identifiers import IDENTIFIER_BYTES_MAX

Key: TypeAlias = bytes
Value = TypeVar("Value")

_FORMAT = b"1"
_MAP_SIZE_FIRST = 1 << 30
"""Address space, not memory: the file grows as it is written. The map is doubled when it is half full."""
_TABLES_MAX = 128
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READERS_MAX = 126
"""Readers are the server's event loop, which holds one at a time, and people at the command line."""


class Table(Generic[Value]):
    """A named table with values of one type, kept as MessagePack."""

    def __init__(self, name: str, kind: Any) -> None:
        self.name = name
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder[Value](kind).decode


def _digest(*texts: str) -> bytes:
    hasher = hashlib.blake2b(digest_size=16)
    for text in texts:
        data = text.encode()
        hasher.update(len(data).to_bytes(4))
        hasher.update(data)
    return hasher.digest()


_digest_of_known = lru_cache(maxsize=1 << 15)(_digest)
"""Rooms, users and event types come again and again; a look-up takes 0.1 µs, a digest 1.2."""


def key(*parts: str | int | tuple[str, ...]) -> Key:
    """A table key: 16 bytes of digest for each text or tuple of texts, 8 big-endian bytes for each number.

    Digests give every key a bounded size (LMDB takes 511 bytes, a room id and a state key alone may be
    longer) and leave what a table needs for locality: all keys that begin with the same parts are neighbours,
    and numbers sort by value.
    """
    encoded = b""
    for part in parts:
        if isinstance(part, int):
            encoded += part.to_bytes(8)
        elif isinstance(part, str):
            # What is longer than any identifier is not worth remembering, and would fill the memory.
            encoded += _digest_of_known(part) if len(part) <= IDENTIFIER_BYTES_MAX else _digest(part)
        else:
            encoded += _digest(*part)
    return encoded


class View:
    """The tables as of one transaction, for reading."""

    def __init__(self, transaction: lmdb.Transaction, handles: Mapping[str, Any]) -> None:
        self._transaction = transaction
        self._handles = handles

    def end(self) -> None:
        """Let go of the transaction: LMDB keeps its reader's slot for as long as anybody refers to it."""
        del self._transaction

    def get(self, table: Table[Value], at: Key) -> Value | None:
        data = self._transaction.get(at, db=self._handles[table.name])
        return None if data is None else table.decode(data)

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


class WritableView(View):
    """The tables within the one write transaction; what is written is seen by its own later reads."""

    def put(self, table: Table[Value], at: Key, value: Value) -> None:
        self._transaction.put(at, table.encode(value), db=self._handles[table.name])

    def delete(self, table: Table[Value], at: Key) -> bool:
        """Was there a row to delete?"""
        return self._transaction.delete(at, db=self._handles[table.name])

    def clear(self, table: Table[Any]) -> None:
        self._transaction.drop(self._handles[table.name], delete=False)


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
        self._transaction.commit()

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
        *,
        identity: str,
        read_only: bool = False,
        map_size: int = _MAP_SIZE_FIRST,
    ) -> None:
        """Open the views in `path`, empty ones if there are none that can be trusted.

        Raises `FileNotFoundError` if `read_only` and there are no such views of this log.
        """
        self.path = path
        self._read_only = read_only
        self._tables = sorted(tables, key=lambda table: table.name)
        self._note = path / "opened-in-boot"
        if read_only:
            self._refuse_what_cannot_be_read()
        else:
            self._discard_what_a_crash_left()
        self._environment = lmdb.open(
            str(path),
            map_size=_map_size_for(path, map_size),
            max_dbs=_TABLES_MAX,
            max_readers=_READERS_MAX,
            max_spare_txns=2,
            readonly=read_only,
            readahead=False,
            sync=False,
        )
        self._handles = self._open_tables()
        self._belong_to(identity)

    @contextmanager
    def read(self) -> Iterator[View]:
        """The views as of the last commit. Copy out what is needed; do not hold it across an `await`."""
        with self._environment.begin() as transaction:
            view = View(transaction, self._handles)
            try:
                yield view
            finally:
                view.end()

    def update(self) -> Update:
        """Begin the write transaction; there is one at a time. End it by `commit` or `abort`."""
        self._grow_before_it_is_full()
        transaction = self._environment.begin(write=True)
        return Update(transaction, WritableView(transaction, self._handles))

    def checkpoints(self) -> dict[str, Checkpoint]:
        with self.read() as view:
            return view.get(_CHECKPOINTS, _CHECKPOINTS.name.encode()) or {}

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
        self._environment.close()
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
        self.path.mkdir(parents=True, exist_ok=True)
        self._note.write_text(_boot_id())
        _flush(self._note)
        _flush(self.path)

    def _belong_to(self, identity: str) -> None:
        expected = {b"format": _FORMAT, b"identity": identity.encode()}
        with self.read() as view:
            if all(view.get(_META, name) == value for name, value in expected.items()):
                return
        if self._read_only:
            self._environment.close()
            raise FileNotFoundError(f"the views in {self.path} belong to another log")
        update = self.update()
        for table in (*self._tables, _META, _CHECKPOINTS):
            update.view.clear(table)
        for name, value in expected.items():
            update.view.put(_META, name, value)
        update.commit({})

    def _grow_before_it_is_full(self) -> None:
        info = self._environment.info()
        page_size = self._environment.stat()["psize"]
        if info["last_pgno"] * page_size * 2 > info["map_size"]:
            # Safe here and only here: this thread has no transaction open between two updates.
            self._environment.set_mapsize(info["map_size"] * 2)


def _map_size_for(path: Path, least: int) -> int:
    data = path / "data.mdb"
    return max(least, 2 * data.stat().st_size if data.exists() else 0)


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
