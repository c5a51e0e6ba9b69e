"""The embedded engine: a log in an LMDB environment, flushed once per batch, always.

A commit makes one `fdatasync` for the pages and one synchronous write of 120 bytes for the meta
page that makes them count: measured with strace, for a batch of 1 as for one of 200, and a test
counts them. There is no mode without, but for the one that the durability test needs to show that
it can fail.

One thread does everything that touches LMDB, but for looking up a single payload: a write transaction
belongs to the thread that began it, and the map can be replaced by a larger one because no other transaction
can be open; for that moment a lock keeps out who looks up. The event loop goes on while that thread waits for
the disk. `LmdbStore` is what runs there; `LmdbLog` is the contract on top of it.

After the first storage error the log takes no more writes until it is opened again. LMDB itself
would go on: it forgets a failed flush, and the kernel forgets the pages that it could not write.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import RLock
from typing import ParamSpec, TypeVar

import lmdb

from eventlog.compression import Compression
from eventlog.envelope import HEADER, NO_PREVIOUS, chain_of, erase, seal, unseal
from eventlog.errors import Closed, Conflict, Damaged, LogError, Unknown
from eventlog.lmdb_file import (
    DAMAGE,
    DATA_FILE,
    LmdbTables,
    create_log,
    failed_commit_note,
    make_directory,
    refuse_if_short,
    refuse_if_unaccounted,
)
from eventlog.log import Entry, Erased, Position, refuse_to_erase
from eventlog.network_mounts import refuse_network_mount
from eventlog.ownership import Ownership
from eventlog.store_thread import StoreThread
from eventlog.torn_copy import IF_COPIED, refuse_if_torn

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

MAP_BYTES = 1024**3
"""The map at first, or twice the file if that is more. Address space, neither memory nor disk."""

FREE_BYTES_MIN = 64 * 1024**2
"""An append that would leave less than this free on the disk is refused, while there is still room
to stop in good order and to read, and before a write fails in the middle."""

POLL_SECONDS = 0.05
"""How often one who only reads looks whether the owning process has appended."""


class LmdbStore:
    """The log without its event loop. Every call, from the constructor on, is made on one thread."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        map_bytes: int = MAP_BYTES,
        free_bytes_min: int = FREE_BYTES_MIN,
        unsafe_no_flush: bool = False,
        identity: str | None = None,
        dictionary: bytes = b"",
    ) -> None:
        """Only a new log takes a dictionary, to be compressed by, and an identity, if it is to be a copy."""
        self._path = path
        self._map_lock = RLock()
        """Held while the tables or their map are replaced, and by who looks up a payload meanwhile."""
        self._free_bytes_min = free_bytes_min
        self._unsafe_no_flush = unsafe_no_flush
        self.read_only = read_only
        self.failure: str | None = None
        self._has_failed = failed_commit_note(path).exists()
        if read_only:
            self._tables = self._open_tables(map_bytes=0)
        else:
            refuse_network_mount(path)
            make_directory(path)
            self._ownership = Ownership(path / "owner")
            try:
                self._tables = self._open_or_create(map_bytes, identity, dictionary)
            except BaseException:
                self._ownership.release(in_good_order=False)
                raise
        self.identity = self._tables.identity
        self.dictionary = self._tables.dictionary
        self._compression = Compression(self.dictionary) if self.dictionary else None
        self._compression_of_looking = Compression(self.dictionary) if self.dictionary else None
        try:
            self.head, self._chain = self._last()
        except BaseException:
            self.close()
            raise

    def append(self, payloads: Sequence[bytes | Erased], after: Position) -> Position:
        self._refuse_if_not_writing()
        if after != self.head:
            raise Conflict(expected=after, head=self.head)
        if not payloads:
            return after
        batch: list[bytes] = []
        chain = self._chain
        for position, payload in enumerate(payloads, after + 1):
            data, chain = seal(position, payload, chain, self._compression)
            batch.append(data)
        return self._keep(batch, chain)

    @property
    def chain(self) -> bytes:
        """Of the entry at the head."""
        return self._chain

    def append_entries(self, batch: Sequence[Entry]) -> Position:
        """Append entries of another log, so that this one becomes the same log, if compressed otherwise.

        Raises `Damaged` for the first that does not continue what is here, and keeps none of them.
        """
        chain = self._chain
        stored: list[bytes] = []
        for position, entry in enumerate(batch, self.head + 1):
            data, chain = seal(position, entry.erased or entry.payload, chain, self._compression)
            if chain != entry.chain:
                raise Damaged(f"entry {position}: it does not continue this log", position=position)
            stored.append(data)
        return self._keep(stored, chain) if stored else self.head

    def erase(self, replacements: Mapping[Position, bytes], ordered_by: Position) -> None:
        self._refuse_if_not_writing()
        refuse_to_erase(replacements, ordered_by, head=self.head)
        erased: dict[Position, bytes] = {}
        for position, replacement in replacements.items():
            [(_, stored)] = self._stored(position - 1, position) or [(0, b"")]
            if len(stored) < HEADER.size:
                raise _missing(position)
            data = erase(stored, replacement, ordered_by)
            if data != stored:
                erased[position] = data
        if erased:
            what = f"{len(erased)} erased entries"
            self._commit(what, erased.values(), lambda: self._tables.replace(erased))

    def scrub(self) -> bool:
        """Opens the file anew first: LMDB keeps buffers of what it wrote, and uses them again unemptied."""
        self._refuse_if_not_writing()
        try:
            with self._map_lock:
                self._tables.close()
                self._tables = self._open_tables(map_bytes=0)
            return self._tables.scrub()
        except (lmdb.Error, OSError, LogError) as error:
            self._stop_writing(error)
            raise Unknown(f"{self._path}: the storage failed while it was scrubbed: {error}") from error

    def read(self, after: Position, until: Position, previous: bytes | None) -> list[Entry]:
        """The next entries past `after`, verified: at least one, and a bounded number.

        `previous` is the chain of the entry at `after`, if the caller knows it. Raises `Damaged`
        if the very next entry is; whole entries before a damaged one are handed out first.
        """
        if previous is None:
            previous = self._chain_at(after)
        entries: list[Entry] = []
        for expected, (position, data) in enumerate(self._stored(after, until), after + 1):
            try:
                if position != expected:
                    raise _missing(expected)
                entry = unseal(data, position, previous, self._compression)
            except Damaged:
                if entries:
                    break
                raise
            entries.append(entry)
            previous = entry.chain
        if not entries:
            raise _missing(after + 1)
        return entries

    def payload_at(self, position: Position) -> bytes:
        """For any thread, one at a time."""
        try:
            with self._map_lock:
                data = self._tables.get(position)
        except DAMAGE as error:
            raise Damaged(f"entry {position}: cannot be read: {error}", position=position) from error
        if data is None:
            raise LookupError(f"there is no entry {position}")
        return unseal(data, position, None, self._compression_of_looking).payload

    def refresh(self) -> Position:
        """Look where the head is by now, if another process may have moved it."""
        if self.read_only:
            self.head, self._chain = self._last()
        return self.head

    def close(self) -> None:
        self._tables.close()
        if not self.read_only:
            self._ownership.release()

    def _open_or_create(self, map_bytes: int, identity: str | None, dictionary: bytes) -> LmdbTables:
        file = self._path / DATA_FILE
        if not file.exists():
            create_log(self._path, identity, dictionary)
        elif self._ownership.may_be_of_another(file):
            refuse_if_torn(self._path)
        refuse_if_unaccounted(self._path)
        self._ownership.note(file)
        return self._open_tables(map_bytes=max(map_bytes, 2 * file.stat().st_size))

    def _open_tables(self, *, map_bytes: int) -> LmdbTables:
        refuse_if_short(self._path)
        return LmdbTables(
            self._path,
            read_only=self.read_only,
            map_bytes=map_bytes,
            unsafe_no_flush=self._unsafe_no_flush,
            map_lock=self._map_lock,
        )

    def _keep(self, batch: Sequence[bytes], chain: bytes) -> Position:
        first, last = self.head + 1, self.head + len(batch)
        self._commit(f"entries {first} to {last}", batch, lambda: self._tables.commit(first, batch))
        self.head, self._chain = last, chain
        return self.head

    def _refuse_if_not_writing(self) -> None:
        if self.read_only:
            raise Closed(f"{self._path} was opened for reading only")
        if self.failure is not None:
            raise Closed(f"{self._path} takes no more writes after a storage error: {self.failure}")

    def _commit(self, what: str, batch: Iterable[bytes], commit: Callable[[], None]) -> None:
        while True:
            try:
                self._tables.make_room(sum(map(len, batch)), free_bytes_min=self._free_bytes_min)
                commit()
                if self._has_failed:
                    self._has_failed = False
                    with contextlib.suppress(OSError):
                        failed_commit_note(self._path).unlink(missing_ok=True)
                return
            except lmdb.MapFullError:
                self._tables.double_map()
            except (lmdb.Error, OSError) as error:
                # "No space left" as well: it may come from the flush, and then nobody can say what is
                # on the disk. The room kept free is what makes a full disk come out as `Full`.
                self._stop_writing(error)
                raise Unknown(
                    f"{self._path}: the storage failed while {what} were made durable: "
                    f"{error}. Stop, see to the disk, and start again to see what is there"
                ) from error

    def _stop_writing(self, error: Exception) -> None:
        """Go on for readers alone: after a failed meta page LMDB would refuse even those."""
        self.failure = str(error)
        with contextlib.suppress(OSError):
            failed_commit_note(self._path).touch(0o600)
        with contextlib.suppress(lmdb.Error, OSError, Damaged), self._map_lock:
            self._tables.close()
            self._tables = LmdbTables(self._path, read_only=True, map_lock=self._map_lock)

    def _last(self) -> tuple[Position, bytes]:
        """The head and its chain. Who is going to append gets it only if it is whole."""
        try:
            last, count = self._tables.last(), self._tables.count()
        except DAMAGE as error:
            raise Damaged(f"{self._path}: the last entry cannot be read: {error}. {IF_COPIED}") from error
        if last is None:
            return 0, NO_PREVIOUS
        position, data = last
        if self.read_only:
            return position, chain_of(data)
        if count != position:
            raise Damaged(
                f"{self._path}: {count} entries are stored, but the last is entry {position}. {IF_COPIED}"
            )
        return position, unseal(data, position, None, self._compression).chain

    def _chain_at(self, position: Position) -> bytes:
        if position == 0:
            return NO_PREVIOUS
        stored = self._stored(position - 1, position)
        if not stored:
            raise _missing(position)
        return chain_of(stored[0][1])

    def _stored(self, after: Position, until: Position) -> list[tuple[Position, bytes]]:
        try:
            return self._tables.stored(after, until)
        except DAMAGE as error:
            raise Damaged(f"entry {after + 1}: cannot be read: {error}", position=after + 1) from error


class LmdbLog:
    """A log in one directory of a local file system; see `log.Log` for what the calls promise.

    Opened for reading only, it looks on beside the process that owns the log: `append` raises
    `Closed`, `read` ends at what was durable when it was begun, `wait` looks at intervals.
    """

    def __init__(self, store: LmdbStore, thread: StoreThread) -> None:
        """Use `open`."""
        self._store = store
        self._thread = thread
        self._changed = asyncio.Event()
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        read_only: bool = False,
        map_bytes: int = MAP_BYTES,
        free_bytes_min: int = FREE_BYTES_MIN,
        unsafe_no_flush: bool = False,
        dictionary: bytes = b"",
    ) -> "LmdbLog":
        """Open the log in the directory `path`; make it if there is none, unless `read_only`.

        A log that is made is compressed by `dictionary`, if it is given one; see `compression.py`.

        `unsafe_no_flush` gives up the promise of `append`, and exists to prove that the tests
        would notice.

        Raises `Locked` if another process owns the log, `Unsuitable` unless `read_only` if the place
        is on a network file system, `Damaged` if the file is cut off, is no log, or ends in an entry
        that does not hold, `FileNotFoundError` for `read_only` without a log.
        """
        thread = StoreThread("log")
        make_store = partial(
            LmdbStore,
            path,
            read_only=read_only,
            map_bytes=map_bytes,
            free_bytes_min=free_bytes_min,
            unsafe_no_flush=unsafe_no_flush,
            dictionary=dictionary,
        )
        try:
            store = await thread.call(make_store)
        except BaseException:
            thread.end()
            raise
        return cls(store, thread)

    @property
    def identity(self) -> str:
        return self._store.identity

    @property
    def dictionary(self) -> bytes:
        return self._store.dictionary

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        self._refuse_if_closed()
        batch = tuple(payloads)
        # A caller that is cancelled does not take the batch along: it is decided on the thread.
        return await self._thread.call(lambda: self._store.append(batch, after), self._announce)

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        self._refuse_if_closed()
        await asyncio.shield(self._on_thread(self._store.erase, dict(replacements), ordered_by))

    async def scrub(self) -> bool:
        self._refuse_if_closed()
        return await asyncio.shield(self._on_thread(self._store.scrub))

    def read(self, *, after: Position = 0) -> AsyncIterator[Entry]:
        self._refuse_if_closed()
        return self._read(after, until=self._store.head)

    async def _read(self, after: Position, *, until: Position) -> AsyncIterator[Entry]:
        if self._store.read_only:
            until = await self.head()
        previous: bytes | None = None
        while after < until:
            self._refuse_if_closed()
            for entry in await self._on_thread(self._store.read, after, until, previous):
                yield entry
                after, previous = entry.position, entry.chain

    def payload_at(self, position: Position) -> bytes:
        self._refuse_if_closed()
        return self._store.payload_at(position)

    async def head(self) -> Position:
        self._refuse_if_closed()
        if self._store.read_only:
            return await self._on_thread(self._store.refresh)
        return self._store.head

    async def wait(self, after: Position) -> Position:
        while self._store.head <= after:
            self._refuse_if_closed()
            if self._store.read_only:
                if await self.head() <= after:
                    await asyncio.sleep(POLL_SECONDS)
            elif self._store.failure is not None:
                raise Closed(f"nothing will be appended after a storage error: {self._store.failure}")
            else:
                await self._changed.wait()
        return self._store.head

    async def close(self) -> None:
        if self._closing is None:
            self._closing = self._on_thread(self._store.close)
            self._thread.end()
            self._announce()
        await asyncio.shield(self._closing)

    def _on_thread(
        self, call: Callable[Parameters, Answer], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> asyncio.Future[Answer]:
        return self._thread.call(partial(call, *args, **kwargs))

    def _announce(self) -> None:
        """Wake everyone who waits; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _refuse_if_closed(self) -> None:
        if self._closing is not None:
            raise Closed("this log was closed")


def _missing(position: Position) -> Damaged:
    return Damaged(f"entry {position}: missing", position=position)
