"""A Matrix event as the log keeps it, decoded no further than needed.

The bytes in the log are the event's canonical JSON, the form whose hash is its id (room versions 3
and later: the id itself is not in it). Folds and decisions read it through `Event`; nobody builds
JSON from an `Event` again, so that the bytes that were hashed are the bytes that are served.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections.computed import computed

TIMESTAMP_MAX = (1 << 63) - 1
"""What eight bytes of a key and MessagePack's greatest signed integer hold."""


class Event(msgspec.Struct, frozen=True, dict=True):
    """A room event in its stored form."""

    type: str
    sender: str
    origin_server_ts: int
    """Milliseconds since the epoch."""
    raw_content: msgspec.Raw = msgspec.field(name="content")
    room_id: str = ""
    """Empty only in the create event of a room version whose room id is that event's hash (12)."""
    state_key: str | None = None
    """`None` for a message event; state events have a string, most often the empty one."""
    depth: int = 0
    auth_events: tuple[str, ...] = ()
    prev_events: tuple[str, ...] = ()
    redacts_beside_content: str | None = msgspec.field(name="redacts", default=None)

    @computed
    def content(self) -> dict[str, Any]:
        """The content as plain JSON values."""
        content: dict[str, Any] = msgspec.json.decode(self.raw_content)
        return content

    @property
    def made_at(self) -> int:
        """`origin_server_ts`, or what is nearest to it and a time: a log may hold any integer."""
        timestamp = self.origin_server_ts
        if 0 <= timestamp <= TIMESTAMP_MAX:
            return timestamp
        return 0 if timestamp < 0 else TIMESTAMP_MAX

    @property
    def is_state(self) -> bool:
        return self.state_key is not None

    @property
    def redacts(self) -> str | None:
        """The id of the event that a redaction takes back; it stands in `content` since room version 11."""
        if self.redacts_beside_content is not None:
            return self.redacts_beside_content
        named = self.content.get("redacts")
        return named if isinstance(named, str) else None


_decoder = msgspec.json.Decoder(Event)


def decode_event(stored: bytes | msgspec.Raw) -> Event:
    """Read an event from its stored bytes."""
    return _decoder.decode(stored)


def event_from(fields: Mapping[str, Any]) -> Event:
    """Make an event from plain values; for drafts that have no stored bytes yet, and for tests."""
    return _decoder.decode(msgspec.json.encode(fields))
