"""What is particular to the LMDB engine: one owner, one file that grows, storage that fails."""

import asyncio
import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

import lmdb
import pytest

from bench.torture.log_writer import LogWriter, payload_at
from eventlog import lmdb_file
from eventlog.check import inspect
from eventlog.errors import Closed, Damaged, Full, Locked, LogError, Unknown
from eventlog.lmdb_file import DATA_FILE, READERS_MAX, LmdbTables, create_log
from eventlog.lmdb_log import LmdbLog
from eventlog.lmdb_meta import read_meta
from eventlog.log import Position
from eventlog.verifying import Finding
from projections.dictionary import entry_dictionary
from tests.harness.damage import OVERFLOW

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
TINY_MAP_BYTES = 64 * 1024


@asynccontextmanager
async def opened(
    path: Path, *, read_only: bool = False, map_bytes: int = 1 << 30, free_bytes_min: int = 0
) -> AsyncIterator[LmdbLog]:
    log = await LmdbLog.open(path, read_only=read_only, map_bytes=map_bytes, free_bytes_min=free_bytes_min)
    try:
        yield log
    finally:
        await log.close()


async def positions(log: LmdbLog) -> list[Position]:
    return [entry.position async for entry in log.read()]


async def open_and_close(path: Path, *, read_only: bool = False) -> None:
    async with opened(path, read_only=read_only):
        pass


# One log, opened again


async def test_reopening_keeps_identity_head_and_chain(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        await log.append([b"a", b"b"], after=0)
        before = log.identity, [entry async for entry in log.read()]
    async with opened(tmp_path) as log:
        assert (log.identity, [entry async for entry in log.read()]) == before
        await log.append([b"c"], after=2)
        assert await positions(log) == [1, 2, 3]


async def test_missing_directories_are_made(tmp_path: Path) -> None:
    async with opened(tmp_path / "some" / "where") as log:
        assert await log.head() == 0


async def test_what_a_crash_left_of_a_new_log_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / DATA_FILE).write_bytes(b"half of a")
    async with opened(tmp_path) as log:
        assert await log.append([b"a"], after=0) == 1
    assert not (tmp_path / "new").exists()


async def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    for name in ("owner", DATA_FILE, "lock.mdb"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0


# One owner


async def test_a_second_owner_is_refused_with_the_pid(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.start_writing()
        writer.wait_until_acknowledged(1)
        with pytest.raises(Locked, match=f"process {writer.pid} owns it"):
            await open_and_close(tmp_path)


async def test_a_second_owner_in_one_process_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(Locked, match=f"process {os.getpid()} owns it"):
            await open_and_close(tmp_path)


async def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    with LogWriter(tmp_path, 1) as writer:
        writer.start_writing()
        writer.wait_until_acknowledged(1)
        writer.kill()
        async with opened(tmp_path) as log:
            assert await log.head() >= writer.acknowledged


async def test_a_refused_opening_leaves_no_lock(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    (tmp_path / DATA_FILE).rename(tmp_path / "aside")
    (tmp_path / DATA_FILE).write_bytes(b"")
    with pytest.raises(Damaged):
        await open_and_close(tmp_path)
    (tmp_path / "aside").rename(tmp_path / DATA_FILE)
    await open_and_close(tmp_path)


# Looking on beside the owner


async def test_looking_on_follows_the_owner(tmp_path: Path) -> None:
    """The owner's map grows from a tiny one meanwhile, which a reader has to follow."""
    with LogWriter(tmp_path, 1, "--map-bytes", str(TINY_MAP_BYTES)) as writer:
        writer.start_writing()
        writer.wait_until_acknowledged(1)
        async with opened(tmp_path, read_only=True) as log:
            seen = 0
            while seen < 3000:
                await log.wait(seen)
                async for entry in log.read(after=seen):
                    seen += 1
                    assert (entry.position, entry.payload) == (seen, payload_at(seen))


async def test_looking_on_cannot_append(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    async with opened(tmp_path, read_only=True) as log:
        with pytest.raises(Closed, match="for reading only"):
            await log.append([b"a"], after=0)


async def test_looking_on_within_one_process_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(LogError, match="already open in this process"):
            await open_and_close(tmp_path, read_only=True)


def test_many_can_look_on_and_their_number_was_chosen(tmp_path: Path) -> None:
    create_log(tmp_path)
    with closing(LmdbTables(tmp_path, read_only=False)):
        code = "import lmdb, sys; print(lmdb.open(sys.argv[1], readonly=True).info()['max_readers'])"
        command = [sys.executable, "-c", code, str(tmp_path)]
        assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == READERS_MAX


def test_growing_frees_the_places_of_killed_readers(tmp_path: Path) -> None:
    """A reader killed inside a transaction keeps every page that it saw from being used again."""
    create_log(tmp_path)
    tables = LmdbTables(tmp_path, read_only=False)
    looking_on = "import lmdb, os, sys; environment = lmdb.open(sys.argv[1], readonly=True);"
    die = "transaction = environment.begin(); os.kill(os.getpid(), 9)"
    show = "print(environment.readers())"

    def run(code: str) -> str:
        command = [sys.executable, "-c", looking_on + code, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    try:
        run(die)
        assert "txnid" in run(show)
        tables.double_map()
        assert run(show) == "(no active readers)\n\n"
    finally:
        tables.close()


# Growing


async def test_the_map_grows_before_it_is_full(tmp_path: Path) -> None:
    async with opened(tmp_path, map_bytes=TINY_MAP_BYTES) as log:
        head = 0
        while head < 2000:
            head = await log.append([payload_at(head + 1 + i) for i in range(20)], after=head)
        assert await positions(log) == list(range(1, 2001))
    assert (tmp_path / DATA_FILE).stat().st_size > 8 * TINY_MAP_BYTES


async def test_a_batch_may_be_larger_than_the_map(tmp_path: Path) -> None:
    async with opened(tmp_path, map_bytes=TINY_MAP_BYTES) as log:
        await log.append([bytes(2023 - 80)] * 500, after=0)  # each just too long to share a page
        assert await positions(log) == list(range(1, 501))


async def test_a_map_that_is_full_after_all_grows_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_file, "MAP_USED_MAX", 1e9)  # nothing is foreseen
    async with opened(tmp_path, map_bytes=TINY_MAP_BYTES) as log:
        await log.append([b"a"], after=0)
        await log.append([bytes(1000)] * 500, after=1)
        assert await positions(log) == list(range(1, 502))


# Storage that is full or fails


async def test_a_full_disk_refuses_and_the_log_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path, free_bytes_min=2**60) as log:
        with pytest.raises(Full, match="bytes free on the disk"):
            await log.append([b"a"], after=0)
        assert await log.head() == 0
    async with opened(tmp_path) as log:
        assert await log.append([b"a"], after=0) == 1


async def test_no_address_space_leaves_the_map_alone(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    tables = LmdbTables(tmp_path, read_only=False, map_bytes=1 << 30)
    try:
        with limited(resource.RLIMIT_AS, 2 << 30), pytest.raises(Full, match="no address space"):
            tables.double_map()
        assert tables.count() == 0
    finally:
        tables.close()


async def test_a_failed_write_closes_the_log_to_writes(tmp_path: Path) -> None:
    """The file may not grow any more, which the kernel says in the middle of a commit."""
    async with opened(tmp_path) as log:
        await log.append([b"a"] * 10, after=0)
        file_bytes = read_meta(tmp_path / DATA_FILE).file_bytes
        with limited(resource.RLIMIT_FSIZE, file_bytes), pytest.raises(Unknown, match="entries 11 to 60"):
            await log.append([bytes(1000)] * 50, after=10)
        with pytest.raises(Closed, match="after a storage error"):
            await log.append([b"b"], after=10)
        with pytest.raises(Closed, match="after a storage error"):
            await log.wait(10)
        assert await positions(log) == list(range(1, 11))
    async with opened(tmp_path) as log:
        assert await log.append([b"b"], after=10) == 11


async def test_entries_are_written_where_the_file_has_zeros_already(tmp_path: Path) -> None:
    """So that a flush makes nothing durable but them."""
    file, lengths = tmp_path / DATA_FILE, set()
    async with opened(tmp_path) as log:
        for position in range(50):
            await log.append([bytes(500)], after=position)
            lengths.add(file.stat().st_size)
        with file.open("rb") as data:
            data.seek(read_meta(file).file_bytes)
            assert set(data.read()) == {0}
    assert len(lengths) == 1


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
async def test_zeros_that_cannot_be_written_are_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    async with opened(tmp_path) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", fail)
            with pytest.raises(Unknown, match="entries 1 to 1"):
                await log.append([b"a"], after=0)
        with pytest.raises(Closed, match="after a storage error"):
            await log.append([b"a"], after=0)
    async with opened(tmp_path) as log:
        assert await log.append([b"a"], after=0) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("fdatasync:error=EIO:when=20+", id="the flush fails"),
        pytest.param("fdatasync:error=ENOSPC:when=20", id="the flush finds no room"),
        pytest.param("pwrite64:error=EIO:when=20+", id="the meta page fails"),
    ],
)
def test_a_failed_flush_closes_the_log_to_writes(tmp_path: Path, fault: str) -> None:
    call = fault.partition(":")[0]
    output = traced(
        tmp_path, ["-e", f"inject={fault}"], "bench.torture.failing_storage", str(tmp_path / "log")
    )
    outcome = json.loads(output.stdout)
    assert (outcome["first"], outcome["then"]) == ("Unknown", "Closed"), call
    assert 0 < outcome["acknowledged"] == outcome["readable"]


def test_one_batch_is_one_flush(tmp_path: Path) -> None:
    """Batches of 1 to 24 entries: one flush of the pages, and one synchronous write of the meta page."""

    def calls(batches: int) -> tuple[int, int]:
        output = traced(
            tmp_path, [], "bench.torture.log_writer", str(tmp_path / "log"), "1", "--batches", str(batches)
        )
        acknowledged = output.stdout.splitlines()[1:]
        assert len(acknowledged) == batches
        trace = (tmp_path / "trace").read_text()
        return len(re.findall(r"f(?:data)?sync\(", trace)), len(re.findall(r"pwrite64\(.* 120, ", trace))

    calls(1)  # makes the log
    (flushes, meta_writes), (more_flushes, more_meta_writes) = calls(10), calls(40)
    assert (more_flushes - flushes, more_meta_writes - meta_writes) == (30, 30)


def traced(
    directory: Path, options: list[str], module: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    command = ["strace", "-f", "-qq", "-o", str(directory / "trace"), "-e", "trace=fsync,fdatasync,pwrite64"]
    output = subprocess.run(
        [*command, *options, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        input="\n",
        check=False,
    )
    if "ptrace" in output.stderr:
        pytest.skip(f"strace may not trace here: {output.stderr}")
    assert output.returncode == 0, output.stderr
    return output


@contextmanager
def limited(kind: int, maximum: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (maximum, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


# Files that are not whole


async def filled(path: Path) -> Path:
    """A log of 500 entries, its file."""
    async with opened(path) as log:
        head = 0
        while head < 500:
            head = await log.append([payload_at(head + 1 + i) for i in range(10)], after=head)
    return path / DATA_FILE


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
async def test_a_truncated_file_is_refused_with_both_lengths(
    tmp_path: Path, kept: float, read_only: bool
) -> None:
    file = await filled(tmp_path)
    whole = read_meta(file).file_bytes
    os.truncate(file, int(whole * kept))
    with pytest.raises(Damaged, match=f"{whole} bytes expected, {int(whole * kept)} found"):
        await open_and_close(tmp_path, read_only=read_only)


@pytest.mark.parametrize("pages", range(1, 6))
async def test_a_file_cut_off_within_a_long_entry_is_refused(tmp_path: Path, pages: int) -> None:
    """Its first page is there, and says nothing of the others; no page that is in use comes after them."""
    async with opened(tmp_path) as log:
        for head in range(5):  # leave free pages behind, which are used for all others
            await log.append([b"x" * 100], after=head)
        await log.append([bytes(5 * 4096)], after=5)
    file = tmp_path / DATA_FILE
    data = file.read_bytes()
    [first] = [at for at in range(2 * 4096, len(data), 4096) if data[at + 10] == OVERFLOW]
    os.truncate(file, first + pages * 4096)
    with pytest.raises(Damaged, match="is cut off"):
        await open_and_close(tmp_path)


async def test_an_empty_file_is_not_a_new_log(tmp_path: Path) -> None:
    os.truncate(await filled(tmp_path), 0)
    with pytest.raises(Damaged, match="cut off inside meta page 0: 0 bytes found"):
        await open_and_close(tmp_path)


async def test_a_missing_page_that_is_free_is_no_damage(tmp_path: Path) -> None:
    """After one append in two the last page is free, and nothing leads to it."""
    refused = []
    async with opened(tmp_path / "whole") as log:
        for head in range(1, 31):
            await log.append([b"x" * 100], after=head - 1)
            short = tmp_path / f"short {head}"
            shutil.copytree(tmp_path / "whole", short)
            os.truncate(short / DATA_FILE, read_meta(short / DATA_FILE).file_bytes - 4096)
            try:
                async with opened(short) as short_log:
                    assert await positions(short_log) == list(range(1, head + 1))
            except Damaged:
                refused.append(head)
    assert 0 < len(refused) < 30


async def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATA_FILE).write_bytes(b"something else " * 1000)
    with pytest.raises(Damaged, match="not an LMDB meta page"):
        await open_and_close(tmp_path)


async def test_a_later_format_is_refused(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    environment = lmdb.open(str(tmp_path), max_dbs=2)
    with environment.begin(write=True) as transaction:
        transaction.put(b"format", b"4", db=environment.open_db(b"meta", transaction))
    environment.close()
    with pytest.raises(Damaged, match="format '4'; this version reads 1 and 3"):
        await open_and_close(tmp_path)


async def test_another_lmdb_environment_is_refused(tmp_path: Path) -> None:
    lmdb.open(str(tmp_path), max_dbs=2, lib_version=0).close()
    with pytest.raises(Damaged, match="does not hold a log"):
        await open_and_close(tmp_path)


# The dictionary that entries are compressed with

DICTIONARY = entry_dictionary()
FACT = b'[{"fact":"room_event","event_id":"$x","event":{"auth_events":[],"content":{"body":"%d"}}}]'


async def make_compressed(path: Path) -> None:
    log = await LmdbLog.open(path, free_bytes_min=0, dictionary=DICTIONARY)
    await log.append([FACT % number for number in range(3)], after=0)
    await log.close()


def damage_dictionaries(path: Path, count: int) -> None:
    data = bytearray((path / DATA_FILE).read_bytes())
    middle = DICTIONARY[4_000:4_050]
    at = -1
    for _ in range(count):
        at = data.index(middle, at + 1)
        data[at] ^= 1
    (path / DATA_FILE).write_bytes(data)


async def test_a_log_keeps_the_dictionary_it_was_made_with(tmp_path: Path) -> None:
    await make_compressed(tmp_path)
    async with opened(tmp_path) as log:
        await log.append([FACT % 3], after=3)
        assert [log.payload_at(position) for position in range(1, 5)] == [
            FACT % number for number in range(4)
        ]
    assert b'"fact":"room_event","event_id":"$x"' not in (tmp_path / DATA_FILE).read_bytes()


async def test_a_log_without_a_dictionary_takes_none(tmp_path: Path) -> None:
    await open_and_close(tmp_path)
    log = await LmdbLog.open(tmp_path, free_bytes_min=0, dictionary=DICTIONARY)
    await log.append([FACT % 0], after=0)
    await log.close()
    assert FACT % 0 in (tmp_path / DATA_FILE).read_bytes()


async def test_one_of_two_dictionaries_is_enough(tmp_path: Path) -> None:
    await make_compressed(tmp_path)
    damage_dictionaries(tmp_path, 1)
    async with opened(tmp_path) as log:
        assert log.payload_at(3) == FACT % 2
    findings = [report.what for report in inspect(tmp_path) if isinstance(report, Finding)]
    assert findings == ["one of the two copies of the dictionary is damaged; the other one is whole"]


async def test_without_a_dictionary_nothing_is_opened(tmp_path: Path) -> None:
    await make_compressed(tmp_path)
    damage_dictionaries(tmp_path, 2)
    with pytest.raises(Damaged, match="dictionary and the copy of it are damaged"):
        await open_and_close(tmp_path)


async def test_a_log_of_the_first_format_goes_on(tmp_path: Path) -> None:
    """It has no dictionary, and nothing in it is compressed."""
    await open_and_close(tmp_path)
    environment = lmdb.open(str(tmp_path), max_dbs=2, lib_version=0)
    with environment.begin(write=True) as transaction:
        meta = environment.open_db(b"meta", transaction)
        transaction.put(b"format", b"1", db=meta)
        for name in (b"dictionary", b"dictionary copy"):
            transaction.delete(name, db=meta)
    environment.close()
    async with opened(tmp_path) as log:
        await log.append([b"hello"], after=0)
        assert log.payload_at(1) == b"hello"


async def test_payloads_are_looked_up_while_the_map_grows(tmp_path: Path) -> None:
    async with opened(tmp_path, map_bytes=1 << 16) as log:
        head = await log.append([b"first"], after=0)
        for _ in range(12):
            appending = asyncio.create_task(log.append([bytes(100_000)] * 4, after=head))
            while not appending.done():
                assert log.payload_at(1) == b"first"
                await asyncio.sleep(0)
            head = await appending


# Entries that are not what was appended


def overwrite(path: Path, position: Position, data: bytes | None) -> None:
    environment = lmdb.open(str(path), max_dbs=2)
    with environment.begin(write=True) as transaction:
        entries, key = environment.open_db(b"entries", transaction), position.to_bytes(8, "big")
        if data is None:
            transaction.delete(key, db=entries)
        else:
            transaction.put(key, data, db=entries)
    environment.close()


async def test_reading_ends_right_before_a_damaged_entry(tmp_path: Path) -> None:
    await filled(tmp_path)
    overwrite(tmp_path, 300, b"something else")
    async with opened(tmp_path) as log:
        reading = log.read()
        assert [(await anext(reading)).position for _ in range(299)] == list(range(1, 300))
        with pytest.raises(Damaged, match="entry 300") as raised:
            await anext(reading)
    assert raised.value.position == 300


async def test_reading_can_go_on_behind_the_damage(tmp_path: Path) -> None:
    await filled(tmp_path)
    overwrite(tmp_path, 300, b"x" * 80)
    async with opened(tmp_path) as log:
        with pytest.raises(Damaged, match="entry 301: broken chain"):
            await anext(log.read(after=300))
        assert (await anext(log.read(after=301))).position == 302


async def test_a_missing_entry_is_found_by_reading(tmp_path: Path) -> None:
    await filled(tmp_path)
    overwrite(tmp_path, 300, None)
    async with opened(tmp_path, read_only=True) as log:
        with pytest.raises(Damaged, match="entry 300: missing"):
            await positions(log)


async def test_a_log_with_a_hole_takes_no_writes(tmp_path: Path) -> None:
    await filled(tmp_path)
    overwrite(tmp_path, 300, None)
    with pytest.raises(Damaged, match="499 entries are stored, but the last is entry 500"):
        await open_and_close(tmp_path)


async def test_a_damaged_last_entry_takes_no_writes(tmp_path: Path) -> None:
    await filled(tmp_path)
    overwrite(tmp_path, 500, b"something else")
    with pytest.raises(Damaged, match="entry 500"):
        await open_and_close(tmp_path)
