"""The LMDB file under a log: made, its length checked, its two tables opened, read, grown, flushed.

    entries   position, 8 bytes big endian  ->  the entry in its envelope
    meta      "format", "identity"          ->  what kind of log, and which
              "dictionary", its copy        ->  its SHA-256, and what compresses the entries; format 3

Every setting that has a default in LMDB is chosen here, with its reason. What is stored is handed
out as it is; verifying it is up to the caller. But for `get` nothing here is safe to call from two threads.
"""

import mmap
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import RLock

import lmdb
from lmdb.verify import VerifyError, _Verifier

from eventlog.errors import Damaged, Full, LogError
from eventlog.lmdb_accounts import refuse_if_pages_are_not_accounted_for
from eventlog.lmdb_meta import read_meta, read_pages
from eventlog.lmdb_scrub import is_read_by_others, scrub
from eventlog.log import Position
from eventlog.writing_out import flush
from eventlog.zeros_ahead import ZerosAhead

FORMAT = "3"
_FORMATS = ("1", FORMAT)
"""Logs of format 1 have no dictionary, and no entry in them is compressed. Format 2 was never released."""
_DICTIONARIES = (b"dictionary", b"dictionary copy")
"""Twice, on pages of their own: whoever loses it loses every entry."""
DATA_FILE = "data.mdb"
DAMAGE = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)
"""What LMDB raises when it notices that a page cannot be right. Often it does not notice."""

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
"""Private messages are in it."""

READERS_MAX = 64
"""One for the log's own thread, one for each command that looks on. A slot costs 64 bytes, and each
commit looks at all that are taken."""

MAP_USED_MAX = 0.75
"""Grow before the map is full: up to here a batch and LMDB's copies of inner pages always fit."""

_DIGEST_BYTES = 32
_TRIES = 1_000
"""To get hold of a state before two more are committed, which takes more time than to look at it."""

CHUNK_ENTRIES = 256
CHUNK_BYTES = 1024 * 1024


def create_log(path: Path, identity: str | None = None, dictionary: bytes = b"") -> None:
    """Make an empty log in the directory `path`, whole or not at all. A copy has an identity already.

    Without a dictionary nothing in it will be compressed.

    It is built beside and moved into place, so a data file that is there but empty is always
    damage and never a log that was just being made.
    """
    fresh = path / "new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=DIRECTORY_MODE)
    environment = _open(fresh, create=True)
    with environment.begin(write=True) as transaction:
        environment.open_db(b"entries", transaction)
        meta = environment.open_db(b"meta", transaction)
        transaction.put(b"format", FORMAT.encode(), db=meta)
        transaction.put(b"identity", (identity or secrets.token_hex(16)).encode(), db=meta)
        for name in _DICTIONARIES:
            transaction.put(name, sha256(dictionary).digest() + dictionary, db=meta)
    environment.close()
    (fresh / DATA_FILE).replace(path / DATA_FILE)
    shutil.rmtree(fresh)
    flush(path)


def make_directory(path: Path) -> None:
    """With the directories above it, if they are missing, and all of their names durable.

    What is made here is closed to others, as are the files in it; what is there already stays as it is.
    """
    missing = [directory for directory in (path, *path.parents) if not directory.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    for directory in missing:
        flush(directory.parent)


def refuse_if_short(path: Path) -> None:
    """Raises `Damaged`, with both lengths, if pages that are in use lie past the end of the file.

    To be called before the file is mapped: touching such a page kills the process with SIGBUS,
    which no `try` can catch.

    A file may be shorter than its meta page says and still be whole: LMDB does not write a page
    that it took and gave back within one transaction, and such a page may be the last. (Not seen
    in 4,200 commits of 1 to 200 entries, large ones among them.) So a short file is refused only
    if a page that can be reached is missing, which a walk with plain reads finds out. The walk
    takes its time (87,000 pages/s, cached, 2 cores); a file of full length needs none.
    """
    file = path / DATA_FILE
    if not file.exists():
        raise FileNotFoundError(f"there is no log at {path}")
    expected = read_meta(file).file_bytes
    found = file.stat().st_size  # after the meta page was read: beside a live writer it only grows
    if found < expected and (problems := page_problems(file)):
        raise Damaged(
            f"{file} is cut off: {expected} bytes expected, {found} found; {problems[0]}. "
            "Restore it from a copy; `check` says which entries can still be read"
        )


def page_problems(file: Path) -> list[str]:
    """What is wrong with how the pages hang together, found with plain reads. Nobody may be writing."""
    length = file.stat().st_size
    with file.open("rb") as opened:
        # What stands behind the library's `verify`, because that does not tell which pages are in use, and of
        # a long value looks for the first page alone: to read the others would end the process.
        verifier = _Verifier(opened, length)  # type: ignore[no-untyped-call]
        try:
            problems: list[str] = verifier.verify()  # type: ignore[no-untyped-call]
        except VerifyError as error:
            return [str(error)]
    missing = verifier.live.find(1, length // verifier.psize)
    if missing >= 0:
        problems.append(f"page {missing} is in use and lies past the end of the file")
    return problems


def refuse_if_unaccounted(path: Path) -> None:
    """Raises `Damaged` if the pages are not what the newest meta page says. Nobody may be writing."""
    refuse_if_short(path)
    file = path / DATA_FILE
    refuse_if_pages_are_not_accounted_for(
        file, read_pages(file), read_meta(file).transaction, has_failed=failed_commit_note(path).exists()
    )


def failed_commit_note(path: Path) -> Path:
    """A file that is there from a commit that failed to the next one that does not."""
    return path / "commit-failed"


class LmdbTables:
    """An open environment. Raises `Damaged` if it is not a log of a format that is known here."""

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool,
        map_bytes: int = 0,
        unsafe_no_flush: bool = False,
        map_lock: "RLock | None" = None,
    ) -> None:
        """`map_lock` is held while the map is replaced or closed, and by `get` while it looks at it."""
        self.path = path
        self._map_lock = map_lock or RLock()
        self._ahead: ZerosAhead | None = None
        try:
            self._environment = _open(
                path, read_only=read_only, map_bytes=map_bytes, unsafe_no_flush=unsafe_no_flush
            )
        except DAMAGE as error:
            raise Damaged(f"{path} does not hold a log: {error}") from error
        except lmdb.Error as error:  # no permission, or open in this very process
            raise LogError(f"{path} cannot be opened: {error}") from error
        try:
            self._find_tables()
            if not read_only:
                self._environment.reader_check()
                self._ahead = ZerosAhead(path / DATA_FILE)
        except BaseException:
            self.close()
            raise

    def _find_tables(self) -> None:
        try:
            self._entries = self._environment.open_db(b"entries", create=False)
            self._meta = self._environment.open_db(b"meta", create=False)
        except (lmdb.NotFoundError, *DAMAGE) as error:
            raise Damaged(f"{self.path} does not hold a log: {error}") from error
        if (found := self._text(b"format")) not in _FORMATS:
            raise Damaged(
                f"{self.path}: a log of format {found!r}; this version reads {' and '.join(_FORMATS)}"
            )
        self.identity = self._text(b"identity")
        self.damaged_dictionaries = 0
        self.dictionary = self._find_dictionary() if found == FORMAT else b""
        self._page_bytes = self._environment.stat()["psize"]

    def _find_dictionary(self) -> bytes:
        whole: bytes | None = None
        for name in _DICTIONARIES:
            with self._reading() as transaction:
                stored = transaction.get(name, b"", self._meta)
            digest, dictionary = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
            if sha256(dictionary).digest() == digest:
                whole = dictionary
            else:
                self.damaged_dictionaries += 1
        if whole is None:
            raise Damaged(
                f"{self.path}: its dictionary and the copy of it are damaged, and all entries with it"
            )
        return whole

    def close(self) -> None:
        with self._map_lock:
            self._environment.close()
            if self._ahead is not None:
                self._ahead.close()

    def get(self, position: Position) -> bytes | None:
        """One entry as it is stored. Alone of all calls it may be made on another thread than the rest."""
        with self._map_lock, self._reading() as transaction:
            found: bytes | None = transaction.get(_key(position), db=self._entries)
            return found

    def count(self) -> int:
        """How many entries LMDB believes to hold. Touches none of them."""
        with self._reading() as transaction:
            return transaction.stat(self._entries)["entries"]

    def last(self) -> tuple[Position, bytes] | None:
        with self._reading() as transaction, transaction.cursor(self._entries) as cursor:
            return (_position(cursor.key()), cursor.value()) if cursor.last() else None

    def stored(
        self,
        after: Position,
        until: Position,
        *,
        entries_max: int = CHUNK_ENTRIES,
        bytes_max: int = CHUNK_BYTES,
    ) -> list[tuple[Position, bytes]]:
        """Copy out the next entries that are there, a bounded number of them.

        Where a page cannot be right, because LMDB says so or a key leads back, the entries before that are
        returned, and only a call that finds it at once raises (one of `DAMAGE`).
        """
        chunk: list[tuple[Position, bytes]] = []
        size, position_of = 0, int.from_bytes  # not `_position`: a call more for each entry of a long walk
        try:
            with self._reading() as transaction, transaction.cursor(self._entries) as cursor:
                if not cursor.set_range(_key(after + 1)):
                    return chunk
                last = after
                for key, data in cursor.iternext():
                    position = position_of(key, "big")
                    if position > until:
                        break
                    if position <= last:
                        raise lmdb.CorruptedError(f"the key of entry {position} stands behind that of {last}")
                    last = position
                    chunk.append((position, data))
                    size += len(data)
                    if len(chunk) >= entries_max or size >= bytes_max:
                        break
        except DAMAGE:
            if not chunk:
                raise
        return chunk

    def page_finding(self) -> str | None:
        """Are the pages of a state what its meta page says? Holds on to the state for as long as that takes.

        That keeps whoever writes from using again not only the pages of this state, but also those of the
        one before and of all later ones: nothing that was freed since is old enough.
        """
        file = self.path / DATA_FILE
        for _ in range(_TRIES):
            with self._reading() as transaction:
                metas, state = read_pages(file), transaction.id()
                # Two commits later a meta page is written anew, perhaps in this very moment.
                if state not in [meta.transaction for meta in metas] or read_pages(file) != metas:
                    continue
                try:
                    has_failed = failed_commit_note(self.path).exists()
                    refuse_if_pages_are_not_accounted_for(file, metas, state, has_failed=has_failed)
                except Damaged as error:
                    return str(error)
                return None
        return f"{file}: no meta page is of the state that LMDB goes by"

    def make_room(self, batch_bytes: int, *, free_bytes_min: int) -> None:
        """See to it that a batch fits, on the disk and in the map.

        Raises `Full` if it cannot, and `OSError` if the storage fails.
        """
        # Copied inner pages, page ends, whole pages for long values: twice the bytes is enough.
        needed = 2 * batch_bytes + 64 * self._page_bytes
        disk = os.statvfs(self.path)
        free = disk.f_bavail * disk.f_frsize
        if free < needed + free_bytes_min:
            raise Full(f"{self.path}: {free} bytes free on the disk, {free_bytes_min} have to stay free")
        info = self._environment.info()
        used = (info["last_pgno"] + 1) * self._page_bytes
        map_bytes = info["map_size"]
        while used + needed > map_bytes * MAP_USED_MAX:
            map_bytes *= 2
        if map_bytes > info["map_size"]:
            self._grow(map_bytes)
        if self._ahead is not None:
            self._ahead.reach(used + 2 * batch_bytes)

    def commit(self, first: Position, batch: Iterable[bytes]) -> None:
        """Put the batch behind the last entry, in one transaction and one flush.

        Raises whatever LMDB raises. Then it may or may not be there, with one exception:
        on `lmdb.MapFullError`, which comes before the first write, it is not.
        """
        entries = [(_key(position), data) for position, data in enumerate(batch, first)]
        with (
            self._environment.begin(write=True) as transaction,
            transaction.cursor(self._entries) as cursor,
        ):
            # `append` makes LMDB fill pages to the end instead of splitting them in halves.
            _, added = cursor.putmulti(entries, overwrite=False, append=True)
            if added != len(entries):
                raise lmdb.KeyExistsError(f"one of the entries from {first} on is there already")

    def replace(self, entries: Mapping[Position, bytes]) -> None:
        """Other bytes for entries that are there, in one transaction and one flush; raises as `commit`."""
        with self._environment.begin(write=True) as transaction:
            for position, data in entries.items():
                if not transaction.replace(_key(position), data, self._entries):
                    raise lmdb.NotFoundError(f"entry {position} is not there")

    def scrub(self) -> bool:
        """Overwrite what is in the file and in no entry; False if a reader still looks at older pages."""
        if is_read_by_others(self._environment.readers(), self._environment.info()["last_txnid"]):
            return False
        scrub(self.path / DATA_FILE)
        return True

    def double_map(self) -> None:
        """For a batch that needs more than was foreseen. Raises `Full` if there is no room for a map."""
        self._grow(2 * self._environment.info()["map_size"])

    def _grow(self, map_bytes: int) -> None:
        # LMDB unmaps the old map first, and is left without one if the new one fails: so try
        # whether there is room before it does. This thread has no open transaction here.
        try:
            mmap.mmap(-1, map_bytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ).close()
        except OSError as error:
            raise Full(f"{self.path}: no address space for a map of {map_bytes} bytes") from error
        with self._map_lock:
            self._environment.set_mapsize(map_bytes)
        # A reader that was killed keeps its slot, and no page that it saw is used again: the file
        # would grow for ever. Whoever makes the file grow has a reason to look for such slots.
        self._environment.reader_check()

    def _reading(self) -> "lmdb.Transaction[bytes]":
        try:
            return self._environment.begin()
        except lmdb.MapResizedError:  # the process that writes has grown its map
            with self._map_lock:
                self._environment.set_mapsize(0)
            return self._environment.begin()

    def _text(self, key: bytes) -> str:
        with self._reading() as transaction:
            return transaction.get(key, b"", self._meta).decode("ascii", "replace")


def _open(
    path: Path,
    *,
    create: bool = False,
    read_only: bool = False,
    map_bytes: int = 0,
    unsafe_no_flush: bool = False,
) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=map_bytes,  # 0: what the file was last mapped with; LMDB's own default is 10 MiB
        readonly=read_only,
        create=create,
        mode=FILE_MODE,
        lock=True,  # for readers too: a writer must not reuse the pages that they look at
        sync=not unsafe_no_flush,
        metasync=not unsafe_no_flush,
        readahead=True,  # entries are read in order: 1,000,000 from a cold disk in 0.9 s, without it 5.8 s
        max_readers=READERS_MAX,
        max_dbs=2,
        lib_version=0,  # LMDB 0.9; the format of 1.0 is another one, and `lmdb_file` reads this one
    )


def _key(position: Position) -> bytes:
    return position.to_bytes(8, "big")


def _position(key: bytes) -> Position:
    return int.from_bytes(key, "big")
