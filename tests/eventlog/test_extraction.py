"""Entries come out of a damaged log up to the damage, whatever it does to who reads it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench.torture.log_writer import LogWriter
from eventlog.envelope import HEADER
from eventlog.errors import Damaged
from eventlog.extraction import CHUNK_ENTRIES, Extraction
from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_log import LmdbLog, LmdbStore
from eventlog.log import Entry
from tests.harness.damage import HEAD, LEAF, OVERFLOW, cut_off_before_a_page, flip_bit, make_log, zero


@pytest.fixture(scope="session")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    make_log(path)
    return path


@pytest.fixture
def path(whole_log: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole_log, tmp_path / "log")


def extracted(extraction: Extraction) -> tuple[list[Entry], str]:
    """What comes out, and what ended it."""
    entries: list[Entry] = []
    try:
        for chunk in extraction.chunks():
            entries += chunk
    except Damaged as damage:
        return entries, str(damage)
    return entries, ""


async def entries_of(path: Path) -> list[Entry]:
    log = await LmdbLog.open(path, read_only=True)
    try:
        return [entry async for entry in log.read()]
    finally:
        await log.close()


def test_all_of_a_whole_log_comes_out(whole_log: Path) -> None:
    extraction = Extraction(whole_log)
    entries, damage = extracted(extraction)
    assert (len(entries), damage, extraction.position) == (HEAD, "", HEAD)
    assert extraction.chain == entries[-1].chain


def test_what_came_out_makes_the_same_log(whole_log: Path, tmp_path: Path) -> None:
    extraction = Extraction(whole_log)
    copy = LmdbStore(tmp_path / "copy", identity=extraction.identity, free_bytes_min=0)
    for chunk in extraction.chunks():
        copy.append_entries(chunk)
    copy.close()
    assert asyncio.run(entries_of(tmp_path / "copy")) == asyncio.run(entries_of(whole_log))
    assert Extraction(tmp_path / "copy").identity == extraction.identity


def test_what_does_not_continue_is_not_appended(whole_log: Path, tmp_path: Path) -> None:
    first, second, third, *_ = extracted(Extraction(whole_log))[0]
    copy = LmdbStore(tmp_path / "copy", free_bytes_min=0)
    copy.append_entries([first])
    with pytest.raises(Damaged, match="entry 2: it does not continue this log"):
        copy.append_entries([third])
    assert (copy.append_entries([second]), copy.chain) == (2, second.chain)
    copy.close()


@pytest.mark.parametrize("position", [1, 2, 1234, CHUNK_ENTRIES, CHUNK_ENTRIES + 1, HEAD])
def test_it_ends_before_a_flipped_bit(path: Path, position: int) -> None:
    flip_bit(path, position, HEADER.size)
    entries, damage = extracted(Extraction(path))
    assert len(entries) == position - 1
    assert damage.startswith(f"entry {position}: wrong digest")


def test_it_ends_before_a_zeroed_leaf(path: Path) -> None:
    zero(path, 5000)
    entries, damage = extracted(Extraction(path))
    assert 0 <= 5000 - len(entries) - 1 < 50
    assert damage.startswith(f"entry {len(entries) + 1}: cannot be read: ")


@pytest.mark.parametrize("kind", [LEAF, OVERFLOW])
def test_the_reader_dies_of_a_file_cut_off(path: Path, kind: int) -> None:
    cut_off_before_a_page(path, kind)
    try:
        entries, damage = extracted(Extraction(path))
    except Damaged as error:  # if what is missing is needed to open it
        entries, damage = [], str(error)
    assert "SIGBUS" in damage
    assert len(entries) < HEAD


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no log at"):
        Extraction(tmp_path)


def test_what_is_no_log_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / DATA_FILE).write_bytes(b"something else" * 1000)
    with pytest.raises(Damaged, match="cannot be opened"):
        Extraction(tmp_path)


def test_a_live_owner_is_no_obstacle(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.start_writing()
        writer.wait_until_acknowledged(500)
        extraction = Extraction(tmp_path)
        entries, damage = extracted(extraction)
    assert (len(entries), damage) == (extraction.head, "")
    assert extraction.head >= 500
