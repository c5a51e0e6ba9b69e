"""From a draft to an event: its content hash, its id, and the bytes that are kept and served for ever.

The id is the hash of the event's pruned form, so that it still is the id after a redaction. The pruned
form has `hashes` in it, and these hold the hash of the unpruned event: the id commits to the content
without containing it.

There are no signatures. A signature tells other servers who made an event; this server speaks to no
other, and has no signing key. They are part of neither hash, so federation could add them to events that
are stored already.

Where: specification, server-server API, "Calculating the content hash for an event", "Calculating the
reference hash for an event"; room version 4, "Event IDs"; client-server API, "Size limits".
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from projections.identifiers import IDENTIFIER_BYTES_MAX, fits
from projections.pruning import prune
from projections.room_versions import RoomVersion
from server.errors import ErrorCode, MatrixError
from server.rooms.canonical_json import encode

EVENT_BYTES_MAX: Final = 65_536
"""Of canonical JSON, as stored."""

_SHORT_FIELDS: Final = ("type", "sender", "room_id", "state_key")


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """An event that nothing can be changed in any more."""

    event_id: str
    stored: msgspec.Raw
    """Canonical JSON. The id is not in it: it follows from it."""


def seal_event(draft: Mapping[str, Any], version: RoomVersion) -> Sealed:
    """Hash and encode an event. Raises `MatrixError` TOO_LARGE if it, or one of its identifiers, is too long.

    `draft` has every key of the stored event but `hashes`. Of its content, what a client wrote must have
    passed `canonical_json.check`.
    """
    for field in _SHORT_FIELDS:
        if not fits(draft.get(field, "")):
            raise MatrixError(
                ErrorCode.TOO_LARGE, f"`{field}` is longer than {IDENTIFIER_BYTES_MAX} bytes of UTF-8."
            )
    event = {**draft, "hashes": {"sha256": _hash_of(encode(draft)).decode()}}
    return _sealed(encode(event), encode(prune(event, version)))


class MessageForm:
    """All messages of one type that one user sends while the room's state stays: what is the same in them.

    The canonical JSON of such an event is put together of parts. It, its form without hashes and its pruned
    form differ in two places, so its content is encoded once and nothing else is at all.
    """

    __slots__ = ("_beginning", "_end", "auth_events", "event_type", "room_id", "sender")

    def __init__(self, event_type: str, sender: str, room_id: str, auth_events: Sequence[str]) -> None:
        """Of a type of whose content pruning leaves nothing, and for identifiers that fit."""
        self.event_type = event_type
        self.sender = sender
        self.room_id = room_id
        self.auth_events = tuple(auth_events)
        self._beginning = b'{"auth_events":%b,"content":' % encode(self.auth_events)
        self._end = b',"room_id":%b,"sender":%b,"type":%b}' % tuple(
            map(encode, (room_id, sender, event_type))
        )

    def seal(self, content: bytes, depth: int, timestamp: int, previous: Sequence[str]) -> Sealed:
        """What `seal_event` makes of such an event; `content` is canonical JSON. Raises as it does."""
        above = b',"depth":%d' % depth
        below = b',"origin_server_ts":%d,"prev_events":%b%b' % (timestamp, encode(previous), self._end)
        content_hash = _hash_of(b"%b%b%b%b" % (self._beginning, content, above, below))
        rest = b'%b,"hashes":{"sha256":"%b"}%b' % (above, content_hash, below)
        return _sealed(b"%b%b%b" % (self._beginning, content, rest), b"%b{}%b" % (self._beginning, rest))


def _sealed(stored: bytes, pruned: bytes) -> Sealed:
    if len(stored) > EVENT_BYTES_MAX:
        raise MatrixError(
            ErrorCode.TOO_LARGE, f"The event has {len(stored)} bytes; {EVENT_BYTES_MAX} are allowed."
        )
    return Sealed("$" + _hash_of(pruned).translate(_URL_SAFE).decode(), msgspec.Raw(stored))


def _hash_of(data: bytes) -> bytes:
    """SHA-256 in base64 without padding."""
    return b2a_base64(sha256(data).digest(), newline=False)[:-1]


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
