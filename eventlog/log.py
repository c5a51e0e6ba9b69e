"""The contract: what a log promises, whichever engine keeps it.

A log is one total order of entries. An entry is bytes; the log does not look inside.
Positions start at 1, have no gaps, and are the order of commits: a reader who has seen
position N has seen everything up to N. The engines are `memory_log` (the reference: what
"correct" means) and `lmdb_log` (embedded, the default). `tests/eventlog/test_contract.py`
runs the same suite on each of them.

All calls are asynchronous because an engine may be a network round trip away.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeAlias

import msgspec

Position: TypeAlias = int
"""1, 2, 3 …; 0 stands before the first entry. The head is the last durable position."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry as read back; its digest and chain have been verified."""

    position: Position
    payload: bytes
    digest: bytes
    """SHA-256 of the payload."""
    chain: bytes
    """SHA-256 of the entry's header, which holds `digest` and the chain of the entry before:
    equal chains at a position mean equal logs up to it."""


class Log(Protocol):
    """Entries in one total order. One process appends; it may do so from one event loop."""

    @property
    def identity(self) -> str:
        """A random name given to the log when it was made; views belong to one identity."""

    async def append(self, payloads: Sequence[bytes], *, after: Position) -> Position:
        """Append a batch, one entry per payload, and return the position of the last.

        Returns once the whole batch would survive a power cut: one flush, however many
        payloads. All of the batch or nothing of it is there afterwards. An empty batch
        writes nothing and returns `after`, if that is the head.

        Raises `Conflict` if `after` is not the head, `Full` if there is no room (in both
        cases nothing was written), `Unknown` if the storage failed in the middle (from then
        on the log is closed to writes), `Closed` if it was closed to writes before.
        """

    def read(self, *, after: Position = 0) -> AsyncIterator[Entry]:
        """Yield the entries past `after` that were durable when the call was made, in order.

        Raises `Damaged` at the first entry whose digest, position or chain does not hold.
        Holds no lock and no read transaction while the caller works on an entry.
        """

    async def head(self) -> Position:
        """The last durable position; 0 for an empty log."""

    async def wait(self, after: Position) -> Position:
        """Return the head as soon as it is past `after`. Raises `Closed` if the log closes first."""

    async def close(self) -> None:
        """Finish the append under way, then release everything. Closing twice is harmless."""
