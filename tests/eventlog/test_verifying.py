"""Verified in pieces, by one or by two, a log is found to be what it is on the whole."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog import check
from eventlog.compression import Compression
from eventlog.envelope import NO_PREVIOUS, erase, seal
from eventlog.log import Position
from eventlog.reading_child import command, environment
from eventlog.verifying import Assistant, Finding, Replaced, Stretch, Verdict, verify
from projections.dictionary import entry_dictionary
from tests.harness.damage import flip_bit, make_log

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
    return verify(Stretch(entries, 1, NO_PREVIOUS), Compression(DICTIONARY))


def in_pieces(entries: list[tuple[Position, bytes]], size: int) -> list[Verdict]:
    verdicts: list[Verdict] = []
    expected = 1
    previous: bytes | None = NO_PREVIOUS
    for start in range(0, len(entries), size):
        stretch = Stretch(entries[start : start + size], expected, previous)
        verdicts += verify(stretch, Compression(DICTIONARY))
        expected, previous = stretch.entries[-1][0] + 1, stretch.chain
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


def test_an_assistant_finds_the_same() -> None:
    entries = log_of(ENTRIES)
    entries[4] = 5, entries[4][1][:-1] + b"?"
    with Assistant(DICTIONARY) as assistant:
        for stretch in (Stretch(entries, 1, NO_PREVIOUS), Stretch(entries[:3], 1, NO_PREVIOUS)):
            assistant.begin(stretch)
            assert assistant.end() == verify(stretch, Compression(DICTIONARY))


def test_an_assistant_ends_with_who_started_it() -> None:
    alone = subprocess.Popen(command("eventlog.verifying"), stdin=subprocess.PIPE, env=environment())
    assert alone.stdin is not None
    alone.stdin.close()
    assert alone.wait(SECONDS) == 0


def test_who_works_with_an_assistant_that_is_gone_is_told() -> None:
    assistant = Assistant(DICTIONARY)
    assistant.begin(Stretch(log_of(1), 1, NO_PREVIOUS))
    assistant.end()
    with assistant:
        pass
    with pytest.raises((EOFError, OSError, ValueError)):
        assistant.end()


@pytest.mark.parametrize("chunk", [100, 512, 4_096])
def test_a_walk_of_two_reports_what_a_walk_of_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    make_log(tmp_path)
    for position in (3, 8, 500):
        flip_bit(tmp_path, position, 90)
    monkeypatch.setattr(check, "CHUNK_ENTRIES", chunk)
    alone = [report for report in check.walk(tmp_path) if isinstance(report, Finding)]
    monkeypatch.setattr(check, "ENTRIES_FOR_TWO", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert [report for report in check.walk(tmp_path) if isinstance(report, Finding)] == alone
    assert [report.position for report in alone] == [3, 8, 500]
