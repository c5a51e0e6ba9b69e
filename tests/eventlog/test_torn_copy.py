"""A plain copy of a log in use is refused where it is torn, and taken where it is whole."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventlog.errors import Damaged
from eventlog.lmdb_file import DATA_FILE, LmdbTables
from eventlog.lmdb_log import LmdbLog

pytestmark = pytest.mark.anyio

META_BYTES = 2 * 4096


async def append_batches(log: LmdbLog, count: int) -> None:
    for _ in range(count):
        await log.append([b"payload" * 50] * 20, after=await log.head())


@pytest.fixture
async def in_use(tmp_path: Path) -> AsyncIterator[LmdbLog]:
    log = await LmdbLog.open(tmp_path / "log", free_bytes_min=0)
    await append_batches(log, 50)
    yield log
    await log.close()


async def open_and_close(path: Path) -> int:
    log = await LmdbLog.open(path, free_bytes_min=0)
    try:
        return await log.head()
    finally:
        await log.close()


async def copied_while_written(log: LmdbLog, source: Path, copy: Path) -> None:
    """As `cp` does that is overtaken between the first pages and the last."""
    shutil.copytree(source, copy)
    first_pages = (source / DATA_FILE).read_bytes()[:META_BYTES]
    await append_batches(log, 20)
    (copy / DATA_FILE).write_bytes(first_pages + (source / DATA_FILE).read_bytes()[META_BYTES:])


async def test_a_torn_copy_is_refused(in_use: LmdbLog, tmp_path: Path) -> None:
    await copied_while_written(in_use, tmp_path / "log", tmp_path / "copy")
    with pytest.raises(Damaged, match="`roomlog backup`"):
        await open_and_close(tmp_path / "copy")


async def test_it_is_refused_every_time(in_use: LmdbLog, tmp_path: Path) -> None:
    await copied_while_written(in_use, tmp_path / "log", tmp_path / "copy")
    for _ in range(3):
        with pytest.raises(Damaged):
            await open_and_close(tmp_path / "copy")


async def test_the_data_file_alone_is_refused(in_use: LmdbLog, tmp_path: Path) -> None:
    await copied_while_written(in_use, tmp_path / "log", tmp_path / "copy")
    for name in ("owner", "lock.mdb"):
        (tmp_path / "copy" / name).unlink()
    for _ in range(2):
        with pytest.raises(Damaged, match="`roomlog backup`"):
            await open_and_close(tmp_path / "copy")


async def test_lmdb_itself_would_take_it(in_use: LmdbLog, tmp_path: Path) -> None:
    await copied_while_written(in_use, tmp_path / "log", tmp_path / "copy")
    LmdbTables(tmp_path / "copy", read_only=False, map_bytes=1 << 30).close()


async def test_a_copy_made_in_a_quiet_moment_is_taken(in_use: LmdbLog, tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    assert await open_and_close(tmp_path / "copy") == 1000


async def test_a_copy_of_a_closed_log_is_taken_unseen(in_use: LmdbLog, tmp_path: Path) -> None:
    """Nobody has to wait for a walk through a log that was at rest."""
    await in_use.close()
    shutil.copytree(tmp_path / "log", tmp_path / "copy")
    data = (tmp_path / "copy" / DATA_FILE).read_bytes()
    first = data.index(b"payload" * 50)
    (tmp_path / "copy" / DATA_FILE).write_bytes(data[:first] + b"P" + data[first + 1 :])
    assert await open_and_close(tmp_path / "copy") == 1000


async def test_a_killed_owner_leaves_no_suspicion(in_use: LmdbLog, tmp_path: Path) -> None:
    note = (tmp_path / "log" / "owner").read_text()
    await in_use.close()
    (tmp_path / "log" / "owner").write_text(note)
    data = (tmp_path / "log" / DATA_FILE).read_bytes()
    first = data.index(b"payload" * 50)
    with (tmp_path / "log" / DATA_FILE).open("r+b") as file:
        file.seek(first)
        file.write(b"P")
    assert await open_and_close(tmp_path / "log") == 1000
