"""The contract: what a log promises, whichever engine keeps it.

A log is one total order of entries. An entry is bytes; the log does not look inside.
Positions start at 1, have no gaps, and are the order of commits: a reader who has seen
position N has seen everything up to N. The engines are `memory_log` (the reference: what
"correct" means) and `lmdb_log` (embedded, the default). `tests/eventlog/test_contract.py`
runs the same suite on each of them.

Calls are asynchronous because an engine may be a network round trip away.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

Position: TypeAlias = int
"""1, 2, 3 …; 0 stands before the first entry. The head is the last durable position."""


class Erased(msgspec.Struct, frozen=True, gc=False):
    """What is known of a payload that was taken out of the log, and what stands there instead."""

    payload: bytes
    """The replacement."""
    digest: bytes
    """SHA-256 of the payload that was appended."""
    length: int
    """Of the payload that was appended, in bytes."""
    ordered_by: Position
    """The later entry that says why."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry as read back; its digest and chain have been verified."""

    position: Position
    payload: bytes
    """As it was appended, or what stands there instead if it was erased."""
    digest: bytes
    """SHA-256 of the payload as it was appended."""
    chain: bytes
    """SHA-256 of the entry's header, which holds `digest` and the chain of the entry before:
    equal chains at a position mean equal logs up to it, but for what was erased."""
    erased: Erased | None = None


class Log(Protocol):
    """Entries in one total order. One process appends; it may do so from one event loop."""

    @property
    def identity(self) -> str:
        """A random name given to the log when it was made; views belong to one identity."""

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        """Append a batch, one entry per payload, and return the position of the last.

        A payload that was erased elsewhere makes the entry that is there, with the same chain; that is
        for a log that is made from another one.

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

    def payload_at(self, position: Position) -> bytes:
        """The payload of one entry that is durable, verified but for its place in the chain.

        At once and on the thread that calls: for views, which refer to the log instead of repeating it. So
        an engine whose entries are a network round trip away keeps a copy of them here.

        Raises `LookupError` if there is no such entry, `Damaged` if it does not hold, `Closed`.
        """

    async def head(self) -> Position:
        """The last durable position; 0 for an empty log."""

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        """Put other payloads in the place of those at some positions, whose headers and chains stay.

        Returns once that would survive a power cut; all of it or nothing is done. The same call again
        changes nothing. Readers may get the former payload until then, and the storage may keep its
        bytes until `scrub`.

        Raises `ValueError` unless every position is one before `ordered_by`, and that one is not past
        the head; else as `append` does.
        """

    async def scrub(self) -> bool:
        """Overwrite whatever the storage keeps of payloads that were erased.

        Afterwards their bytes can be found nowhere in it. Answers whether that was possible: who looks at
        an older state of the log holds it up; try again later then. Appends wait meanwhile.
        """

    async def wait(self, after: Position) -> Position:
        """Return the head as soon as it is past `after`. Raises `Closed` if the log closes first."""

    async def close(self) -> None:
        """Finish the append under way, then release everything. Closing twice is harmless."""


def refuse_to_erase(positions: Iterable[Position], ordered_by: Position, *, head: Position) -> None:
    """What `Log.erase` refuses, in every engine."""
    if ordered_by > head:
        raise ValueError(f"entry {ordered_by} cannot order anything: the head is {head}")
    for position in positions:
        if not 0 < position < ordered_by:
            raise ValueError(f"entry {ordered_by} cannot order the erasure of entry {position}")
