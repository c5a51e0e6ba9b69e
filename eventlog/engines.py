"""Which engines there are, and how to name a log: `lmdb:PATH`, `memory:`.

The one place that knows every engine, so that whoever opens a log by its address needs none.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from eventlog.lmdb_log import LmdbLog
from eventlog.log import Log
from eventlog.memory_log import MemoryLog

Opener = Callable[[str, bool, bytes], Awaitable[Log]]
"""Opens what stands after the colon; the flag is `read_only`, then comes the dictionary of a new log."""


async def _open_lmdb(where: str, read_only: bool, dictionary: bytes) -> Log:
    if not where:
        raise ValueError("an lmdb log needs the path of its directory: lmdb:PATH")
    return await LmdbLog.open(Path(where), read_only=read_only, dictionary=dictionary)


async def _open_memory(where: str, read_only: bool, _dictionary: bytes) -> Log:
    if where or read_only:
        raise ValueError("a memory log has no address and begins empty: memory:")
    return MemoryLog()


ENGINES: Mapping[str, Opener] = {"lmdb": _open_lmdb, "memory": _open_memory}


def open_log(
    address: str, *, read_only: bool = False, dictionary: bytes = b""
) -> AbstractAsyncContextManager[Log]:
    """The log at an address, open within `async with`. One that is made is compressed by `dictionary`.

    `read_only` looks on beside the process that owns the log. Raises `ValueError` for an address
    that no engine knows, and what the engine raises on opening.
    """
    scheme, colon, where = address.partition(":")
    if not colon or scheme not in ENGINES:
        known = ", ".join(f"{scheme}:" for scheme in ENGINES)
        raise ValueError(f"no engine for the log {address!r}; there are {known}")
    return _opened(ENGINES[scheme](where, read_only, dictionary))


@asynccontextmanager
async def _opened(opening: Awaitable[Log]) -> AsyncIterator[Log]:
    log = await opening
    try:
        yield log
    finally:
        await log.close()
