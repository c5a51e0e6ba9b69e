"""Is every page of an LMDB file used once, and what the meta pages say about that true?

LMDB believes its meta page. If a bit of it flips, and the table of free pages seems to be elsewhere, or
the last page another one, nobody notices who reads: the entries are where they were. But who writes next
takes pages for free that are in use. So the pages are counted: those that the tables reach, those that the
list of free pages names, and those of large values must be all there are, each of them once; and each
table must be as deep and as large as is on record.

Of the tables of entries only the branches are looked at, which name the leaves: a hundredth of the file,
whatever is in the leaves is found out by digests. What nothing else has a use for must then be large
values, and look like them. (So a free page and a large value's page that are mistaken for one another may
pass, if both take one page.)

The list of free pages also tells of which transaction it is, as every transaction frees some pages and puts
them down under its number. That is how a meta page is known whose number has changed although both are
still in turn: LMDB would go back to the commit before, or take an older one for the newest.

Beside somebody who writes, the pages of a state stay as they are for as long as there is a reader at it:
see `LmdbTables.page_finding`.

Measured (2 cores, cached, a log of 295,604 entries in 72,945 pages): 0.03 s.
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from struct import Struct

from eventlog.errors import Damaged
from eventlog.lmdb_meta import TABLE, Meta, Table

_PAGE_HEADER = Struct("=QHHHH")
_OVERFLOW_HEADER = Struct("=QHHI")
_NODE = Struct("=HHHH")
_NUMBER = Struct("=Q")
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_LARGE_VALUE, _NESTED_TABLE = 0x01, 0x02
_KEYS_ARE_NUMBERS = 0x08
_META_PAGES = 2
_NO_PAGE = 2**64 - 1
_FIRST_TRANSACTION_TO_FREE = 2
_DEPTH_MAX = 32
"""LMDB's own limit."""
_OUT_OF_BOUNDS = (struct.error, IndexError, OverflowError)
"""What it is to Python to read where no page is."""


def refuse_if_pages_are_not_accounted_for(
    file: Path, metas: Sequence[Meta], transaction: int, *, has_failed: bool
) -> None:
    """Raises `Damaged` for the first thing that does not hold in the state that a transaction left.

    `has_failed`: the commit after that one is known to have failed, and may have left its traces.

    `metas` is what both meta pages say. Nobody may use the pages of that state again meanwhile.
    """
    meta = next(meta for meta in metas if meta.transaction == transaction)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as pages:
        try:
            _Accounts(pages, meta).settle()
            for other in metas:
                # Beside somebody who writes it may be that of the next state by now.
                if other.transaction < transaction:
                    _refuse_if_newer(pages, other, transaction, meta.last_page, has_failed=has_failed)
        except _OUT_OF_BOUNDS as error:
            raise Damaged(f"{file}: a page leads out of itself: {error}") from error
        except Damaged as error:
            raise Damaged(f"{file}: {error}; whoever writes next could overwrite what is in use") from error


class _Accounts:
    def __init__(self, pages: mmap.mmap, meta: Meta) -> None:
        self._pages = pages
        self._meta = meta
        self._size = meta.page_bytes
        if meta.last_page >= _META_PAGES + 2 * (len(pages) // self._size) + (1 << 20):
            raise Damaged(f"page {meta.last_page} is the last, it says, and the file has {len(pages)} bytes")
        self._is_used = bytearray(meta.last_page + 1)
        self._is_used[:_META_PAGES] = b"\1" * _META_PAGES

    def settle(self) -> None:
        free, main = self._meta.free, self._meta.main
        if free.flags != _KEYS_ARE_NUMBERS or main.flags or main.pad:
            raise Damaged("the tables of a meta page are not of the kind that they have to be")
        self._count_free_pages(list(self._rows("free pages", free, flags=0)))
        large_pages = 0
        for name, record in self._rows("tables", main, flags=_NESTED_TABLE):
            table = Table(*TABLE.unpack(record))
            self._reach_leaves(f"{name.decode('ascii', 'replace')!r}", table)
            large_pages += table.overflow_pages
        self._count_large_values(large_pages)

    def _count_free_pages(self, rows: Sequence[tuple[bytes, bytes]]) -> None:
        newest = 0
        for key, value in rows:
            before, [newest] = newest, _NUMBER.unpack(key)
            if newest <= before:
                raise Damaged(f"the free pages of transaction {newest} come after those of {before}")
            count, *numbers = _numbers(len(value) // _NUMBER.size).unpack(value)
            if count != len(numbers):
                raise Damaged(f"{len(numbers)} free pages are listed where there should be {count}")
            for number in numbers:
                self._use(number)
        transaction = self._meta.transaction
        if newest != transaction and (newest or transaction >= _FIRST_TRANSACTION_TO_FREE):
            raise Damaged(f"free pages are listed up to transaction {newest}, and this is {transaction}")

    def _count_large_values(self, expected: int) -> None:
        """All that is left."""
        number, found = self._is_used.find(0), 0
        while number >= 0:
            stored_number, _, flags, count = _OVERFLOW_HEADER.unpack_from(self._pages, number * self._size)
            if stored_number != number or flags != _OVERFLOW or not count:
                raise Damaged(f"page {number} is neither in use nor free")
            for each in range(number, number + count):
                self._use(each)
            found += count
            number = self._is_used.find(0, number)
        if found != expected:
            raise Damaged(f"{expected} pages of large values are on record, {found} found")

    def _rows(self, name: str, table: Table, *, flags: int) -> Iterator[tuple[bytes, bytes]]:
        """Of a small table, all that is in it. All rows have the same flags, unless they are large."""
        entries = large_pages = 0
        for number in self._reach_leaves(name, table):
            start = number * self._size
            for offset in self._offsets(number, _LEAF):
                low, high, row_flags, key_bytes = _NODE.unpack_from(self._pages, start + offset)
                key_at = start + offset + _NODE.size
                value_at, value_bytes = key_at + key_bytes, low | high << 16
                if row_flags == flags | _LARGE_VALUE:
                    [first] = _NUMBER.unpack_from(self._pages, value_at)
                    large_pages += self._use_large_value(first)
                    value_at = first * self._size + _OVERFLOW_HEADER.size
                elif row_flags != flags:
                    raise Damaged(f"table of {name}: a row of it has flags {row_flags}")
                entries += 1
                yield self._pages[key_at : key_at + key_bytes], self._pages[value_at : value_at + value_bytes]
        if (entries, large_pages) != (table.entries, table.overflow_pages):
            raise Damaged(
                f"table of {name}: {table.entries} rows and {table.overflow_pages} pages of large values "
                f"are on record, {entries} and {large_pages} found"
            )

    def _use_large_value(self, first: int) -> int:
        self._use(first)
        number, _, flags, count = _OVERFLOW_HEADER.unpack_from(self._pages, first * self._size)
        if number != first or flags != _OVERFLOW:
            raise Damaged(f"page {first} does not begin a large value")
        for each in range(first + 1, first + count):
            self._use(each)
        return int(count)

    def _reach_leaves(self, name: str, table: Table) -> list[int]:
        """The numbers of a table's leaves; all of its pages but those of large values are in use then."""
        level = [] if table.root == _NO_PAGE else [table.root]
        for number in level:
            self._use(number)
        depth = branch_pages = 0
        # Of one level all are of one kind.
        while level and depth < _DEPTH_MAX:
            depth += 1
            if self._flags(level[0]) == _LEAF:
                break
            branch_pages += len(level)
            level = [child for number in level for child in self._children(number)]
        found = (depth, branch_pages, len(level))
        if found != (table.depth, table.branch_pages, table.leaf_pages):
            raise Damaged(
                f"table of {name}: {table.depth} levels of {table.branch_pages} branches and "
                f"{table.leaf_pages} leaves are on record, {depth} of {branch_pages} and {len(level)} found"
            )
        return level

    def _children(self, number: int) -> Iterator[int]:
        start = number * self._size
        for offset in self._offsets(number, _BRANCH):
            low, middle, high, _ = _NODE.unpack_from(self._pages, start + offset)
            child = low | middle << 16 | high << 32
            self._use(child)
            yield child

    def _offsets(self, number: int, kind: int) -> tuple[int, ...]:
        return _offsets(self._pages, number, self._size, kind)

    def _flags(self, number: int) -> int:
        return int(_PAGE_HEADER.unpack_from(self._pages, number * self._size)[2])

    def _use(self, number: int) -> None:
        if number >= len(self._is_used):
            raise Damaged(f"page {number} is in use or free, and past the last, {self._meta.last_page}")
        if self._is_used[number]:
            raise Damaged(f"page {number} has two uses, or is in use and free")
        self._is_used[number] = 1


def _refuse_if_newer(
    pages: mmap.mmap, other: Meta, transaction: int, last_page: int, *, has_failed: bool
) -> None:
    """Raises `Damaged` if the meta page that LMDB does not go by is of the next transaction.

    The list of free pages that it leads to need not be in use any more: it may have been scrubbed. Whatever
    else it leads to is not looked at any further.
    """
    number = other.free.root
    try:
        for _ in range(_DEPTH_MAX):
            start = number * other.page_bytes
            kind = _PAGE_HEADER.unpack_from(pages, start)[2]
            last = start + _offsets(pages, number, other.page_bytes, kind)[-1]
            if kind == _LEAF:
                [newest] = _NUMBER.unpack_from(pages, last + _NODE.size)
                break
            low, middle, high, _ = _NODE.unpack_from(pages, last)
            number = low | middle << 16 | high << 32
        else:
            return
    except (Damaged, *_OUT_OF_BOUNDS):
        return
    # After a write of a meta page that failed, LMDB puts back the number that was there and the last page,
    # and leaves the roots of the commit that failed. Unless it took new pages, the two look the same.
    is_put_back = other.last_page < last_page or (other.last_page == last_page and has_failed)
    if newest == transaction + 1 and not is_put_back:
        raise Damaged(
            f"a meta page says that it is of transaction {other.transaction}, and is of {newest}; "
            "the last commit may be lost"
        )


def _offsets(pages: mmap.mmap, number: int, size: int, kind: int) -> tuple[int, ...]:
    """Where the nodes of a branch or leaf are."""
    stored_number, _, flags, lower, upper = _PAGE_HEADER.unpack_from(pages, number * size)
    is_sound = _PAGE_HEADER.size <= lower <= upper <= size
    if stored_number != number or flags != kind or kind not in (_BRANCH, _LEAF) or not is_sound:
        raise Damaged(f"page {number} is not the page of a table that it has to be")
    count = (lower - _PAGE_HEADER.size) // 2
    offsets: tuple[int, ...] = Struct(f"={count}H").unpack_from(pages, number * size + _PAGE_HEADER.size)
    if not offsets or min(offsets) != upper:  # the next row of this page would overwrite one
        raise Damaged(f"page {number} has its gap elsewhere than between its rows")
    return offsets


@lru_cache(maxsize=64)
def _numbers(count: int) -> Struct:
    return Struct(f"={count}Q")
