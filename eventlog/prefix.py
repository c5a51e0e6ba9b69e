"""A log as it was when its head was at a position, though it has grown since.

Who compares two logs, or the views of two, has to stop at the same position in both.
"""

from collections.abc import AsyncIterator, Mapping, Sequence

from eventlog.errors import Closed
from eventlog.log import Entry, Erased, Log, Position


class Prefix:
    """The contract of `log.Log`, for reading. Closing it is up to who opened the log itself."""

    def __init__(self, log: Log, head: Position) -> None:
        """`head` is not past the head of `log`."""
        self._log = log
        self._head = head

    @property
    def identity(self) -> str:
        return self._log.identity

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        raise Closed("a prefix of a log is for reading")

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        raise Closed("a prefix of a log is for reading")

    async def scrub(self) -> bool:
        raise Closed("a prefix of a log is for reading")

    async def read(self, *, after: Position = 0) -> AsyncIterator[Entry]:
        if after >= self._head:
            return
        async for entry in self._log.read(after=after):
            yield entry
            if entry.position == self._head:
                return

    def payload_at(self, position: Position) -> bytes:
        if position > self._head:
            raise LookupError(f"there is no entry {position}")
        return self._log.payload_at(position)

    async def head(self) -> Position:
        return self._head

    async def wait(self, after: Position) -> Position:
        if after >= self._head:
            raise Closed("a prefix of a log does not grow")
        return self._head

    async def close(self) -> None:
        """There is nothing to release."""
