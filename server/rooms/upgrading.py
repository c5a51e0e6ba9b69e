"""Decision: replace a room by a new one of another version. Both rooms change in one entry, or neither.

The old room gets a tombstone that names its successor, the new one names its predecessor and begins with a
copy of that state which does not depend on who sent it. Nobody is moved: members join by themselves.

Where: client-server API, "Room upgrades".
"""

from collections.abc import Mapping
from contextlib import suppress
from heapq import nlargest
from typing import Any

import msgspec

from projections import directory, memberships
from projections.events import Event
from projections.facts import AliasRemoved, AliasSet, Fact, RoomListed
from projections.room_versions import RoomVersion, room_version
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import RoomDraft, draft_of, levels_in
from server.rooms.membership import add_creator, member_content
from server.rooms.power_levels import CREATOR_LEVEL, DEFAULTS, creators_of, level_from
from server.rooms.refusal import Refused
from server.writer import Decided, Turn

_ROOM_ID_LENGTH = 18
_COPIED = (
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
    "m.room.server_acl",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
)
"""And the bans and the power levels, these last: until they are there, who upgrades may do everything."""
_BANS_COPIED_MAX = 500
"""The latest ones; bounds an entry, which is decided in one go."""
_REASON_CHARACTERS_MAX = 500
"""Of a ban that is copied; a longer reason stays in the old room."""
_COPIED_OF_CREATION = ("type", "m.federate")
_TOMBSTONE = "m.room.tombstone"
_TOMBSTONE_LEVEL = 150
"""Where creators outrank all: more than anybody else is given by default."""
_LEVEL_IN_OLD_ROOM = 50
"""What speaking and inviting ask for, once a room is replaced; more if everybody has as much."""


class UpgradeRoom(msgspec.Struct, frozen=True):
    session: Session
    room_id: str
    new_version: str
    additional_creators: tuple[str, ...] = ()


def upgrade_room(turn: Turn, request: UpgradeRoom) -> Decided[str]:
    """Answers the id of the new room."""
    version = room_version(request.new_version)
    if version is None:
        raise MatrixError(
            ErrorCode.UNSUPPORTED_ROOM_VERSION, f"Room version {request.new_version} is not supported here."
        )
    user_id, old = request.session.user_id, draft_of(turn, request.room_id)
    _check_may_replace(turn, old, user_id)
    chosen_id = "" if version.room_id_is_hash else f"!{turn.random_text(_ROOM_ID_LENGTH)}:{turn.server_name}"
    new = RoomDraft(turn, chosen_id, version, None)
    try:
        _begin(old, new, user_id, request.additional_creators)
        _copy_state(old, new, user_id)
    except Refused as error:
        message = f"The new room cannot begin like this: {error.message}"
        raise MatrixError(ErrorCode.INVALID_ROOM_STATE, message) from error
    _close_old_room(old, user_id)
    return Decided(new.room_id, [*old.facts, *new.facts, *_names_moved(turn, old.room_id, new.room_id)])


def _check_may_replace(turn: Turn, old: RoomDraft, user_id: str) -> None:
    if not memberships.is_joined(turn.view, old.room_id, user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")
    levels = levels_in(old.state)
    if levels.of(user_id) < levels.to_send(_TOMBSTONE, is_state=True):
        raise MatrixError(ErrorCode.FORBIDDEN, "You may not replace this room by another.")


def _begin(old: RoomDraft, new: RoomDraft, user_id: str, additional_creators: tuple[str, ...]) -> None:
    """The tombstone, the create event and the first join.

    Where a room's id is the hash of its create event, that cannot name the tombstone which names it.
    """
    content = _create_content(old, new.version, user_id, additional_creators)
    predecessor = {"room_id": old.room_id}
    if not new.version.room_id_is_hash:
        predecessor["event_id"] = _bury(old, new.room_id, user_id)
    new.add("m.room.create", user_id, content | {"predecessor": predecessor}, state_key="")
    if new.version.room_id_is_hash:
        _bury(old, new.room_id, user_id)
    add_creator(new, user_id)


def _bury(old: RoomDraft, new_room_id: str, user_id: str) -> str:
    content = {"body": "This room has been replaced", "replacement_room": new_room_id}
    return old.add(_TOMBSTONE, user_id, content, state_key="").event_id


def _create_content(
    old: RoomDraft, version: RoomVersion, user_id: str, additional_creators: tuple[str, ...]
) -> dict[str, Any]:
    before = _content(old, "m.room.create") or {}
    content = {name: before[name] for name in _COPIED_OF_CREATION if name in before}
    content["room_version"] = version.name
    if version.creator_is_in_content:
        content["creator"] = user_id
    if version.creators_outrank_all and additional_creators:
        content["additional_creators"] = list(additional_creators)
    return content


def _copy_state(old: RoomDraft, new: RoomDraft, user_id: str) -> None:
    for event_type in _COPIED:
        content = _content(old, event_type)
        if content is not None:
            new.add(event_type, user_id, content, state_key="")
    _copy_bans(old, new, user_id)
    new.add("m.room.power_levels", user_id, _levels_for(old, new), state_key="")


def _copy_bans(old: RoomDraft, new: RoomDraft, user_id: str) -> None:
    """Else whoever was put out of the old room would just walk into the new one."""
    known = (one for one in memberships.members(old.turn.view, old.room_id) if one.membership == "ban")
    for ban in nlargest(_BANS_COPIED_MAX, known, key=lambda one: one.order):
        standing = old.state.get(("m.room.member", ban.user_id))
        reason = None if standing is None else standing.content.get("reason")
        is_kept = isinstance(reason, str) and len(reason) <= _REASON_CHARACTERS_MAX
        content = member_content("ban", reason if is_kept else None)
        with suppress(Refused):  # a creator of the new room
            new.add("m.room.member", user_id, content, state_key=ban.user_id)


def _levels_for(old: RoomDraft, new: RoomDraft) -> dict[str, Any]:
    """The old room's levels in the form of the new version; what is no level is left out.

    Text may have been one; and creators are among the users, unless they outrank all.
    """
    before = _content(old, "m.room.power_levels") or {}
    levels: dict[str, Any] = _levels_among(before, old.version)
    users, events = ({**_table(before, name, old.version)} for name in ("users", "events"))
    if old.version.creators_outrank_all or not before:
        users |= dict.fromkeys(creators_of(_create(old), old.version), CREATOR_LEVEL)
    if new.version.creators_outrank_all:
        new_creators = creators_of(_create(new), new.version)
        users = {name: level for name, level in users.items() if name not in new_creators}
        events = {_TOMBSTONE: _TOMBSTONE_LEVEL} | events
    notifications = _table(before, "notifications", old.version)
    tables = {"users": users, "events": events, "notifications": notifications}
    return levels | {name: table for name, table in tables.items() if table or name in before}


def _table(content: Mapping[str, Any], name: str, version: RoomVersion) -> dict[str, int]:
    table = content.get(name)
    return _levels_among(table, version) if isinstance(table, dict) else {}


def _levels_among(content: Mapping[str, Any], version: RoomVersion) -> dict[str, int]:
    levels = ((name, level_from(value, version)) for name, value in content.items())
    return {name: level for name, level in levels if level is not None}


def _close_old_room(old: RoomDraft, user_id: str) -> None:
    """As far as the user may; a room that stays as it was is no reason not to go on."""
    if _content(old, "m.room.canonical_alias"):
        with suppress(Refused):
            old.add("m.room.canonical_alias", user_id, {}, state_key="")
    before = _content(old, "m.room.power_levels") or {}
    needed = max(_LEVEL_IN_OLD_ROOM, _single(before, "users_default", old.version) + 1)
    raised = {
        name: needed for name in ("events_default", "invite") if _single(before, name, old.version) < needed
    }
    if before and raised:
        with suppress(Refused):
            old.add("m.room.power_levels", user_id, {**before, **raised}, state_key="")


def _single(content: Mapping[str, Any], name: str, version: RoomVersion) -> int:
    level = level_from(content.get(name), version)
    return DEFAULTS[name] if level is None else level


def _names_moved(turn: Turn, old_id: str, new_id: str) -> list[Fact]:
    """The aliases and the place on the public list; an alias stays with who made it."""
    facts: list[Fact] = []
    for name in directory.aliases_of_room(turn.view, old_id):
        known = directory.alias(turn.view, name)
        if known is not None:
            facts += [AliasRemoved(name), AliasSet(name, new_id, known.user_id)]
    if directory.is_public(turn.view, old_id):
        facts += [RoomListed(old_id, is_public=False), RoomListed(new_id, is_public=True)]
    return facts


def _content(draft: RoomDraft, event_type: str) -> dict[str, Any] | None:
    found = draft.state.get((event_type, ""))
    return None if found is None else found.content


def _create(draft: RoomDraft) -> Event:
    found = draft.state.get(("m.room.create", ""))
    if found is None:
        raise LookupError("the room has no create event")
    return found
