"""What of a user's profile stands in their member events, from where every client in the room takes it.

The server fills it in when a local user joins, is invited or knocks. What users say of themselves for one
room stays as they say it; what somebody else says of them does not.

Where: client-server API, "Profiles", "m.room.member".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections import profiles
from projections.identifiers import split
from server.writer import Turn

SHOWN_IN_ROOMS = ("displayname", "avatar_url")

_MEMBERSHIPS_THAT_SHOW = ("join", "invite", "knock")


def with_profile(turn: Turn, sender: str, user_id: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The content of a user's member event as the sender asks for it, with the user's profile in it."""
    if content.get("membership") not in _MEMBERSHIPS_THAT_SHOW or split(user_id)[1] != turn.server_name:
        return content
    profile = _shown_profile(turn, user_id)
    if sender == user_id:
        return {**profile, **content}
    return {name: value for name, value in content.items() if name not in SHOWN_IN_ROOMS} | profile


def _shown_profile(turn: Turn, user_id: str) -> dict[str, Any]:
    fields = ((name, profiles.field_of(turn.view, user_id, name)) for name in SHOWN_IN_ROOMS)
    return {name: msgspec.json.decode(value) for name, value in fields if value is not msgspec.UNSET}
