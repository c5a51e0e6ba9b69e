"""What stands in the log, for who looks at views: they name it by its order instead of repeating it.

An event is in the log already, verified whenever it is read; views that held it once more took three times
the disk (1,290 bytes for an event, now 344: `bench/results.jsonl`). So views hold how events are found, and
what became of them, and get the events themselves here.

Most of what is read is what was just said, and what it is seen by: a room's create event, its power levels,
who its members are. So entries that were just written are kept decoded, and facts that were asked for, each
for itself: those that begin a room stand in one long entry. While all of it was decoded for one of them,
again and again, the p50 of a waiting `/sync` beside 1,000 sends/s was 8.2 ms instead of 4.8.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from eventlog.log import Position
from projections.facts import Fact, Order, RoomEvent, decode_entry, index_of, position_of
from projections.row_memory import ROW_BYTES_MAX, RowMemory

WRITTEN_REMEMBERED_MAX = 256
"""A few batches, until those who wait have been told. Each is no longer in the processor's caches when its
time is over, so that more of them make each send dearer."""
READ_REMEMBERED_MAX = 8_192


class Source(Protocol):
    """What views need of the log that they are of; `eventlog.log.Log` has it."""

    @property
    def identity(self) -> str: ...

    def payload_at(self, position: Position) -> bytes: ...


class Entries:
    """Decoded entries of a log, by their positions, and facts, by their orders."""

    def __init__(self, source: Source, *, remembers: bool = True) -> None:
        self._source = source
        self._written = RowMemory(WRITTEN_REMEMBERED_MAX if remembers else 0)
        self._read = RowMemory(READ_REMEMBERED_MAX if remembers else 0)
        self._last: tuple[Position, Sequence[Fact]] = (0, ())
        """The last entry that was decoded: who reads all its facts asks for each."""

    def facts_at(self, position: Position) -> Sequence[Fact]:
        """Raises `LookupError` if there is no such entry, `Damaged` if it cannot be read."""
        found: Sequence[Fact] | None = self._written.rows.get(position)
        if found is not None:
            return found
        if self._last[0] != position:
            self._last = position, decode_entry(self._source.payload_at(position))
        return self._last[1]

    def fact_at(self, order: Order) -> Fact:
        """Raises as `facts_at`, and `LookupError` if the entry has no such fact."""
        known: Fact | None = self._read.rows.get(order)
        if known is not None:
            return known
        position, index = position_of(order), index_of(order)
        facts = self.facts_at(position)
        if index >= len(facts):
            raise LookupError(f"there is no fact {index} in entry {position}")
        fact = facts[index]
        if position not in self._written.rows and isinstance(fact, RoomEvent):
            fact = self._remember_read(order, fact)
        return fact

    def remember(self, position: Position, facts: Sequence[Fact]) -> None:
        """Of an entry that is durable now. What holds more than one event is decoded when it is asked for."""
        if len(facts) == 1 and isinstance(fact := facts[0], RoomEvent) and len(fact.stored) <= ROW_BYTES_MAX:
            self._written.remember(position, facts)

    def forget(self, position: Position) -> None:
        """What stands there has changed."""
        for order in [order for order in self._read.rows if position_of(order) == position]:
            self._read.forget(order)
        self._written.forget(position)
        self._last = (0, ())

    def _remember_read(self, order: Order, fact: RoomEvent) -> RoomEvent:
        if len(fact.stored) > ROW_BYTES_MAX:
            return fact
        # Of its own, so that it does not keep all the rest of its entry in memory.
        own = msgspec.structs.replace(fact, stored=fact.stored.copy())
        self._read.remember(order, own)
        return own
