"""Which events and rooms a client wants to hear of.

Where: client-server API, "Filtering". A filter is given inline, as JSON; a `not_` list wins over the list
that includes; an asterisk in a type stands for any text.
"""

import re
from functools import cached_property
from typing import TypeVar

import msgspec

from projections.events import Event
from server.errors import ErrorCode, MatrixError

Kind = TypeVar("Kind")

TIMELINE_LIMIT_DEFAULT = 20
TIMELINE_LIMIT_MAX = 1_000
_FILTER_BYTES_MAX = 65_536


class EventFilter(msgspec.Struct, frozen=True, dict=True):
    """Of events within a room. `limit` is capped, not refused."""

    limit: int | None = None
    types: list[str] | None = None
    not_types: list[str] = []
    senders: list[str] | None = None
    not_senders: list[str] = []
    rooms: list[str] | None = None
    not_rooms: list[str] = []
    contains_url: bool | None = None

    def admits(self, event: Event) -> bool:
        if event.sender in self.not_senders or _matches(self._not_types, event.type):
            return False
        if self.senders is not None and event.sender not in self.senders:
            return False
        if self._types is not None and not _matches(self._types, event.type):
            return False
        return self.contains_url is None or self.contains_url == ("url" in event.content)

    def admits_room(self, room_id: str) -> bool:
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)

    def limit_or(self, default: int) -> int:
        return default if self.limit is None else max(1, min(self.limit, TIMELINE_LIMIT_MAX))

    @cached_property
    def _types(self) -> re.Pattern[str] | None:
        return None if self.types is None else _pattern(self.types)

    @cached_property
    def _not_types(self) -> re.Pattern[str] | None:
        return _pattern(self.not_types) if self.not_types else None


class RoomFilter(msgspec.Struct, frozen=True):
    rooms: list[str] | None = None
    not_rooms: list[str] = []
    include_leave: bool = False
    timeline: EventFilter = EventFilter()
    state: EventFilter = EventFilter()

    def admits_room(self, room_id: str) -> bool:
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class Filter(msgspec.Struct, frozen=True):
    room: RoomFilter = RoomFilter()


def parse_filter(text: str | None) -> Filter:
    """The filter of a /sync. Raises `MatrixError` 400 for what is none."""
    return Filter() if text is None else _decode(text, Filter)


def parse_event_filter(text: str | None) -> EventFilter:
    """The filter of a /messages."""
    return EventFilter() if text is None else _decode(text, EventFilter)


def _decode(text: str, kind: type[Kind]) -> Kind:
    if not text.startswith("{"):
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no filter of this id; send the filter itself.")
    if len(text) > _FILTER_BYTES_MAX:
        raise MatrixError(ErrorCode.TOO_LARGE, f"A filter has at most {_FILTER_BYTES_MAX} bytes.")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MatrixError(ErrorCode.INVALID_PARAM, f"`filter` is not a filter: {error}") from error


def _pattern(types: list[str]) -> re.Pattern[str]:
    """One expression for all of them. `*` alone has a meaning."""
    return re.compile("|".join(".*".join(map(re.escape, re.split(r"\*+", one))) for one in types), re.DOTALL)


def _matches(pattern: re.Pattern[str] | None, event_type: str) -> bool:
    return pattern is not None and pattern.fullmatch(event_type) is not None
