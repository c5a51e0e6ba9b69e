"""`check` finds what is wrong with a file, says where, goes on behind it, and never dies of it."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import lmdb
import pytest

from bench.torture.log_writer import LogWriter
from eventlog.check import CHUNK_ENTRIES, Ordering, Progress, Report, decode_report, inspect
from eventlog.envelope import HEADER, chain_of, seal
from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_log import LmdbLog
from eventlog.lmdb_meta import read_meta
from eventlog.log import Position
from eventlog.reading_child import command, environment
from eventlog.verifying import Finding, Replaced
from tests.harness.damage import (
    BRANCH,
    HEAD,
    LEAF,
    LONG,
    OVERFLOW,
    PAGE_BYTES,
    cut_off_before_a_page,
    flip_bit,
    make_log,
    page_kind,
    pages,
    payload_at,
    zero,
)


@pytest.fixture(scope="session")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    make_log(path)
    return path


@pytest.fixture
def path(whole_log: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole_log, tmp_path / "log")


def findings(path: Path) -> list[Finding]:
    return [report for report in inspect(path) if isinstance(report, Finding)]


def change(path: Path, action: Callable[[lmdb.Transaction, lmdb._Database], object]) -> None:
    environment = lmdb.open(str(path), max_dbs=2)
    with environment.begin(write=True) as transaction:
        action(transaction, environment.open_db(b"entries", transaction))
    environment.close()


def key(position: Position) -> bytes:
    return position.to_bytes(8, "big")


def test_a_whole_log_has_no_findings(whole_log: Path) -> None:
    assert findings(whole_log) == []


def test_progress_runs_from_the_first_to_the_head(whole_log: Path) -> None:
    reports = list(inspect(whole_log))
    assert reports == [Progress(0, HEAD), Progress(CHUNK_ENTRIES, HEAD), Progress(HEAD, HEAD)]


def test_an_empty_log_has_no_findings(tmp_path: Path) -> None:
    asyncio.run(make_empty(tmp_path))
    assert list(inspect(tmp_path)) == [Progress(0, 0)]


async def make_empty(path: Path) -> None:
    await (await LmdbLog.open(path, free_bytes_min=0)).close()


def test_no_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no log at"):
        next(inspect(tmp_path))


def test_a_live_owner_is_no_obstacle(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.start_writing()
        writer.wait_until_acknowledged(500)
        *_, last = reports = list(inspect(tmp_path))
        assert not [report for report in reports if isinstance(report, Finding)]
        assert isinstance(last, Progress)
        assert last.position >= 500


def test_stopping_early_ends_the_child(path: Path) -> None:
    reports = inspect(path)
    next(reports)
    assert len(processes_about(path)) == 1
    del reports
    assert not processes_about(path)


def processes_about(path: Path) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that has ended meanwhile
            if os.fsencode(path) in (process / "cmdline").read_bytes():
                found.append(process)
    return found


# Bits


def test_a_flipped_bit_in_a_payload_is_found(path: Path) -> None:
    flip_bit(path, 1234, HEADER.size + 17)
    [finding] = findings(path)
    assert finding == Finding(1234, "entry 1234: wrong digest: the payload is not the one that was appended")


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (0, "cannot decode version 5"),
        (1, "cannot decode version 1, flags 0x04"),
        (3, "cannot decode version 1, flags 0x00, reserved 4"),
        (7, "300 bytes of payload are stored, its header says 296"),
        (15, "its header says position 1238"),
        (16, "wrong digest"),
        (48, "broken chain"),
    ],
)
def test_a_flipped_bit_in_a_header_is_found(path: Path, offset: int, what: str) -> None:
    flip_bit(path, 1234, offset)
    found, after = findings(path)
    assert (found.position, after.position) == (1234, 1235)
    assert what in found.what
    assert "broken chain" in after.what


def test_every_damaged_entry_is_found(path: Path) -> None:
    positions = [1, 2, 500, 5999, HEAD]
    for position in positions:
        flip_bit(path, position, HEADER.size)
    assert [finding.position for finding in findings(path)] == positions


# Entries


@pytest.mark.parametrize(
    ("removed", "what"),
    [
        (range(1, 2), "entry 1: missing"),
        (range(1234, 1235), "entry 1234: missing"),
        (range(100, 200), "entries 100 to 199: missing"),
    ],
)
def test_removed_entries_are_found(path: Path, removed: range, what: str) -> None:
    def remove(transaction: lmdb.Transaction, entries: lmdb._Database) -> None:
        for position in removed:
            transaction.delete(key(position), db=entries)

    change(path, remove)
    assert findings(path) == [Finding(removed.start, what)]


def test_swapped_entries_are_found(path: Path) -> None:
    def swap(transaction: lmdb.Transaction, entries: lmdb._Database) -> None:
        one, other = transaction.get(key(10), db=entries), transaction.get(key(20), db=entries)
        assert one is not None
        assert other is not None
        transaction.put(key(10), bytes(other), db=entries)
        transaction.put(key(20), bytes(one), db=entries)

    change(path, swap)
    found = findings(path)
    assert [finding.position for finding in found] == [10, 11, 20, 21]
    assert found[0].what == "entry 10: its header says position 20"


def test_a_replaced_entry_breaks_the_chain(path: Path) -> None:
    """One that is whole in itself, put there by somebody who knows the format."""

    def forge(transaction: lmdb.Transaction, entries: lmdb._Database) -> None:
        before = transaction.get(key(9), db=entries)
        assert before is not None
        from_memory, _ = seal(10, b"forged", chain_of(bytes(before)))
        transaction.put(key(10), from_memory, db=entries)

    change(path, forge)
    assert findings(path) == [Finding(11, "entry 11: broken chain: it does not continue the entry before it")]


# What was erased


def erase(path: Path, replacements: dict[Position, bytes], *, ordered_by: Position) -> None:
    async def run() -> None:
        log = await LmdbLog.open(path, free_bytes_min=0)
        await log.erase(replacements, ordered_by=ordered_by)
        await log.close()

    asyncio.run(run())


def of_erasures(path: Path) -> list[Report]:
    reports = inspect(path, erasures=True)
    return [report for report in reports if isinstance(report, Replaced | Ordering)]


def test_what_was_erased_is_told_with_the_entry_that_ordered_it(path: Path) -> None:
    erase(path, {10: b"", 5000: b"less"}, ordered_by=5999)
    assert of_erasures(path) == [
        Replaced(10, 5999, sha256(b"").digest()),
        Replaced(5000, 5999, sha256(b"less").digest()),
        Ordering(5999, payload_at(5999)),
    ]
    assert findings(path) == []


def test_nobody_is_told_who_does_not_ask(path: Path) -> None:
    erase(path, {10: b""}, ordered_by=5999)
    assert {type(report) for report in inspect(path)} == {Progress}


def test_an_order_is_told_although_a_page_before_it_ended_the_walk(path: Path) -> None:
    erase(path, {10: b""}, ordered_by=5999)
    zero(path, 4500)
    assert Ordering(5999, payload_at(5999)) in of_erasures(path)


# Pages


def test_a_zeroed_leaf_is_found(path: Path) -> None:
    zero(path, 1234)
    [finding] = findings(path)
    found = re.fullmatch(r"entries (\d+) to (\d+): not read: .+", finding.what)
    assert found is not None
    first, last = map(int, found.groups())
    assert finding.position == first <= 1234 <= last < 1300


def test_a_key_that_leads_back_does_not_send_the_walk_round_for_ever(path: Path) -> None:
    data = (path / DATA_FILE).read_bytes()
    assert CHUNK_ENTRIES == 4096  # the last of a chunk is where the next begins
    header = HEADER.pack(1, 0, 0, len(payload_at(4096)), 4096, b"", b"")
    there, back = (position.to_bytes(8) + header[:16] for position in (4096, 5))
    assert there in data
    (path / DATA_FILE).write_bytes(data.replace(there, back))
    walked = subprocess.run(
        command("eventlog.check", path), env=environment(), capture_output=True, timeout=20, check=False
    )
    reports = map(decode_report, walked.stdout.splitlines())
    found = [report for report in reports if isinstance(report, Finding)]
    assert found[0] == Finding(4096, "entry 4096: missing")


def test_the_walk_goes_on_behind_zeroed_pages(path: Path) -> None:
    for position in (1000, 4000):
        zero(path, position)
    flip_bit(path, 5000, HEADER.size)
    first, second, third = findings(path)
    assert 0 < 1000 - first.position < 50
    assert 0 <= 4000 - second.position < 50
    assert third.position == 5000


def test_zeroed_pages_of_a_long_entry_are_found(path: Path) -> None:
    with (path / DATA_FILE).open("r+b") as file:
        for number, page in enumerate(pages(path)):
            if page_kind(page) == OVERFLOW:
                file.seek((number + 1) * PAGE_BYTES)
                file.write(bytes(PAGE_BYTES))
    [finding] = findings(path)
    assert finding.position == LONG
    assert "wrong digest" in finding.what


@pytest.mark.parametrize("kind", [BRANCH, LEAF, OVERFLOW])
def test_a_file_cut_off_before_a_page_is_found(path: Path, kind: int) -> None:
    whole_bytes = read_meta(path / DATA_FILE).file_bytes
    left_bytes = cut_off_before_a_page(path, kind)
    cut, *rest = findings(path)
    assert cut.position == 0
    assert f"{whole_bytes} bytes expected, {left_bytes} found" in cut.what
    assert any(signal.SIGBUS.name in finding.what for finding in rest)


@pytest.mark.parametrize("page_bytes", [0, 1000, PAGE_BYTES, PAGE_BYTES + 100])
def test_a_file_cut_off_in_its_meta_pages_is_found(path: Path, page_bytes: int) -> None:
    os.truncate(path / DATA_FILE, page_bytes)
    assert "cut off inside meta page" in findings(path)[0].what


@pytest.mark.parametrize("bit", range(12))
def test_a_flipped_bit_in_the_number_of_the_last_commit_is_found(path: Path, bit: int) -> None:
    """Found by flipping bits in every kind of page: the last commit was gone, and nobody said so.

    LMDB goes by the meta page with the higher number, and the other one knows nothing of the last commit.
    """
    last = read_meta(path / DATA_FILE).transaction
    number = last.to_bytes(8, sys.byteorder)
    contents = bytearray((path / DATA_FILE).read_bytes())
    place = contents.index(number, (last % 2) * PAGE_BYTES, (last % 2 + 1) * PAGE_BYTES)
    contents[place : place + 8] = (last ^ 1 << bit).to_bytes(8, sys.byteorder)
    (path / DATA_FILE).write_bytes(contents)
    assert "which do not follow each other; the last commit may be lost" in findings(path)[0].what


def test_a_flipped_bit_in_the_number_of_entries_is_found(path: Path) -> None:
    """With which a server would refuse to start, while `check` had nothing to say."""
    contents = (path / DATA_FILE).read_bytes()
    number, flipped = HEAD.to_bytes(8, sys.byteorder), (HEAD ^ 1).to_bytes(8, sys.byteorder)
    (path / DATA_FILE).write_bytes(contents.replace(number, flipped))
    [finding] = findings(path)
    assert finding.what == f"{HEAD ^ 1} entries are stored, it says, but {HEAD} can be found"


def test_a_zeroed_meta_page_is_found(path: Path) -> None:
    with (path / DATA_FILE).open("r+b") as file:
        file.write(bytes(PAGE_BYTES))
    assert "page 0 is not an LMDB meta page" in findings(path)[0].what
