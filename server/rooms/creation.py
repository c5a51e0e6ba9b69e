"""Decision: make a room. All its first events are one entry, so a room is there whole or not at all.

Where: POST /createRoom, which fixes the order of the events and what overrides what: `initial_state`
beats the preset, `name` and `topic` beat `initial_state`.
"""

from typing import Any

import msgspec

from projections import directory
from projections.facts import AliasSet, Fact, RoomListed
from projections.identifiers import is_room_alias
from projections.room_versions import DEFAULT, RoomVersion, room_version
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import RoomDraft
from server.rooms.member_profiles import with_profile
from server.rooms.membership import NO_IDENTITY_SERVER, add_creator, invite_all
from server.rooms.refusal import Refused
from server.writer import Decided, Turn

STATE_EVENTS_MAX = 500
"""Of `initial_state` and invites together; bounds the size of one entry."""

_ROOM_ID_LENGTH = 18

_PRESETS = {
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}
"""Join rule, history visibility and guest access of each."""


class InitialState(msgspec.Struct, frozen=True):
    type: str
    content: dict[str, Any]
    state_key: str = ""


class RoomRequest(msgspec.Struct, frozen=True):
    """The body of POST /createRoom."""

    preset: str | None = None
    visibility: str = "private"
    room_version: str | None = None
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: list[str] = []
    is_direct: bool = False
    creation_content: dict[str, Any] = {}
    initial_state: list[InitialState] = []
    power_level_content_override: dict[str, Any] = {}
    invite_3pid: list[dict[str, Any]] = []

    @property
    def invites(self) -> int:
        """How many people are invited, by whichever field."""
        members = [stated.content for stated in self.initial_state if stated.type == "m.room.member"]
        invited = [content for content in members if content.get("membership") == "invite"]
        return len(self.invite) + len(invited)


class CreateRoom(msgspec.Struct, frozen=True):
    session: Session
    request: RoomRequest
    default_version: str = DEFAULT
    """Of a room whose creator asks for none."""


def create_room(turn: Turn, arguments: CreateRoom) -> Decided[str]:
    """Answers the room id."""
    request, creator = arguments.request, arguments.session.user_id
    asked = arguments.default_version if request.room_version is None else request.room_version
    version = room_version(asked)
    if version is None:
        raise MatrixError(ErrorCode.UNSUPPORTED_ROOM_VERSION, f"Room version {asked} is not supported here.")
    preset = _preset_of(request)
    if len(request.initial_state) + len(request.invite) > STATE_EVENTS_MAX:
        raise MatrixError(ErrorCode.TOO_LARGE, f"A room begins with at most {STATE_EVENTS_MAX} events.")
    if request.invite_3pid:
        raise MatrixError(ErrorCode.SERVER_NOT_TRUSTED, NO_IDENTITY_SERVER)
    alias = _alias_for(turn, request)
    chosen_id = "" if version.room_id_is_hash else f"!{turn.random_text(_ROOM_ID_LENGTH)}:{turn.server_name}"
    draft = RoomDraft(turn, chosen_id, version, None)
    try:
        _add_first_events(draft, creator, request, preset, alias)
    except Refused as error:
        raise MatrixError(
            ErrorCode.INVALID_ROOM_STATE, f"The room cannot begin like this: {error.message}"
        ) from error
    facts: list[Fact] = [*draft.facts]
    if alias is not None:
        facts.append(AliasSet(alias, draft.room_id, creator))
    if request.visibility == "public":
        facts.append(RoomListed(draft.room_id, is_public=True))
    return Decided(draft.room_id, facts)


def _preset_of(request: RoomRequest) -> str:
    if request.visibility not in ("public", "private"):
        raise MatrixError(ErrorCode.INVALID_PARAM, "`visibility` is public or private.")
    preset = request.preset or ("public_chat" if request.visibility == "public" else "private_chat")
    if preset not in _PRESETS:
        raise MatrixError(ErrorCode.INVALID_PARAM, f"`preset` is one of {', '.join(_PRESETS)}.")
    return preset


def _alias_for(turn: Turn, request: RoomRequest) -> str | None:
    if request.room_alias_name is None:
        return None
    alias = f"#{request.room_alias_name}:{turn.server_name}"
    if not is_room_alias(alias):
        raise MatrixError(ErrorCode.INVALID_PARAM, f"{alias!r} is not a room alias.")
    if directory.alias(turn.view, alias) is not None:
        raise MatrixError(ErrorCode.ROOM_IN_USE, f"The alias {alias} is taken.")
    return alias


def _add_first_events(
    draft: RoomDraft, creator: str, request: RoomRequest, preset: str, alias: str | None
) -> None:
    trusted = request.invite if preset == "trusted_private_chat" else []
    create_content = _create_content(draft.version, creator, request, trusted)
    levels = _power_levels(draft.version, creator, request, preset, trusted)
    draft.add("m.room.create", creator, create_content, state_key="")
    add_creator(draft, creator)
    draft.add("m.room.power_levels", creator, levels, state_key="")
    if alias is not None:
        draft.add("m.room.canonical_alias", creator, {"alias": alias}, state_key="")
    for event_type, state_key, content in _later_state(request, preset):
        is_member = event_type == "m.room.member"
        stated = with_profile(draft.turn, creator, state_key, content) if is_member else content
        draft.add(event_type, creator, stated, state_key=state_key)
    invite_all(draft, creator, request.invite, is_direct=request.is_direct)


def _later_state(request: RoomRequest, preset: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Preset, `initial_state`, name and topic in this order, but nothing that a later one would replace."""
    join_rule, history_visibility, guest_access = _PRESETS[preset]
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        ("m.room.join_rules", "", {"join_rule": join_rule}),
        ("m.room.history_visibility", "", {"history_visibility": history_visibility}),
        ("m.room.guest_access", "", {"guest_access": guest_access}),
        *((stated.type, stated.state_key, stated.content) for stated in request.initial_state),
    ]
    if request.name is not None:
        wanted.append(("m.room.name", "", {"name": request.name}))
    if request.topic is not None:
        wanted.append(("m.room.topic", "", {"topic": request.topic}))
    last = {(event_type, state_key): index for index, (event_type, state_key, _) in enumerate(wanted)}
    return [stated for index, stated in enumerate(wanted) if last[stated[:2]] == index]


def _create_content(
    version: RoomVersion, creator: str, request: RoomRequest, trusted: list[str]
) -> dict[str, Any]:
    """`creation_content`, with what is not for the client to say."""
    content = {name: value for name, value in request.creation_content.items() if name != "creator"}
    content["room_version"] = version.name
    if version.creator_is_in_content:
        content["creator"] = creator
    additional = content.get("additional_creators", [])
    if version.creators_outrank_all and trusted and isinstance(additional, list):
        new = (user_id for user_id in dict.fromkeys(trusted) if user_id not in additional)
        content["additional_creators"] = [*additional, *new]
    return content


def _power_levels(
    version: RoomVersion, creator: str, request: RoomRequest, preset: str, trusted: list[str]
) -> dict[str, Any]:
    """The levels of a new room, with `power_level_content_override` laid over them key by key.

    Where creators outrank all they are not among the users, and whom the preset trusts are creators.
    """
    levels: dict[str, Any] = {
        "ban": 50,
        "events": {
            "m.room.avatar": 50,
            "m.room.canonical_alias": 50,
            "m.room.encryption": 100,
            "m.room.history_visibility": 100,
            "m.room.name": 50,
            "m.room.power_levels": 100,
            "m.room.server_acl": 100,
            "m.room.tombstone": 150 if version.creators_outrank_all else 100,
        },
        "events_default": 0,
        "invite": 50 if preset == "public_chat" else 0,
        "kick": 50,
        "redact": 50,
        "state_default": 50,
        "users": {} if version.creators_outrank_all else dict.fromkeys([creator, *trusted], 100),
        "users_default": 0,
    }
    return levels | request.power_level_content_override
