"""What an LMDB data file says about itself, read from its first pages without mapping it.

LMDB maps its file and trusts it. Before it gets to see the file, its length can be compared with
what the meta pages claim; `lmdb_file` does that.

The format is LMDB 0.9's (data version 1): page header of 16 bytes; magic u32, version u32, address
u64, map size u64, two tables of 48 bytes (the first begins with the page size, u32), last page
u64, transaction u64. Integers are in the machine's own order.
"""

from pathlib import Path
from struct import Struct
from typing import NamedTuple

from eventlog.errors import Damaged

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1
_PAGE_HEADER_BYTES = 16
_META = Struct("=IIQQ I36xQ 40xQ QQ")
_PAGE_BYTES_MIN, _PAGE_BYTES_MAX = 256, 0x8000


class Meta(NamedTuple):
    """One of the two meta pages. LMDB goes by the one with the higher transaction."""

    page_bytes: int
    last_page: int
    transaction: int
    roots: tuple[int, int]
    """The pages at the root of the two tables that LMDB keeps itself: of free pages, and of tables."""

    @property
    def file_bytes(self) -> int:
        """How long a file is that holds every page up to the last."""
        return (self.last_page + 1) * self.page_bytes


def read_meta(file: Path) -> Meta:
    """The meta page that LMDB would go by. Raises `Damaged` if LMDB would refuse the file, or should.

    Transactions use the two pages in turn. A number that is not in turn was changed by nobody who commits,
    and LMDB, which goes by the higher one, would pass over the last commit and never say so.
    """
    pages = _read_pages(file)
    while not _are_in_turn(*pages):
        before, pages = pages, _read_pages(file)
        if pages == before:  # and not two pages of different times, beside somebody who commits
            first, second = pages
            raise Damaged(
                f"{file}: the meta pages are of transactions {first.transaction} and {second.transaction}, "
                "which do not follow each other; the last commit may be lost. Restore it from a copy, or "
                "save what can be read: roomlog salvage"
            )
    return max(pages, key=lambda meta: meta.transaction)


def _read_pages(file: Path) -> tuple[Meta, Meta]:
    with file.open("rb") as opened:
        first = _parse(opened.read(_PAGE_HEADER_BYTES + _META.size), file, page=0)
        opened.seek(first.page_bytes)
        second = _parse(opened.read(_PAGE_HEADER_BYTES + _META.size), file, page=1)
    return first, second


def _are_in_turn(first: Meta, second: Meta) -> bool:
    even, odd = first.transaction, second.transaction
    is_new = even == odd == 0  # both are of the file's making
    return is_new or (even % 2 == 0 and odd % 2 == 1 and abs(even - odd) == 1)


def _parse(data: bytes, file: Path, *, page: int) -> Meta:
    if len(data) < _PAGE_HEADER_BYTES + _META.size:
        raise Damaged(f"{file} is cut off inside meta page {page}: {file.stat().st_size} bytes found")
    magic, version, _, _, page_bytes, free, main, last_page, transaction = _META.unpack_from(
        data, _PAGE_HEADER_BYTES
    )
    if magic != _MAGIC or not _PAGE_BYTES_MIN <= page_bytes <= _PAGE_BYTES_MAX:
        raise Damaged(f"{file}: page {page} is not an LMDB meta page")
    if version != _DATA_VERSION:
        raise Damaged(f"{file}: LMDB data version {version}; only {_DATA_VERSION} (LMDB 0.9) is supported")
    return Meta(page_bytes, last_page, transaction, (free, main))
