"""Makes an LMDB file forget: overwrites every byte of it that belongs to no row that is there.

LMDB never overwrites a page in place. It writes the changed copy elsewhere and leaves the old one free,
with its bytes, until it happens to be used again; and of a page that is copied only what is used is
copied, so that between the rows lies what was in that memory before. What was erased has to be gone from
all of that: from pages that no table reaches, from the gaps in those that one does, from the rest of
large values' last pages, and from what lies past the last page. (A single byte between two rows, which
makes a row's length even, may stay.)

So the trees are walked from the meta page down with plain reads, and zeros are written into the file
wherever no row is and something else than zeros stands. LMDB reads none of these bytes before it writes
them; so nothing is at risk if the process or the machine stops in the middle. There are two conditions:
nobody may write through LMDB meanwhile, and nobody may look at an older state, whose pages are free by
now (`is_read_by_others`).

The format is that of LMDB 0.9, on a 64-bit machine, without duplicate keys. Page header: number u64, pad
u16, flags u16, then lower and upper end of the gap (u16 each) or how many pages a large value takes (u32).
Node: size u32 (or page, 48 bits, in branches), flags u16, key size u16, key, data.

Measured (2 cores, a log of 400,000 entries in 50,000 pages, cached): 140,000 pages/s the first time, with
7 MB to overwrite, 230,000 when there is nothing to do.
"""

import mmap
import os
from pathlib import Path
from struct import Struct

from eventlog.errors import Damaged
from eventlog.lmdb_meta import read_meta

_PAGE_HEADER = Struct("=QHHHH")
_OVERFLOW_PAGES = Struct("=I")
_NODE = Struct("=HHHH")
_TABLE = Struct("=IHHQQQQQ")
_NUMBER = Struct("=Q")
_BRANCH, _LEAF, _OVERFLOW = 0x01, 0x02, 0x04
_LARGE_VALUE, _NESTED_TABLE = 0x01, 0x02
_META_PAGES = 2
_NO_PAGE = 2**64 - 1
_READERS_HEADER_LINES = 1


def is_read_by_others(readers: str, last_transaction: int) -> bool:
    """Does anybody look at an older state than the last one? `readers` is what LMDB's table of them says."""
    lines = (line.split() for line in readers.splitlines()[_READERS_HEADER_LINES:])
    return any(line[-1] != "-" and int(line[-1]) < last_transaction for line in lines if line)


def scrub(file: Path) -> int:
    """Overwrite what belongs to no row; returns how many bytes were something else than zeros.

    Durable on return. Raises `Damaged` if the pages do not hang together, before anything is overwritten.
    """
    meta = read_meta(file)
    descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    try:
        # The last pages may never have been written.
        length = min(meta.file_bytes, os.fstat(descriptor).st_size)
        with mmap.mmap(descriptor, length, prot=mmap.PROT_READ) as pages:
            scrubbing = _Scrubbing(descriptor, pages, meta.page_bytes)
            for root in meta.roots:
                scrubbing.reach(root)
            scrubbing.overwrite()
        scrubbing.overwrite_past(meta.file_bytes)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return scrubbing.overwritten


class _Scrubbing:
    def __init__(self, descriptor: int, pages: mmap.mmap, page_bytes: int) -> None:
        self._descriptor = descriptor
        self._pages = pages
        self._page_bytes = page_bytes
        self._is_reached = bytearray(len(pages) // page_bytes)
        self._is_reached[:_META_PAGES] = b"\1" * _META_PAGES
        self._gaps: list[tuple[int, int]] = []
        self.overwritten = 0

    def reach(self, root: int) -> None:
        """Note the pages of a tree, and the gaps in them."""
        waiting = [root] if root != _NO_PAGE else []
        while waiting:
            number = waiting.pop()
            start = self._take(number, 1)
            stored_number, _, flags, lower, upper = _PAGE_HEADER.unpack_from(self._pages, start)
            is_sound = _PAGE_HEADER.size <= lower <= upper <= self._page_bytes
            if stored_number != number or not flags & (_BRANCH | _LEAF) or not is_sound:
                raise Damaged(f"page {number} is not a page of a table")
            if lower < upper:
                self._gaps.append((start + lower, start + upper))
            count = (lower - _PAGE_HEADER.size) // 2
            offsets = Struct(f"={count}H").unpack_from(self._pages, start + _PAGE_HEADER.size)
            for offset in offsets:
                below = self._below(start + offset, is_branch=bool(flags & _BRANCH))
                if below != _NO_PAGE:
                    waiting.append(below)

    def overwrite(self) -> None:
        for start, end in self._gaps:
            self._zero(start, end)
        for number, is_reached in enumerate(self._is_reached):
            if not is_reached:
                self._zero(number * self._page_bytes, (number + 1) * self._page_bytes)

    def overwrite_past(self, end: int) -> None:
        """Transactions that were given up leave pages there. Most of the rest has no blocks on the disk."""
        length = os.fstat(self._descriptor).st_size
        while end < length:
            try:
                start = os.lseek(self._descriptor, end, os.SEEK_DATA)
            except OSError:  # there is nothing more
                return
            end = os.lseek(self._descriptor, start, os.SEEK_HOLE)
            for at in range(start, end, self._page_bytes):
                self._write_zeros(at, os.pread(self._descriptor, min(self._page_bytes, end - at), at))

    def _below(self, node: int, *, is_branch: bool) -> int:
        """The page that a node leads to, if it leads to one."""
        low, high, flags, key_bytes = _NODE.unpack_from(self._pages, node)
        if is_branch:
            return int(low | high << 16 | flags << 32)
        data = node + _NODE.size + key_bytes
        if flags & _NESTED_TABLE:
            return int(_TABLE.unpack_from(self._pages, data)[-1])
        if flags & _LARGE_VALUE:
            self._reach_large_value(_NUMBER.unpack_from(self._pages, data)[0], low | high << 16)
        return _NO_PAGE

    def _reach_large_value(self, number: int, size: int) -> None:
        start = self._take(number, 1)
        stored_number, _, flags, _, _ = _PAGE_HEADER.unpack_from(self._pages, start)
        [count] = _OVERFLOW_PAGES.unpack_from(self._pages, start + _PAGE_HEADER.size - _OVERFLOW_PAGES.size)
        end = _PAGE_HEADER.size + size
        if stored_number != number or not flags & _OVERFLOW or end > count * self._page_bytes:
            raise Damaged(f"page {number} does not begin a value of {size} bytes")
        self._take(number + 1, count - 1)
        self._gaps.append((start + end, start + count * self._page_bytes))

    def _take(self, number: int, count: int) -> int:
        if number + count > len(self._is_reached) or any(self._is_reached[number : number + count]):
            raise Damaged(f"page {number} is past the end, or in use twice")
        self._is_reached[number : number + count] = b"\1" * count
        return number * self._page_bytes

    def _zero(self, start: int, end: int) -> None:
        self._write_zeros(start, self._pages[start:end])

    def _write_zeros(self, start: int, present: bytes) -> None:
        zeros = bytes(len(present))
        if present != zeros:
            os.pwrite(self._descriptor, zeros, start)
            self.overwritten += len(present)
