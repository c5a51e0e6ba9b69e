"""Power levels: how much a user may do, and how much each thing asks for.

Reading is tolerant, a value of the wrong type counts as missing; that the values are integers is a rule
of authorisation, and holds for whatever is written (`auth_rules`, rule 10).

Where: specification, "m.room.power_levels"; server-server API, "Definitions".
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from projections.events import Event

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

ROOM_NOTIFICATION_LEVEL: Final = 50


class PowerLevels:
    """The levels of one room at one time. Cheap to make: nothing is read before it is asked for."""

    __slots__ = ("_content",)

    def __init__(self, content: Mapping[str, Any] | None, create: Event) -> None:
        """`content` of the power levels event; `None` if the room has none."""
        # Without an event all the defaults are those of missing keys; only the creator differs.
        self._content = {"users": {create.sender: CREATOR_LEVEL}} if content is None else content

    def of(self, user_id: str) -> int:
        """The level that a user has, or would have: it does not depend on being in the room."""
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
        level = _entries(self._content, "notifications").get("room")
        return level if is_level(level) else ROOM_NOTIFICATION_LEVEL

    def _single(self, name: str) -> int:
        level = self._content.get(name)
        return level if is_level(level) else DEFAULTS[name]

    def _entry(self, table: str, name: str, default: str) -> int:
        level = _entries(self._content, table).get(name)
        return level if is_level(level) else self._single(default)


def is_level(value: object) -> TypeGuard[int]:
    """Is it an integer? `True` is none, although Python counts it among them."""
    return type(value) is int


def _entries(content: Mapping[str, Any], table: str) -> Mapping[str, Any]:
    found = content.get(table)
    return found if isinstance(found, dict) else {}
