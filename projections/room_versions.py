"""What differs between room versions, as a table of traits.

A room keeps the version it was created with, so old rules are for ever, as old facts are. Code that
differs between versions asks for a trait and never for a name: then a further version is one more row,
and the rules that only it has. A trait comes into the table together with the code that reads it.

The table stands beside the folds because they need it: pruning a redacted event depends on the version
of its room. Where: specification, "Room Versions"; client-server API, "m.room_versions capability".
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import msgspec

RedactionRules: TypeAlias = Literal["v11"]
"""Named after the first room version that has them; the others are v1, v6 and v9."""


class RoomVersion(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    redaction_rules: RedactionRules
    """Which keys of an event survive its redaction."""


SUPPORTED: Final[Mapping[str, RoomVersion]] = MappingProxyType(
    {version.name: version for version in (RoomVersion(name="11", redaction_rules="v11"),)}
)
"""Every version in which a room can be made here, by name."""

DEFAULT: Final = "11"
"""For a room whose creator asks for no version."""


def room_version(name: str) -> RoomVersion | None:
    """The traits of a version; `None` if rooms of that version are not made here."""
    return SUPPORTED.get(name)
