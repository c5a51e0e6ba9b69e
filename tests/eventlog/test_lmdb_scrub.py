"""Scrubbing: what is in no row is in no byte of the file, and what is in a row is untouched."""

import random
from pathlib import Path

import lmdb
import pytest
from lmdb.verify import verify

from eventlog.errors import Damaged
from eventlog.lmdb_log import LmdbLog
from eventlog.lmdb_scrub import is_read_by_others, scrub

MARKER = b"planted-marker"


def opened(path: Path, *, writes_through_map: bool = False) -> lmdb.Environment:
    return lmdb.open(str(path), map_size=1 << 26, max_dbs=3, writemap=writes_through_map, lib_version=0)


def rows_in(environment: lmdb.Environment) -> dict[str, dict[bytes, bytes]]:
    with environment.begin() as transaction:
        return {
            name: dict(transaction.cursor(environment.open_db(name.encode(), transaction))) for name in "ab"
        }


@pytest.mark.parametrize("writes_through_map", [False, True], ids=["pages are copied", "through the map"])
@pytest.mark.parametrize("seed", range(5))
def test_only_rows_are_left(tmp_path: Path, seed: int, writes_through_map: bool) -> None:
    chance = random.Random(seed)
    environment = opened(tmp_path, writes_through_map=writes_through_map)
    tables = [environment.open_db(name) for name in (b"a", b"b")]
    for _ in range(60):
        with environment.begin(write=True) as transaction:
            # Each row once: a value that shrinks in one transaction keeps its pages, which `verify` disputes.
            for number in chance.sample(range(300), 20):
                table, at = chance.choice(tables), b"%d" % number
                size = chance.choice([0, 10, 300, 1_500, 5_000, 20_000])
                mark = chance.choice([b"", MARKER])
                transaction.put(at, mark + chance.randbytes(size), db=table)
            for number in chance.sample(range(300), 20):
                transaction.delete(b"%d" % number, db=chance.choice(tables))
    with environment.begin(write=True) as transaction:
        for table in tables:
            for at, value in list(transaction.cursor(table)):
                if MARKER in value:
                    transaction.put(at, b"gone", db=table)
    before = rows_in(environment)
    file = tmp_path / "data.mdb"
    assert MARKER in file.read_bytes()
    assert scrub(file) > 0
    assert MARKER not in file.read_bytes()
    assert rows_in(environment) == before
    with environment.begin(write=True) as transaction:
        transaction.put(b"more", chance.randbytes(100_000), db=tables[0])
    environment.close()
    assert verify(file, subdir=False) == []  # type: ignore[no-untyped-call]


def test_a_second_time_there_is_nothing_to_do(tmp_path: Path) -> None:
    environment = opened(tmp_path)
    for number in range(20):
        with environment.begin(write=True) as transaction:
            transaction.put(b"%d" % number, MARKER)
    assert scrub(tmp_path / "data.mdb") > 0
    assert scrub(tmp_path / "data.mdb") == 0


def test_pages_that_do_not_hang_together_are_left_alone(tmp_path: Path) -> None:
    environment = opened(tmp_path)
    with environment.begin(write=True) as transaction:
        for number in range(2_000):
            transaction.put(b"%d" % number, bytes(100))
    environment.close()
    file = tmp_path / "data.mdb"
    damaged = bytearray(file.read_bytes())
    damaged[8 * 4096 : 9 * 4096] = bytes(4096)
    file.write_bytes(damaged)
    with pytest.raises(Damaged, match="page 8 "):
        scrub(file)
    assert file.read_bytes() == damaged


@pytest.mark.anyio
async def test_erasing_alone_leaves_the_bytes(tmp_path: Path) -> None:
    """The control: without scrubbing, what was erased is still in the file."""
    log = await LmdbLog.open(tmp_path)
    await log.append([MARKER, b"order"], after=0)
    await log.erase({1: b""}, ordered_by=2)
    assert MARKER in (tmp_path / "data.mdb").read_bytes()
    assert await log.scrub()
    assert MARKER not in (tmp_path / "data.mdb").read_bytes()
    await log.close()


@pytest.mark.parametrize(
    ("lines", "is_read"),
    [("(no active readers)\n", False), ("1 2 7\n", False), ("1 2 -\n", False), ("1 2 7\n3 4 6\n", True)],
)
def test_readers_of_an_older_state_are_told_apart(lines: str, is_read: bool) -> None:
    header = "" if "no active" in lines else "    pid     thread     txnid\n"
    assert is_read_by_others(header + lines, 7) == is_read
