"""Verified in pieces, by one or by two, a log is found to be what it is on the whole."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import check
from eventlog.compression import Compression
from eventlog.envelope import NO_PREVIOUS, erase, seal
from eventlog.lmdb_file import LmdbTables
from eventlog.log import Position
from eventlog.reading_child import command, environment
from eventlog.verifying import (
    Assistant,
    Finding,
    Replaced,
    Verdict,
    Verified,
    chain_said_by,
    read_and_verify,
    verify,
)
from projections.dictionary import entry_dictionary
from tests.harness.damage import flip_bit, make_log, zero

DICTIONARY = entry_dictionary()
ENTRIES = 12
SECONDS = 30


def log_of(count: int) -> list[tuple[Position, bytes]]:
    entries, previous = [], NO_PREVIOUS
    for position in range(1, count + 1):
        payload = b'{"fact":"room_event"}' * position
        data, previous = seal(position, payload, previous, Compression(DICTIONARY))
        entries.append((position, data))
    return entries


def in_one(entries: list[tuple[Position, bytes]]) -> list[Verdict]:
    return verify(entries, 1, NO_PREVIOUS, Compression(DICTIONARY))


def in_pieces(entries: list[tuple[Position, bytes]], size: int) -> list[Verdict]:
    verdicts: list[Verdict] = []
    expected = 1
    previous: bytes | None = NO_PREVIOUS
    for start in range(0, len(entries), size):
        piece = entries[start : start + size]
        verdicts += verify(piece, expected, previous, Compression(DICTIONARY))
        expected, previous = piece[-1][0] + 1, chain_said_by(piece[-1][1])
    return verdicts


def test_nothing_is_wrong_with_a_whole_log() -> None:
    assert in_one(log_of(ENTRIES)) == []


@given(
    missing=st.sets(st.integers(1, ENTRIES - 1), max_size=2),
    flipped=st.lists(st.tuples(st.integers(0, ENTRIES - 3), st.integers(0, 60)), max_size=3),
    erased=st.sets(st.integers(1, ENTRIES - 1), max_size=2),
    size=st.integers(1, ENTRIES),
)
def test_the_same_is_found_in_pieces(
    missing: set[int], flipped: list[tuple[int, int]], erased: set[int], size: int
) -> None:
    entries = [
        (at, erase(data, b"gone", ENTRIES + 1) if at in erased else data)
        for at, data in log_of(ENTRIES)
        if at not in missing
    ]
    for place, byte in flipped:
        position, data = entries[place % len(entries)]
        changed = bytearray(data)
        changed[byte % len(data)] ^= 1
        entries[place % len(entries)] = position, bytes(changed)
    assert in_pieces(entries, size) == in_one(entries)


def test_what_was_erased_is_told() -> None:
    entries = log_of(3)
    entries[0] = 1, erase(entries[0][1], b"gone", 3)
    [told] = in_one(entries)
    assert isinstance(told, Replaced)
    assert (told.position, told.ordered_by) == (1, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    make_log(path, 200)
    return path


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Path:
    """Entries 5, 6 and 7 are missing, and 100 is not what it was."""
    path = tmp_path / "log"
    shutil.copytree(whole, path)
    flip_bit(path, 100, 90)
    remove(path, 5, 6, 7)
    return path


def remove(path: Path, *positions: Position) -> None:
    opened = lmdb.open(str(path), max_dbs=2, lib_version=0)
    with opened.begin(write=True) as transaction:
        for position in positions:
            transaction.delete(position.to_bytes(8), db=opened.open_db(b"entries", transaction))
    opened.close()


def test_what_is_between_two_positions_is_verified(damaged: Path) -> None:
    with closing(LmdbTables(damaged, read_only=True)) as tables:
        assert read_and_verify(tables, 10, 20, None) == Verified(11, 20, 10, [])
        assert read_and_verify(tables, 5, 9, None) == Verified(8, 9, 2, [])
        assert read_and_verify(tables, 4, 7, None) is None
        assert read_and_verify(tables, 200, 300, None) is None


def test_the_link_to_the_entry_before_is_verified_but_at_the_beginning(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "log"
    shutil.copytree(whole, path)
    flip_bit(path, 10, 50)  # of the link to the entry before, so that the chain after it is another
    with closing(LmdbTables(path, read_only=True)) as tables:
        [broken] = said_of(read_and_verify(tables, 10, 20, None))
        assert broken.position == 11
        assert said_of(read_and_verify(tables, 10, 20, None, is_first=True)) == []


def said_of(verified: Verified | None) -> list[Verdict]:
    assert verified is not None
    return verified.verdicts


def test_an_assistant_finds_the_same(damaged: Path) -> None:
    with closing(LmdbTables(damaged, read_only=True)) as tables, Assistant(damaged) as assistant:
        for after, until in ((0, 4), (4, 7), (4, 100), (90, 500), (200, 300)):
            assistant.begin(after, until)
            assert assistant.end() == read_and_verify(tables, after, until, None)


def test_an_assistant_ends_with_who_started_it(whole: Path) -> None:
    alone = subprocess.Popen(command("eventlog.verifying", whole), stdin=subprocess.PIPE, env=environment())
    assert alone.stdin is not None
    alone.stdin.close()
    assert alone.wait(SECONDS) == 0


def test_who_works_with_an_assistant_that_is_gone_is_told(whole: Path) -> None:
    assistant = Assistant(whole)
    assistant.begin(0, 10)
    assistant.end()
    with assistant:
        pass
    with pytest.raises((EOFError, OSError, ValueError)):
        assistant.end()


def test_pages_that_end_either_of_the_two_are_found(tmp_path: Path) -> None:
    positions = [check.CHUNK_ENTRIES // 2, check.CHUNK_ENTRIES + check.CHUNK_ENTRIES // 2, 40_000]
    make_log(tmp_path, check.ENTRIES_FOR_TWO + 100)
    for position in positions:
        zero(tmp_path, position)
    found = [report for report in check.inspect(tmp_path) if isinstance(report, Finding)]
    assert len(found) == len(positions)
    for position, finding in zip(positions, found, strict=True):
        assert 0 <= position - finding.position < 50
        assert "not read" in finding.what


@pytest.mark.parametrize("chunk", [100, 512, 4_096])
def test_a_walk_of_two_reports_what_a_walk_of_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    make_log(tmp_path)
    for position in (3, 8, 500):
        flip_bit(tmp_path, position, 90)
    remove(tmp_path, *range(1_020, 1_030), 4_096)
    monkeypatch.setattr(check, "CHUNK_ENTRIES", chunk)
    alone = [report for report in check.walk(tmp_path) if isinstance(report, Finding)]
    monkeypatch.setattr(check, "ENTRIES_FOR_TWO", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert [report for report in check.walk(tmp_path) if isinstance(report, Finding)] == alone
    assert [report.position for report in alone] == [3, 8, 500, 1_020, 4_096]
