"""What stands in the log, for who looks at views: they name it by its order instead of repeating it.

An event is in the log already, verified whenever it is read; views that held it once more took twice the
disk, and writing them was a third of what folding an event took. So views hold how events are found, and
what became of them, and get the events themselves here. Entries that were written or asked for lately are
kept decoded, since most of what is read is what was just said.
"""

from collections.abc import Sequence
from typing import Protocol

from eventlog.log import Position
from projections.facts import Fact, RoomEvent, decode_entry
from projections.row_memory import ROW_BYTES_MAX, RowMemory

REMEMBERED_MAX = 4_096


class Source(Protocol):
    """What views need of the log that they are of; `eventlog.log.Log` has it."""

    @property
    def identity(self) -> str: ...

    def payload_at(self, position: Position) -> bytes: ...


class Entries:
    """Decoded entries of a log, by their positions."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._remembered = RowMemory(REMEMBERED_MAX)
        self._long: tuple[Position, Sequence[Fact]] = (0, ())
        """The last one that is too long to remember many of: who reads all its facts asks for each."""

    def facts_at(self, position: Position) -> Sequence[Fact]:
        """Raises `LookupError` if there is no such entry, `Damaged` if it cannot be read."""
        found: Sequence[Fact] | None = self._remembered.rows.get(position)
        if found is not None:
            return found
        if self._long[0] == position:
            return self._long[1]
        payload = self._source.payload_at(position)
        facts = decode_entry(payload)
        if len(payload) <= ROW_BYTES_MAX:
            self._remembered.remember(position, facts)
        else:
            self._long = position, facts
        return facts

    def remember(self, position: Position, facts: Sequence[Fact]) -> None:
        """Of an entry that is durable now. What holds more than one event is decoded when it is asked for."""
        if len(facts) == 1 and isinstance(fact := facts[0], RoomEvent) and len(fact.stored) <= ROW_BYTES_MAX:
            self._remembered.remember(position, facts)

    def forget(self, position: Position) -> None:
        """What stands there has changed."""
        self._remembered.forget(position)
        self._long = (0, ())
