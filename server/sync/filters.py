"""Which events and rooms a client wants to hear of, and in which form.

A `not_` list wins over the list that includes; an asterisk in a type stands for any text. What is not
as the specification has it is refused with the name of the field; keys that it does not know are ignored.

Where: client-server API, "Filtering".
"""

from functools import cached_property
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from projections.events import Event
from server.errors import ErrorCode, MatrixError

Kind = TypeVar("Kind")

TIMELINE_LIMIT_DEFAULT = 20
TIMELINE_LIMIT_MAX = 1_000
_TYPES_MAX = 100
_ASTERISKS_MAX = 100
"""In all types of a list. A timeline is looked for among thousands of events, each held against the list."""
_FIELDS_MAX = 100

_Limit: TypeAlias = Annotated[int, Meta(ge=0)]
"""The specification begins at 1; clients that want no timeline at all have always sent 0."""
_Types: TypeAlias = Annotated[list[str], Meta(max_length=_TYPES_MAX)]
_UserId: TypeAlias = Annotated[str, Meta(pattern="^@")]
_RoomId: TypeAlias = Annotated[str, Meta(pattern="^!")]


class _TypeList:
    """Event types, in some of which an asterisk stands for any text."""

    def __init__(self, types: list[str]) -> None:
        self._exact = frozenset(types)
        self._wildcards = [tuple(one.split("*")) for one in types if "*" in one]

    def matches(self, event_type: str) -> bool:
        return event_type in self._exact or any(_fits(event_type, parts) for parts in self._wildcards)


def _fits(text: str, parts: tuple[str, ...]) -> bool:
    """Do the parts between asterisks follow each other in the text?

    Each is taken where it comes first, and no other place is ever tried: nothing is lost by that, and it
    takes no more steps the more asterisks there are.
    """
    first, *inner, last = parts
    end = len(text) - len(last)
    if end < len(first) or not (text.startswith(first) and text.endswith(last)):
        return False
    place = len(first)
    for part in inner:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True


class EventFilter(msgspec.Struct, frozen=True, dict=True):
    """Of events of any kind. `limit` is capped, not refused."""

    limit: _Limit | None = None
    types: _Types | None = None
    not_types: _Types = []
    senders: frozenset[_UserId] | None = None
    not_senders: frozenset[_UserId] = frozenset()

    def __post_init__(self) -> None:
        for name, types in (("types", self.types), ("not_types", self.not_types)):
            if types and sum(one.count("*") for one in types) > _ASTERISKS_MAX:
                raise ValueError(f"`{name}` has more than {_ASTERISKS_MAX} asterisks")

    def admits_type(self, event_type: str) -> bool:
        if self._not_types.matches(event_type):
            return False
        return self._types is None or self._types.matches(event_type)

    def admits_sender(self, sender: str) -> bool:
        return sender not in self.not_senders and (self.senders is None or sender in self.senders)

    def limit_or(self, default: int) -> int:
        return default if self.limit is None else min(self.limit, TIMELINE_LIMIT_MAX)

    @cached_property
    def _types(self) -> _TypeList | None:
        return None if self.types is None else _TypeList(self.types)

    @cached_property
    def _not_types(self) -> _TypeList:
        return _TypeList(self.not_types)


class RoomEventFilter(EventFilter, frozen=True):
    """Of events within rooms."""

    rooms: frozenset[_RoomId] | None = None
    not_rooms: frozenset[_RoomId] = frozenset()
    contains_url: bool | None = None
    lazy_load_members: bool = False
    include_redundant_members: bool = False
    """Without effect: no member event is left out for having been sent before (see `room_state`)."""
    unread_thread_notifications: bool = False

    def admits(self, event: Event) -> bool:
        if not (self.admits_sender(event.sender) and self.admits_type(event.type)):
            return False
        return self.contains_url is None or self.contains_url == ("url" in event.content)

    def admits_room(self, room_id: str) -> bool:
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class RoomFilter(msgspec.Struct, frozen=True):
    """Of rooms, and of each part of what is said about one."""

    rooms: frozenset[_RoomId] | None = None
    not_rooms: frozenset[_RoomId] = frozenset()
    include_leave: bool = False
    timeline: RoomEventFilter = RoomEventFilter()
    state: RoomEventFilter = RoomEventFilter()
    ephemeral: RoomEventFilter = RoomEventFilter()
    account_data: RoomEventFilter = RoomEventFilter()

    def admits_room(self, room_id: str) -> bool:
        return room_id not in self.not_rooms and (self.rooms is None or room_id in self.rooms)


class Filter(msgspec.Struct, frozen=True):
    """Of a whole sync."""

    event_fields: Annotated[list[str], Meta(max_length=_FIELDS_MAX)] = []
    """Paths of the fields wanted; none for all of them."""
    event_format: Literal["client", "federation"] = "client"
    presence: EventFilter = EventFilter()
    account_data: EventFilter = EventFilter()
    room: RoomFilter = RoomFilter()


def parse_filter(text: str | bytes, refusal: ErrorCode = ErrorCode.INVALID_PARAM) -> Filter:
    """The filter of a /sync, from JSON. Raises `MatrixError` 400 for what is none."""
    return _decode(text, Filter, refusal)


def parse_event_filter(text: str | None) -> RoomEventFilter:
    """The filter of a call that takes it inline only, such as /messages."""
    if not text:
        return RoomEventFilter()
    if not text.startswith("{"):
        raise MatrixError(ErrorCode.INVALID_PARAM, "`filter` is no id here; send the filter itself.")
    return _decode(text, RoomEventFilter, ErrorCode.INVALID_PARAM)


def _decode(text: str | bytes, kind: type[Kind], refusal: ErrorCode) -> Kind:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MatrixError(refusal, f"This is not a filter: {error}") from error
