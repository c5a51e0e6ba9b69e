"""Power levels: how much a user may do, and how much each thing asks for.

Reading is tolerant, a value of the wrong type counts as missing; what may be written is a rule of
authorisation (`power_level_rules`). Below room version 10 that rule lets most values pass, and text that
spells an integer is a level.

Where: specification, "m.room.power_levels"; room version 9, "m.room.power_levels events accept values as
strings"; room version 12, "Authorization rules"; server-server API, "Definitions".
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from projections.events import Event
from projections.room_versions import RoomVersion
from server.rooms.canonical_json import INTEGER_MAX

DEFAULTS: Final[Mapping[str, int]] = {
    "ban": 50,
    "events_default": 0,
    "invite": 0,
    "kick": 50,
    "redact": 50,
    "state_default": 50,
    "users_default": 0,
}
"""What a power levels event means by leaving one of its seven single values out."""

CREATOR_LEVEL: Final = 100
"""Of who made the room, until it has a power levels event; from then on they have what that event says."""

ABOVE_ALL: Final = INTEGER_MAX + 1
"""Of the creators where they outrank all: no event can hold so high a level."""

ROOM_NOTIFICATION_LEVEL: Final = 50

# The last group has as many digits as the largest level, so that what is converted is short.
_LEVEL_AS_TEXT = re.compile(r"\s*([+-]?)0*([0-9]{1,16})\s*")


def creators_of(create: Event, version: RoomVersion) -> tuple[str, ...]:
    """Who made the room; the first of them is who sent the create event."""
    if version.creator_is_in_content:
        return (create.content["creator"],)
    if version.creators_outrank_all:
        return (create.sender, *create.content.get("additional_creators", ()))
    return (create.sender,)


def level_from(value: object, version: RoomVersion) -> int | None:
    """The level that a value stands for; `None` if it is none.

    `True` is none, although Python counts it among the integers.
    """
    if type(value) is int:
        return value
    if type(value) is not str or not version.levels_may_be_text:
        return None
    found = _LEVEL_AS_TEXT.fullmatch(value)
    level = None if found is None else int(found[1] + found[2])
    return level if level is not None and abs(level) <= INTEGER_MAX else None


class PowerLevels:
    """The levels of one room at one time. Cheap to make: nothing is read before it is asked for."""

    __slots__ = ("_content", "_create", "_version")

    def __init__(self, content: Mapping[str, Any] | None, create: Event, version: RoomVersion) -> None:
        """`content` of the power levels event; `None` if the room has none."""
        if content is None:
            # All the defaults are those of missing keys; only the creator differs.
            content = {"users": dict.fromkeys(creators_of(create, version), CREATOR_LEVEL)}
        self._content = content
        self._create = create
        self._version = version

    def of(self, user_id: str) -> int:
        """The level that a user has, or would have: it does not depend on being in the room."""
        if self._version.creators_outrank_all and user_id in creators_of(self._create, self._version):
            return ABOVE_ALL
        return self._entry("users", user_id, "users_default")

    def to_send(self, event_type: str, is_state: bool) -> int:
        """The level needed to send an event, but for member events, which have rules of their own."""
        return self._entry("events", event_type, "state_default" if is_state else "events_default")

    @property
    def ban(self) -> int:
        return self._single("ban")

    @property
    def kick(self) -> int:
        return self._single("kick")

    @property
    def redact(self) -> int:
        """The level needed to redact the events of others."""
        return self._single("redact")

    @property
    def invite(self) -> int:
        return self._single("invite")

    @property
    def notifications_room(self) -> int:
        """The level needed to notify everybody in the room at once."""
        level = self._level(_entries(self._content, "notifications").get("room"))
        return ROOM_NOTIFICATION_LEVEL if level is None else level

    def _single(self, name: str) -> int:
        level = self._level(self._content.get(name))
        return DEFAULTS[name] if level is None else level

    def _entry(self, table: str, name: str, default: str) -> int:
        level = self._level(_entries(self._content, table).get(name))
        return self._single(default) if level is None else level

    def _level(self, value: object) -> int | None:
        return level_from(value, self._version)


def _entries(content: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = content.get(table)
    return found if isinstance(found, dict) else {}
