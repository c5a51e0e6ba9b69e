"""What an LMDB data file says about itself, read from its first pages without mapping it.

LMDB maps its file and trusts it. Before it gets to see the file, its length can be compared with
what the meta pages claim; `lmdb_file` does that.

The format is LMDB 0.9's (data version 1): page header of 16 bytes (number u64, pad u16, flags u16, 4 bytes
unused); magic u32, version u32, address u64, map size u64, two tables of 48 bytes (the first begins with
the page size, u32), last page u64, transaction u64. Integers are in the machine's own order.

Whether the tables and the last page are true only the pages themselves can tell: `lmdb_accounts`.
"""

import os
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from eventlog.errors import Damaged

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_META_FLAG = 0x08
TABLE = Struct("=IHHQQQQQ")
_META = Struct("=Q2xH4x IIQQ 48s48s QQ")
META_BYTES = _META.size
"""With the page header. What comes after it in a meta page means nothing."""

_PAGE_BYTES_MIN, _PAGE_BYTES_MAX = 256, 0x8000
_MAP_BYTES_MAX = 2**46
"""Larger than any disk, and about the last that a process can map."""


class Table(NamedTuple):
    """What LMDB has on record about one of its tables."""

    pad: int
    flags: int
    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int


class Meta(NamedTuple):
    """One of the two meta pages. LMDB goes by the one with the higher transaction."""

    page_bytes: int
    last_page: int
    transaction: int
    free: Table
    """Of free pages. Where others have their pad, it has the page size."""
    main: Table
    """Of tables."""

    @property
    def roots(self) -> tuple[int, int]:
        return self.free.root, self.main.root

    @property
    def file_bytes(self) -> int:
        """How long a file is that holds every page up to the last."""
        return (self.last_page + 1) * self.page_bytes


def read_meta(file: Path) -> Meta:
    """The meta page that LMDB would go by. Raises `Damaged` if LMDB would refuse the file, or should.

    Transactions use the two pages in turn. A number that is not in turn was changed by nobody who commits,
    and LMDB, which goes by the higher one, would pass over the last commit and never say so.
    """
    pages = read_pages(file)
    while not _are_in_turn(*pages):
        before, pages = pages, read_pages(file)
        if pages == before:  # and not two pages of different times, beside somebody who commits
            first, second = pages
            raise Damaged(
                f"{file}: the meta pages are of transactions {first.transaction} and {second.transaction}, "
                "which do not follow each other; the last commit may be lost. Restore it from a copy, or "
                "save what can be read: roomlog salvage"
            )
    return max(pages, key=lambda meta: meta.transaction)


def read_pages(file: Path) -> tuple[Meta, Meta]:
    """Both, whatever their numbers say. Raises `Damaged` as `read_meta` does."""
    with file.open("rb") as opened:
        first = _parse(opened.read(_META.size), file, page=0)
        opened.seek(first.page_bytes)
        second = _parse(opened.read(_META.size), file, page=1)
    if first.page_bytes != second.page_bytes:
        raise Damaged(f"{file}: pages are of {first.page_bytes} or of {second.page_bytes} bytes")
    return first, second


def read_raw(file: Path, transaction: int) -> bytes:
    """The meta page of a transaction as it stands in the file. Raises `Damaged` if neither is of that one."""
    page_bytes = read_pages(file)[0].page_bytes
    with file.open("rb", buffering=0) as opened:
        raw = os.pread(opened.fileno(), META_BYTES, transaction % 2 * page_bytes)
    if _parse(raw, file, page=transaction % 2).transaction != transaction:
        raise Damaged(f"{file}: no meta page is of transaction {transaction}")
    return raw


def write_raw(file: Path, raw: bytes) -> Meta:
    """Make this the meta page that LMDB goes by, durably.

    In the other place stands the same, as if it were of the commit before: that is what LMDB overwrites next.
    """
    _, *fields, transaction = _META.unpack(raw)
    page = transaction % 2
    meta = _parse(raw, file, page=page)
    with file.open("rb+", buffering=0) as opened:
        os.pwrite(opened.fileno(), raw, page * meta.page_bytes)
        other = _META.pack(1 - page, *fields, transaction - 1)
        os.pwrite(opened.fileno(), other, (1 - page) * meta.page_bytes)
        os.fsync(opened.fileno())
    return meta


def _are_in_turn(first: Meta, second: Meta) -> bool:
    even, odd = first.transaction, second.transaction
    is_new = even == odd == 0  # both are of the file's making
    return is_new or (even % 2 == 0 and odd % 2 == 1 and abs(even - odd) == 1)


def _parse(data: bytes, file: Path, *, page: int) -> Meta:
    if len(data) < _META.size:
        raise Damaged(f"{file} is cut off inside meta page {page}: {file.stat().st_size} bytes found")
    number, flags, magic, version, _, map_bytes, free, main, last_page, transaction = _META.unpack(data)
    free_table, main_table = Table(*TABLE.unpack(free)), Table(*TABLE.unpack(main))
    page_bytes = free_table.pad
    is_meta = magic == _MAGIC and number == page and flags == _META_FLAG
    if not is_meta or not _PAGE_BYTES_MIN <= page_bytes <= _PAGE_BYTES_MAX or page_bytes.bit_count() != 1:
        raise Damaged(f"{file}: page {page} is not an LMDB meta page")
    if version != _DATA_VERSION:
        raise Damaged(f"{file}: LMDB data version {version}; only {_DATA_VERSION} (LMDB 0.9) is supported")
    if map_bytes > _MAP_BYTES_MAX:
        raise Damaged(f"{file}: meta page {page} is of a map of {map_bytes} bytes, which no machine has")
    return Meta(page_bytes, last_page, transaction, free_table, main_table)
