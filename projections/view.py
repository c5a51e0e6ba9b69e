"""What a reader or a fold sees of the tables: one state of them, for as long as it looks.

A `View` reads typed rows by key or in the order of keys, and facts by where they stand in the log. A
`WritableView` is the one that an update goes on in: nobody else sees what it writes before that is kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import lmdb

from eventlog.log import Position
from projections.entries import Entries
from projections.facts import Fact, Order, index_of, position_of
from projections.row_memory import ROW_BYTES_MAX, RowMemories
from projections.tables import Key, Table, Value


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
