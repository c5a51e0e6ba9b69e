"""The server with one safeguard taken away, for controls: who cannot tell it from the real one is blind.

    python -m bench.torture.careless_server CARELESSNESS --port 0 --data DIR

    acknowledges-early   says 200 while the log is still about to write
    index-apart          keeps the transaction index in the views alone and not in the entry of the event
    no-floor             writes to the log until the disk refuses, instead of stopping while there is room

Nothing of this can be reached from the product: it is put in from outside, here and nowhere else.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import msgspec
import uvloop

from eventlog.engines import open_log
from eventlog.lmdb_log import LmdbLog
from eventlog.log import Log, Position
from projections.facts import Fact, RoomEvent, encode_entry
from server import app, writer
from server.config import load

_NO_FLOOR = -(1 << 50)
"""Bytes that have to stay free: less than none, because the log keeps some for LMDB's own pages as well."""


class _EarlyLog:
    """Takes a batch for written as soon as it is in the queue."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._appending: asyncio.Task[Position] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, payloads: Sequence[bytes], *, after: Position) -> Position:
        self._appending = asyncio.create_task(self._append(self._appending, payloads, after))
        return after + len(payloads)

    async def _append(
        self, before: asyncio.Task[Position] | None, payloads: Sequence[bytes], after: Position
    ) -> Position:
        if before is not None:
            await before
        return await self._log.append(payloads, after=after)


@asynccontextmanager
async def _open_early(address: str, *, dictionary: bytes) -> AsyncIterator[_EarlyLog]:
    async with open_log(address, dictionary=dictionary) as log:
        yield _EarlyLog(log)


@asynccontextmanager
async def _open_without_floor(address: str, *, dictionary: bytes) -> AsyncIterator[Log]:
    path = Path(address.removeprefix("lmdb:"))
    log = await LmdbLog.open(path, free_bytes_min=_NO_FLOOR, dictionary=dictionary)
    try:
        yield log
    finally:
        await log.close()


def _encode_without_transactions(facts: Sequence[Fact]) -> bytes:
    return encode_entry(
        [
            msgspec.structs.replace(fact, transaction=None) if isinstance(fact, RoomEvent) else fact
            for fact in facts
        ]
    )


_Careless: TypeAlias = Callable[[], AbstractContextManager[Any]]

CARELESSNESS: Mapping[str, _Careless] = {
    "acknowledges-early": partial(patch.object, app, "open_log", _open_early),
    "index-apart": partial(patch.object, writer, "encode_entry", _encode_without_transactions),
    "no-floor": partial(patch.object, app, "open_log", _open_without_floor),
}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("carelessness", choices=CARELESSNESS)
    for name in ("port", "data", "rate-limits"):
        parser.add_argument(f"--{name}")
    options = vars(parser.parse_args())
    with CARELESSNESS[options.pop("carelessness")]():
        return uvloop.run(app.serve(load(options, {}), lambda position, head: None, _announce))


def _announce(address: str) -> None:
    sys.stdout.write(f"a careless server answers at {address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
