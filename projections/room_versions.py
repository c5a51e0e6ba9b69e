"""What differs between room versions, as a table of traits.

A room keeps the version it was created with, so old rules are for ever, as old facts are. Code that
differs between versions asks for a trait and never for a name: then a further version is one more row,
and the rules that only it has. A trait comes into the table together with the code that reads it.

Rooms of versions 1 to 5 are not made here, although these are stable too. Their events need not be
canonical JSON (floats, and integers that a double cannot hold), and everything here is hashed, stored and
served as canonical JSON; `m.room.aliases` has rules of its own in them; in 1 and 2 event ids are no hashes.
Who needs such rooms is a server that joins old ones of other servers, and this one speaks to no other.

The table stands beside the folds because they need it: pruning a redacted event depends on the version
of its room. Where: specification, "Room Versions"; client-server API, "m.room_versions capability".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

RedactionRules: TypeAlias = Literal["v6", "v8", "v9", "v11"]
"""Named after the first room version that has them."""


class RoomVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    redaction_rules: RedactionRules
    """Which keys of an event survive its redaction."""
    join_rules: frozenset[str]
    """The join rules that mean something; by any other nobody can join."""
    levels_may_be_text: bool
    """Does text that spells an integer count as a power level?"""
    creator_is_in_content: bool
    """Has the create event to name its sender once more, as `content.creator`?"""
    redacts_is_in_content: bool
    """Does a redaction name its target in `content`, and not beside it?"""
    room_id_is_hash: bool
    """Is a room's id that of its create event, which then has none and is not named as an auth event?"""
    creators_outrank_all: bool
    """Are the sender of the create event and its `additional_creators` above every power level?"""


_V6: Final = RoomVersion(
    name="6",
    redaction_rules="v6",
    join_rules=frozenset({"public", "invite"}),
    levels_may_be_text=True,
    creator_is_in_content=True,
    redacts_is_in_content=False,
    room_id_is_hash=False,
    creators_outrank_all=False,
)
# Each of the others is the one before it, and what it changed.
_V7: Final = replace(_V6, name="7", join_rules=_V6.join_rules | {"knock"})
_V8: Final = replace(_V7, name="8", join_rules=_V7.join_rules | {"restricted"}, redaction_rules="v8")
_V9: Final = replace(_V8, name="9", redaction_rules="v9")
_V10: Final = replace(
    _V9, name="10", join_rules=_V9.join_rules | {"knock_restricted"}, levels_may_be_text=False
)
_V11: Final = replace(
    _V10, name="11", redaction_rules="v11", creator_is_in_content=False, redacts_is_in_content=True
)
_V12: Final = replace(_V11, name="12", room_id_is_hash=True, creators_outrank_all=True)

SUPPORTED: Final[Mapping[str, RoomVersion]] = MappingProxyType(
    {version.name: version for version in (_V6, _V7, _V8, _V9, _V10, _V11, _V12)}
)
"""Every version in which a room can be made here, by name; all of them are stable."""

DEFAULT: Final = "12"
"""For a room whose creator asks for no version."""


def room_version(name: str) -> RoomVersion | None:
    """The traits of a version; `None` if rooms of that version are not made here."""
    return SUPPORTED.get(name)
