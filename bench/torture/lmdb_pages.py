"""What each page of an LMDB file is for, found by plain reads: whoever damages a page wants to know.

The format is that of LMDB 0.9, on a 64-bit machine. A page that no tree reaches is free: LMDB may use it
again, and until then nobody looks at it.
"""

from enum import Enum
from pathlib import Path
from struct import Struct

from eventlog.lmdb_meta import read_meta

_PAGE_HEADER = Struct("=QHHHH")
_NODE = Struct("=HHHH")
_NUMBER = Struct("=Q")
_OVERFLOW_PAGES = Struct("=12x I")
_ROOT_IN_TABLE = 40
_BRANCH = 0x01
_LARGE_VALUE, _NESTED_TABLE = 0x01, 0x02
_NO_PAGE = 2**64 - 1


class Kind(Enum):
    META = "meta"
    BRANCH = "branch"
    LEAF = "leaf"
    OVERFLOW = "overflow"
    FREE = "free"
    FREE_LIST = "list of free pages"


def kinds_of(file: Path) -> list[Kind]:
    """Of all pages up to the last, by their number. Of a whole file that nobody writes to."""
    meta, data = read_meta(file), file.read_bytes()
    size = meta.page_bytes
    kinds = [Kind.FREE] * (min(len(data), meta.file_bytes) // size)
    kinds[0] = kinds[1] = Kind.META
    waiting = [root for root in meta.roots if root != _NO_PAGE]
    of_free_list = {meta.free.root}
    while waiting:
        number = waiting.pop()
        start = number * size
        _, _, flags, lower, _ = _PAGE_HEADER.unpack_from(data, start)
        kinds[number] = Kind.BRANCH if flags & _BRANCH else Kind.LEAF
        if number in of_free_list:
            kinds[number] = Kind.FREE_LIST
        for offset in Struct(f"={(lower - _PAGE_HEADER.size) // 2}H").unpack_from(
            data, start + _PAGE_HEADER.size
        ):
            low, high, node_flags, key_bytes = _NODE.unpack_from(data, start + offset)
            value = start + offset + _NODE.size + key_bytes
            if flags & _BRANCH:
                waiting.append(below := low | high << 16 | node_flags << 32)
                if number in of_free_list:
                    of_free_list.add(below)
            elif node_flags & _NESTED_TABLE:
                [root] = _NUMBER.unpack_from(data, value + _ROOT_IN_TABLE)
                waiting += [root] if root != _NO_PAGE else []
            elif node_flags & _LARGE_VALUE:
                [first] = _NUMBER.unpack_from(data, value)
                [count] = _OVERFLOW_PAGES.unpack_from(data, first * size)
                kinds[first : first + count] = [Kind.OVERFLOW] * count
    return kinds
