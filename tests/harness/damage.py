"""A log that is worth damaging, and the ways in which disks damage one."""

import asyncio
import os
import sys
from pathlib import Path

from eventlog.envelope import HEADER
from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_log import LmdbLog
from eventlog.log import Position

HEAD = 6000
"""Enough for a table three pages deep and for more than one chunk of a walk."""

LONG = 3000
"""The position of the one entry that LMDB keeps on pages of its own."""

PAGE_BYTES = 4096
BRANCH, LEAF, OVERFLOW = 1, 2, 4


def payload_at(position: Position) -> bytes:
    """Unique, so that its bytes can be found in the file."""
    return b"<%08d>" % position * (5000 if position == LONG else 30)


def make_log(path: Path, entries: int = HEAD) -> None:
    """A whole log in the directory `path`."""

    async def fill() -> None:
        log = await LmdbLog.open(path, free_bytes_min=0)
        for head in range(0, entries, 50):
            await log.append([payload_at(position) for position in range(head + 1, head + 51)], after=head)
        await log.close()

    asyncio.run(fill())


def flip_bit(path: Path, position: Position, offset: int) -> None:
    """In every page that holds the entry, those that LMDB left behind when it copied it included."""
    data = (path / DATA_FILE).read_bytes()
    payload = payload_at(position)
    assert payload in data
    header = data[data.index(payload) - HEADER.size : data.index(payload)]
    flipped = bytearray(header + payload)
    flipped[offset] ^= 0b100
    (path / DATA_FILE).write_bytes(data.replace(header + payload, flipped))


def zero(path: Path, position: Position) -> None:
    """Every leaf that holds the entry, as a disk does that loses a sector and says nothing."""
    with (path / DATA_FILE).open("r+b") as file:
        for number, page in enumerate(pages(path)):
            if payload_at(position) in page:
                file.seek(number * PAGE_BYTES)
                file.write(bytes(PAGE_BYTES))


def cut_off_before_a_page(path: Path, kind: int) -> int:
    """Behind the first twenty pages; returns how long the file is now."""
    kinds = [page_kind(page) for page in pages(path)]
    first = min(number for number, other in enumerate(kinds) if other == kind and number > 20)
    os.truncate(path / DATA_FILE, first * PAGE_BYTES)
    return first * PAGE_BYTES


def pages(path: Path) -> list[bytes]:
    data = (path / DATA_FILE).read_bytes()
    return [data[at : at + PAGE_BYTES] for at in range(0, len(data), PAGE_BYTES)]


def page_kind(page: bytes) -> int:
    return int.from_bytes(page[10:12], sys.byteorder)
