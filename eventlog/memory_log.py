"""The reference: what "correct" means, in the fewest lines, with nothing durable about it.

Kept in memory, so for tests and for trying things out. Entries go through the same envelope as
on disk: the same payloads have the same digests and chains in every engine.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence

from eventlog.envelope import NO_PREVIOUS, erase, seal, unseal
from eventlog.errors import Closed, Conflict
from eventlog.log import Entry, Erased, Position, refuse_to_erase


class MemoryLog:
    """A log that is gone when the process is."""

    def __init__(self) -> None:
        self._identity = secrets.token_hex(16)
        self._stored: list[bytes] = []
        self._chain = NO_PREVIOUS
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def identity(self) -> str:
        return self._identity

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        self._refuse_if_closed()
        if after != len(self._stored):
            raise Conflict(expected=after, head=len(self._stored))
        batch: list[bytes] = []
        chain = self._chain
        for position, payload in enumerate(payloads, after + 1):
            data, chain = seal(position, payload, chain)
            batch.append(data)
        self._stored += batch
        self._chain = chain
        self._announce()
        return len(self._stored)

    def read(self, *, after: Position = 0) -> AsyncIterator[Entry]:
        self._refuse_if_closed()
        return self._read(after, until=len(self._stored))

    async def _read(self, after: Position, *, until: Position) -> AsyncIterator[Entry]:
        previous = NO_PREVIOUS if after == 0 else None
        for position in range(after + 1, until + 1):
            self._refuse_if_closed()
            entry = unseal(self._stored[position - 1], position, previous)
            yield entry
            previous = entry.chain

    def payload_at(self, position: Position) -> bytes:
        self._refuse_if_closed()
        if not 0 < position <= len(self._stored):
            raise LookupError(f"there is no entry {position}")
        return unseal(self._stored[position - 1], position, None).payload

    async def head(self) -> Position:
        self._refuse_if_closed()
        return len(self._stored)

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        self._refuse_if_closed()
        refuse_to_erase(replacements, ordered_by, head=len(self._stored))
        erased = {
            position: erase(self._stored[position - 1], replacement, ordered_by)
            for position, replacement in replacements.items()
        }
        for position, data in erased.items():
            self._stored[position - 1] = data

    async def scrub(self) -> bool:
        self._refuse_if_closed()
        return True

    async def wait(self, after: Position) -> Position:
        while len(self._stored) <= after:
            self._refuse_if_closed()
            await self._changed.wait()
        return len(self._stored)

    async def close(self) -> None:
        self._closed = True
        self._announce()

    def _announce(self) -> None:
        """Wake everyone who waits; who comes later waits for the next change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Closed("this log was closed")
