"""A state of an LMDB file that is on disk, and the way back to it when nobody knows what else is.

Whoever commits without a flush has, after a crash of the machine, a file in which pages of many states stand
side by side. But LMDB overwrites no page that a reader can see. So if there is a reader at some state, and
then the file is flushed, all pages of that state are on disk, and stay what they are for as long as there is
the reader, whatever is written, lost or half written after it. All but one: which pages those are stands in
the meta page, and of meta pages there are two, used in turn. A copy of it is kept in a file of its own:

    restore-point    SHA-256 of the rest, 32 bytes; the inode of the file, u64; the meta page, without what
                     means nothing; integers in the machine's order

To go back is to put the copy where LMDB looks for it. Not in a file of another inode: that is a copy, and who
copies a file while it is written gets pages of different times.
"""

import os
import sys
from hashlib import sha256
from pathlib import Path

from eventlog.errors import Damaged
from eventlog.lmdb_accounts import refuse_if_pages_are_not_accounted_for
from eventlog.lmdb_meta import META_BYTES, write_raw
from eventlog.writing_out import flush

_DIGEST_BYTES = 32
_INODE_BYTES = 8


def write_restore_point(path: Path, file: Path, raw_meta: bytes) -> None:
    """Durable on return, and whole or not at all: what stood there before is good until then."""
    unfinished = path.with_name(f"{path.name}.new")
    noted = _inode(file) + raw_meta
    with unfinished.open("wb") as opened:
        opened.write(sha256(noted).digest() + noted)
        opened.flush()
        os.fsync(opened.fileno())
    unfinished.replace(path)
    flush(path.parent)


def remove_restore_point(path: Path) -> None:
    """Durable on return. To be called before anything overwrites the pages that it stands for."""
    if path.exists():
        path.unlink()
        flush(path.parent)


def go_back(file: Path, path: Path) -> bool:
    """Make a file what it was at its restore point, durably; False if there is none that can be trusted."""
    if not file.exists() or not path.exists():
        return False
    stored = path.read_bytes()
    digest, noted = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
    inode, raw = noted[:_INODE_BYTES], noted[_INODE_BYTES:]
    if sha256(noted).digest() != digest or inode != _inode(file) or len(raw) != META_BYTES:
        return False
    try:
        meta = write_raw(file, raw)
        # A disk that said too early that it was done would show here, in most cases.
        refuse_if_pages_are_not_accounted_for(file, [meta], meta.transaction, has_failed=False)
    except Damaged:
        return False
    return True


def _inode(file: Path) -> bytes:
    return file.stat().st_ino.to_bytes(_INODE_BYTES, sys.byteorder)
