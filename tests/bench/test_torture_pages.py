"""Which page of a log is for what: damage done to the wrong kind of page would show nothing."""

import asyncio
from pathlib import Path

import pytest

from bench.torture.lmdb_pages import Kind, kinds_of
from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_log import LmdbLog
from eventlog.lmdb_meta import read_meta

SMALL = b"a payload that shares a page with others"
LARGE = b"a payload that has pages of its own" * 500


@pytest.fixture
def file(tmp_path: Path) -> Path:
    asyncio.run(write_log(tmp_path))
    return tmp_path / DATA_FILE


async def write_log(path: Path) -> None:
    log = await LmdbLog.open(path, free_bytes_min=0)
    for head in range(0, 400, 4):
        await log.append([SMALL, SMALL, SMALL, LARGE], after=head)
    await log.close()


def test_a_log_has_pages_of_every_kind(file: Path) -> None:
    assert set(kinds_of(file)) == set(Kind)


def test_every_large_value_is_found(file: Path) -> None:
    page_bytes = 4096
    contents = file.read_bytes()
    pages = [contents[at : at + page_bytes] for at in range(0, read_meta(file).file_bytes, page_bytes)]
    inside = LARGE[: len(LARGE) // 4]
    found = [kind for kind, page in zip(kinds_of(file), pages, strict=True) if inside[:2000] in page]
    assert len(found) >= 100
    assert set(found) == {Kind.OVERFLOW}


def test_all_small_values_are_in_leaves(file: Path) -> None:
    """What is left of them elsewhere, nobody looks at."""
    page_bytes = 4096
    contents = file.read_bytes()
    leaves = [number * page_bytes for number, kind in enumerate(kinds_of(file)) if kind is Kind.LEAF]
    assert sum(contents[start : start + page_bytes].count(SMALL) for start in leaves) >= 300
