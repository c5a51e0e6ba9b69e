"""Decisions: change a field of one's profile, and tell the rooms that show it.

A changed name or avatar makes a new member event in every room that the user has joined; only that field
changes in it, so that what they call themselves in one room survives another avatar. A room whose rules
would refuse the event goes without it.

Where: client-server API, "Profiles"; PUT and DELETE /profile/{userId}/{keyName}.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from projections import memberships, profiles
from projections.facts import Fact, ProfileChanged, RoomEvent
from projections.identifiers import IDENTIFIER_BYTES_MAX, fits
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms import canonical_json
from server.rooms.drafting import draft_of
from server.rooms.member_profiles import SHOWN_IN_ROOMS
from server.rooms.restricted_joins import without_authoriser
from server.writer import Decided, Turn

ROOMS_TOLD_MAX = 100
"""In one entry, which is decided in one go (8 ms); who is in more rooms has several entries."""
PROFILE_BYTES_MAX = 65_535
"""Of JSON, names and values together: a profile is smaller than 64 KiB."""
DISPLAY_NAME_CHARACTERS_MAX = 256
AVATAR_URL_CHARACTERS_MAX = 1_000

_FIELD = re.compile("|".join([*SHOWN_IN_ROOMS, r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+"]))
"""Appendices, "Common Namespaced Identifier Grammar"; the two names without a namespace are of 2015."""

_Value: TypeAlias = msgspec.Raw | msgspec.UnsetType
"""The JSON of a field; `UNSET` where there is none."""


class ChangeProfile(msgspec.Struct, frozen=True):
    session: Session
    field: str
    value: Any = msgspec.UNSET
    """JSON, decoded; `UNSET` takes the field away."""


class TellRooms(msgspec.Struct, frozen=True):
    session: Session
    field: str
    after: str
    """The last room that was told."""


def change_profile(turn: Turn, request: ChangeProfile) -> Decided[str | None]:
    """The field, and the member events of the first rooms that show it, as one entry.

    Answers the last room that was told if there are more, for `tell_rooms` to go on from. A value that
    stands already is told again wherever it is missing: whoever was cut off in the middle just repeats.
    """
    user_id = request.session.user_id
    _check_field(request.field)
    value = _stored(request)
    known = profiles.field_of(turn.view, user_id, request.field)
    facts: list[Fact] = []
    if value != known:
        _check_size(turn, user_id, request.field, value)
        facts.append(ProfileChanged(user_id, request.field, turn.now, value))
    told, last = _member_events(turn, request.session, request.field, value, after="")
    return Decided(last, [*facts, *told])


def tell_rooms(turn: Turn, request: TellRooms) -> Decided[str | None]:
    """The next rooms. They are told what is true by now: of two changes at once the last one stays."""
    value = profiles.field_of(turn.view, request.session.user_id, request.field)
    told, last = _member_events(turn, request.session, request.field, value, after=request.after)
    return Decided(last, told)


def _member_events(
    turn: Turn, session: Session, field: str, value: _Value, *, after: str
) -> tuple[Sequence[RoomEvent], str | None]:
    if field not in SHOWN_IN_ROOMS:
        return [], None
    known = memberships.rooms_of(turn.view, session.user_id)
    room_ids = sorted(one.room_id for one in known if one.membership == "join" and one.room_id > after)
    shown = {} if value is msgspec.UNSET else {field: msgspec.json.decode(value)}
    facts: list[RoomEvent] = []
    for room_id in room_ids[:ROOMS_TOLD_MAX]:
        with suppress(MatrixError):  # refused, or too large with what else the event has in it
            facts += _member_event(turn, room_id, session.user_id, field, shown)
    return facts, room_ids[ROOMS_TOLD_MAX - 1] if len(room_ids) > ROOMS_TOLD_MAX else None


def _member_event(
    turn: Turn, room_id: str, user_id: str, field: str, shown: dict[str, Any]
) -> Sequence[RoomEvent]:
    draft = draft_of(turn, room_id)
    standing = draft.state.get(("m.room.member", user_id))
    before = {} if standing is None else standing.content
    if before.get(field) != shown.get(field):
        kept = {name: known for name, known in without_authoriser(before).items() if name != field}
        draft.add("m.room.member", user_id, kept | shown, state_key=user_id)
    return draft.facts


def _check_field(name: str) -> None:
    if not fits(name):
        message = f"The name of a field has at most {IDENTIFIER_BYTES_MAX} bytes."
        raise MatrixError(ErrorCode.KEY_TOO_LARGE, message)
    if not _FIELD.fullmatch(name):
        raise MatrixError(
            ErrorCode.INVALID_PARAM, f"{name!r} is no field; own ones are named like com.example.field."
        )


def _stored(request: ChangeProfile) -> _Value:
    """The value as JSON; nothing for a field that is taken away, as an empty name or avatar is."""
    value = request.value
    if value is msgspec.UNSET or (value == "" and request.field in SHOWN_IN_ROOMS):
        return msgspec.UNSET
    _check_value(request.field, value)
    return msgspec.Raw(canonical_json.encode(value))


def _check_value(name: str, value: Any) -> None:
    if name not in (*SHOWN_IN_ROOMS, "m.tz"):
        return
    if not isinstance(value, str):
        raise MatrixError(ErrorCode.BAD_JSON, f"`{name}` must be a string.")
    if name == "displayname" and len(value) > DISPLAY_NAME_CHARACTERS_MAX:
        message = f"A display name has at most {DISPLAY_NAME_CHARACTERS_MAX} characters."
        raise MatrixError(ErrorCode.INVALID_PARAM, message)
    if name == "avatar_url" and (len(value) > AVATAR_URL_CHARACTERS_MAX or not value.startswith("mxc://")):
        message = f"An avatar is an mxc:// URI of at most {AVATAR_URL_CHARACTERS_MAX} characters."
        raise MatrixError(ErrorCode.INVALID_PARAM, message)


def _check_size(turn: Turn, user_id: str, field: str, value: _Value) -> None:
    """Whatever makes a profile smaller is let through."""
    if value is msgspec.UNSET:
        return
    profile = {**profiles.profile_of(turn.view, user_id), field: value}
    if len(msgspec.json.encode(profile)) > PROFILE_BYTES_MAX:
        raise MatrixError(ErrorCode.PROFILE_TOO_LARGE, "A profile has less than 64 KiB of JSON.")
