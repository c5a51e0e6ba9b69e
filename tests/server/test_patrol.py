"""The patrol finds rot while nobody asks for it, tells it once, and never takes the server along."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from eventlog.envelope import HEADER
from eventlog.lmdb_log import LmdbLog
from server.patrol import Patrol, patrolling
from tests.harness.damage import HEAD, LEAF, cut_off_before_a_page, flip_bit, make_log, zero

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole")
    make_log(path)
    return path


@pytest.fixture
def path(whole_log: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole_log, tmp_path / "log")


class Lines(logging.Handler):
    """What the patrol says, to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._queue.put_nowait((record.levelname, record.getMessage()))

    async def next(self) -> tuple[str, str]:
        return await asyncio.wait_for(self._queue.get(), 30)


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    logger, lines = logging.getLogger("roomlog.patrol"), Lines()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(before)


def at_once(
    path: Path, *, seconds_per_round: float = 3600, share: float = 1.0
) -> AbstractAsyncContextManager[Patrol]:
    return patrolling(path, share=share, seconds_before_first=0, seconds_per_round=seconds_per_round)


async def test_a_round_is_told_in_one_line(path: Path, lines: Lines) -> None:
    async with at_once(path):
        level, text = await lines.next()
    assert level == "INFO"
    assert text.startswith(f"round 1: read {HEAD} entries in ")
    assert text.endswith(" findings: 0")


async def test_rounds_follow_each_other(path: Path, lines: Lines) -> None:
    async with at_once(path, seconds_per_round=0):
        texts = [(await lines.next())[1] for _ in range(2)]
    assert [text.partition(":")[0] for text in texts] == ["round 1", "round 2"]


async def test_what_came_in_between_is_read_too(path: Path, lines: Lines) -> None:
    log = await LmdbLog.open(path, free_bytes_min=0)
    async with at_once(path, seconds_per_round=0):
        await lines.next()
        await log.append([b"new"], after=HEAD)
        while f"read {HEAD + 1} entries" not in (await lines.next())[1]:
            pass
    await log.close()


async def test_damage_is_told_in_one_line(path: Path, lines: Lines) -> None:
    for position in (1234, 2345):
        flip_bit(path, position, HEADER.size)
    async with at_once(path):
        level, text = await lines.next()
        assert level == "ERROR"
        assert text.startswith("the log is damaged: entry 1234: wrong digest")
        for verb in ("roomlog check", "roomlog restore", "roomlog salvage"):
            assert verb in text
        level, text = await lines.next()
        assert (level, text.endswith(" findings: 2")) == ("INFO", True)


async def test_a_page_that_cannot_be_read_is_damage(path: Path, lines: Lines) -> None:
    zero(path, 5000)
    async with at_once(path):
        level, text = await lines.next()
    assert level == "ERROR"
    assert "not read: " in text


async def test_a_walk_that_dies_is_survived(path: Path, lines: Lines) -> None:
    cut_off_before_a_page(path, LEAF)
    async with at_once(path):
        assert "is cut off" in (await lines.next())[1]
        assert (await lines.next())[1].startswith("round 1: ")


async def test_stopping_ends_the_walk_at_once(path: Path, lines: Lines) -> None:
    async with at_once(path, share=0.001):
        await asyncio.to_thread(wait_for_a_walk, path)
    assert walks_of(path) == []


def wait_for_a_walk(path: Path) -> None:
    while not walks_of(path):
        time.sleep(0.01)


def walks_of(path: Path) -> list[str]:
    """The processes that have this log in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(path) in process.read_bytes():
                found.append(process.parent.name)
        except OSError:
            continue
    return found
