"""Opening a log by its address."""

from pathlib import Path

import pytest

from eventlog.engines import open_log
from eventlog.errors import Closed
from eventlog.lmdb_file import DATA_FILE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("address", ["jetstream:nats://host", "lmdb", "", "/var/lib/log"])
def test_an_unknown_address_names_the_known_engines(address: str) -> None:
    with pytest.raises(ValueError, match="there are lmdb:, memory:"):
        open_log(address)


async def test_an_lmdb_address_needs_a_path() -> None:
    with pytest.raises(ValueError, match="lmdb:PATH"):
        await open_log("lmdb:").__aenter__()


@pytest.mark.parametrize(("address", "read_only"), [("memory:name", False), ("memory:", True)])
async def test_a_memory_log_cannot_be_found_again(address: str, read_only: bool) -> None:
    with pytest.raises(ValueError, match="begins empty"):
        await open_log(address, read_only=read_only).__aenter__()


async def test_leaving_the_block_closes_the_log(tmp_path: Path) -> None:
    async with open_log(f"lmdb:{tmp_path}") as log:
        pass
    with pytest.raises(Closed):
        await log.head()


async def test_looking_on_needs_a_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no log at"):
        await open_log(f"lmdb:{tmp_path}", read_only=True).__aenter__()
    assert not (tmp_path / DATA_FILE).exists()
