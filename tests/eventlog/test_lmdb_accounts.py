"""A flipped bit in a meta page is found, or does no harm; and nothing is found in a file that is whole.

The table goes through every byte of both meta pages. *Newest* is the page that LMDB goes by, *older* the
other one, which the next commit writes anew from its map size on, before anybody has read it.
"""

import asyncio
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.torture.lmdb_pages import Kind, kinds_of
from eventlog.check import inspect, walk
from eventlog.errors import Damaged
from eventlog.lmdb_file import DATA_FILE, failed_commit_note, refuse_if_unaccounted
from eventlog.lmdb_log import LmdbLog, LmdbStore
from eventlog.lmdb_meta import read_meta, read_pages
from eventlog.verifying import Finding
from tests.harness.damage import PAGE_BYTES

FOUND = "found"
NOT_READ = "harmless: LMDB reads it in no meta page, or only with a flag that is not used here"
WRITTEN_ANEW = "harmless: the next commit writes it anew before anybody reads it"
RAISED = "harmless: a map is never smaller than the file, grows by itself, and nothing else depends on it"

MAP_BITS = 46
"""More is no map that a process could have."""

HEAD = 300


class Field(NamedTuple):
    name: str
    offset: int
    size: int
    newest: str
    older: str


FIELDS = [
    Field("header: number", 0, 8, FOUND, FOUND),
    Field("header: pad", 8, 2, NOT_READ, NOT_READ),
    Field("header: flags", 10, 2, FOUND, FOUND),
    Field("header: lower and upper end", 12, 4, NOT_READ, NOT_READ),
    Field("magic", 16, 4, FOUND, FOUND),
    Field("version", 20, 4, FOUND, FOUND),
    Field("address", 24, 8, NOT_READ, NOT_READ),
    Field("map size", 32, 8, RAISED, RAISED),
    Field("free pages: pad, the page size", 40, 4, FOUND, FOUND),
    Field("free pages: flags", 44, 2, FOUND, WRITTEN_ANEW),
    Field("free pages: depth", 46, 2, FOUND, WRITTEN_ANEW),
    Field("free pages: branches", 48, 8, FOUND, WRITTEN_ANEW),
    Field("free pages: leaves", 56, 8, FOUND, WRITTEN_ANEW),
    Field("free pages: pages of large values", 64, 8, FOUND, WRITTEN_ANEW),
    Field("free pages: rows", 72, 8, FOUND, WRITTEN_ANEW),
    Field("free pages: root", 80, 8, FOUND, WRITTEN_ANEW),
    Field("tables: pad", 88, 4, FOUND, WRITTEN_ANEW),
    Field("tables: flags", 92, 2, FOUND, WRITTEN_ANEW),
    Field("tables: depth", 94, 2, FOUND, WRITTEN_ANEW),
    Field("tables: branches", 96, 8, FOUND, WRITTEN_ANEW),
    Field("tables: leaves", 104, 8, FOUND, WRITTEN_ANEW),
    Field("tables: pages of large values", 112, 8, FOUND, WRITTEN_ANEW),
    Field("tables: rows", 120, 8, FOUND, WRITTEN_ANEW),
    Field("tables: root", 128, 8, FOUND, WRITTEN_ANEW),
    Field("last page", 136, 8, FOUND, WRITTEN_ANEW),
    Field("transaction", 144, 8, FOUND, FOUND),
    Field("the rest", 152, PAGE_BYTES - 152, NOT_READ, NOT_READ),
]
BY_NAME = {field.name: field for field in FIELDS}


class Place(NamedTuple):
    """A field of one of the two pages, and what becomes of a bit flipped there."""

    field: Field
    is_newest: bool

    @property
    def fate(self) -> str:
        return self.field.newest if self.is_newest else self.field.older

    def __str__(self) -> str:
        return f"{'newest' if self.is_newest else 'older'}: {self.field.name}"

    def start(self, path: Path) -> int:
        """Of the field, in the file."""
        is_odd = read_meta(path / DATA_FILE).transaction % 2 == int(self.is_newest)
        return is_odd * PAGE_BYTES + self.field.offset

    def bits(self) -> range:
        """All of them; of what is harmless one of each byte, and some of those that are nothing at all."""
        if self.fate == FOUND:
            return range(8 * self.field.size)
        if self.fate == RAISED:
            return range(0, MAP_BITS, 3)
        return range(3, 8 * self.field.size, 8 if self.field.size <= 8 else 8 * 500 + 1)


PLACES = [Place(field, is_newest) for field in FIELDS for is_newest in (True, False)]
FATAL = [place for place in PLACES if place.fate == FOUND]
HARMLESS = [place for place in PLACES if place.fate != FOUND]
each_page = pytest.mark.parametrize("is_newest", [True, False], ids=["newest", "older"])


def payload(position: int) -> bytes:
    return b"%d." % position * (3_000 if position % 50 == 0 else 30)


async def fill(path: Path) -> None:
    log = await LmdbLog.open(path, free_bytes_min=0)
    for head in range(0, HEAD, 3):
        await log.append([payload(position) for position in range(head + 1, head + 4)], after=head)
    await log.erase({50: b"", 51: b"", 100: b"less"}, ordered_by=200)
    await log.append([b"the last"], after=HEAD)
    await log.close()


@pytest.fixture(scope="module")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    asyncio.run(fill(path))
    return path


@pytest.fixture
def path(whole_log: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole_log, tmp_path / "log")


def flip(path: Path, start: int, bit: int) -> None:
    with (path / DATA_FILE).open("r+b") as file:
        file.seek(start + bit // 8)
        [byte] = file.read(1)
        file.seek(start + bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def is_refused(path: Path) -> bool:
    """As everybody does who opens a log for writing: plain reads, the same that `check` does."""
    try:
        refuse_if_unaccounted(path)
    except Damaged:
        return True
    return False


def findings(path: Path) -> list[str]:
    return [report.what for report in inspect(path) if isinstance(report, Finding)]


def findings_here(path: Path) -> list[str]:
    """Without a child process, for who knows that LMDB will not crash."""
    return [report.what for report in walk(path) if isinstance(report, Finding)]


def open_store(path: Path) -> LmdbStore:
    return LmdbStore(path, free_bytes_min=0, unsafe_no_flush=True)


def test_the_table_has_every_byte_of_a_meta_page() -> None:
    ends = [field.offset + field.size for field in FIELDS]
    assert [0, *ends] == [*(field.offset for field in FIELDS), PAGE_BYTES]


@pytest.mark.parametrize("place", FATAL, ids=str)
def test_every_flipped_bit_is_found(path: Path, place: Place) -> None:
    start = place.start(path)
    for bit in place.bits():
        flip(path, start, bit)
        assert is_refused(path), bit
        flip(path, start, bit)
    assert not is_refused(path)


@pytest.mark.parametrize("place", FATAL, ids=str)
def test_check_finds_it(path: Path, place: Place) -> None:
    flip(path, place.start(path), 1)
    assert findings(path)


@each_page
def test_a_map_that_nobody_could_have_is_found(path: Path, is_newest: bool) -> None:
    start = Place(BY_NAME["map size"], is_newest).start(path)
    for bit in range(MAP_BITS, 64):
        flip(path, start, bit)
        assert is_refused(path), bit
        flip(path, start, bit)


def use(path: Path) -> bytes:
    """Read all of a log and add to it; returns what its meta pages say then, but for the map size."""
    with closing(open_store(path)) as store:
        after, previous = 0, None
        while after < store.head:
            for entry in store.read(after, store.head, previous):
                after, previous = entry.position, entry.chain
        assert after == HEAD + 1
        for _ in range(2):
            store.append([b"one more"], store.head)
    with (path / DATA_FILE).open("rb") as file:
        pages = file.read(2 * PAGE_BYTES)
    return pages[40:152] + pages[PAGE_BYTES + 40 : PAGE_BYTES + 152]


@pytest.mark.parametrize("place", HARMLESS, ids=str)
def test_what_is_not_found_does_no_harm(whole_log: Path, path: Path, tmp_path: Path, place: Place) -> None:
    """The log is read and written as if nothing had been flipped, down to the pages that are used."""
    expected = use(path)
    for bit in place.bits():
        damaged = shutil.copytree(whole_log, tmp_path / f"damaged-{bit}")
        flip(damaged, place.start(damaged), bit)
        assert findings_here(damaged) == [], bit
        assert use(damaged) == expected, bit
        assert findings_here(damaged) == [], bit
        shutil.rmtree(damaged)


@each_page
def test_a_number_that_stays_in_turn_is_found(path: Path, is_newest: bool) -> None:
    """9 and 10 become 9 and 8, 8 and 9 become 10 and 9: LMDB goes by the wrong page, and a commit is lost."""
    with closing(open_store(path)) as store:
        while not stays_in_turn(path, is_newest):
            store.append([b"one more"], store.head)
    flip(path, Place(BY_NAME["transaction"], is_newest).start(path), 1)
    first, second = (page.transaction for page in read_pages(path / DATA_FILE))
    assert abs(first - second) == 1
    assert is_refused(path)
    assert any("transaction" in finding for finding in findings(path))


def test_what_lmdb_leaves_of_a_commit_that_failed_is_not_held_against_the_log(path: Path) -> None:
    """It puts back the number of the commit before, and not what else the page said; that is on note."""
    with closing(open_store(path)) as store:
        while not stays_in_turn(path, is_newest=True):
            store.append([b"one more"], store.head)
        head = store.head
    flip(path, Place(BY_NAME["transaction"], is_newest=True).start(path), 1)
    failed_commit_note(path).touch()
    assert findings(path) == []
    with closing(open_store(path)) as store:
        assert store.head == head - 1
        store.append([b"and on it goes"], store.head)
    assert not failed_commit_note(path).exists()
    assert findings(path) == []


def stays_in_turn(path: Path, is_newest: bool) -> bool:
    """With the second bit of its number flipped."""
    newest = read_meta(path / DATA_FILE).transaction
    return newest & 2 != 0 if is_newest else (newest - 1) & 2 == 0


# Pages


def test_a_page_that_is_listed_as_free_but_in_use_is_found(path: Path) -> None:
    """As after a flipped bit in the list of free pages itself; the next commit would overwrite an entry."""
    file = path / DATA_FILE
    contents, kinds = bytearray(file.read_bytes()), kinds_of(file)
    start = read_meta(file).free.root * PAGE_BYTES
    free = max(number for number, kind in enumerate(kinds) if kind is Kind.FREE)
    listed = free.to_bytes(8, sys.byteorder)
    used = kinds.index(Kind.LEAF)
    place = contents.index(listed, start, start + PAGE_BYTES)
    contents[place : place + 8] = used.to_bytes(8, sys.byteorder)
    file.write_bytes(contents)
    assert is_refused(path)
    assert f"page {used} has two uses, or is in use and free" in findings(path)[0]


# Beside somebody who writes


@pytest.fixture
def busy_log(path: Path) -> Iterator[Path]:
    """Somebody commits without a pause: large values, erasures and scrubbing, so that pages are freed."""
    is_over = threading.Event()
    store = open_store(path)

    def write() -> None:
        while not is_over.is_set():
            head = store.append([b"small" * 20, b"large" * 2_000], store.head)
            store.append([b"order"], head)
            store.erase({head: b"", head - 1: b"less"}, head + 1)
            if head % 50 == 0:
                store.scrub()

    thread = threading.Thread(target=write)
    thread.start()
    yield path
    is_over.set()
    thread.join()
    store.close()


def test_nothing_is_found_beside_somebody_who_writes(busy_log: Path) -> None:
    before = read_meta(busy_log / DATA_FILE).transaction
    for _ in range(10):
        assert findings(busy_log) == []
    assert read_meta(busy_log / DATA_FILE).transaction > before + 10
