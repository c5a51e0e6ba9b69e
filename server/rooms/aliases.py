"""Decisions: give a room a name that people can type, and take it away.

Where: client-server API, "Room aliases".
"""

import msgspec

from projections import directory, memberships
from projections.facts import AliasRemoved, AliasSet
from projections.identifiers import is_room_alias, split
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import draft_of, levels_in
from server.writer import Decided, Turn


class SetAlias(msgspec.Struct, frozen=True):
    session: Session
    alias: str
    room_id: str


class RemoveAlias(msgspec.Struct, frozen=True):
    session: Session
    alias: str


def set_alias(turn: Turn, request: SetAlias) -> Decided[None]:
    if not is_room_alias(request.alias) or split(request.alias)[1] != turn.server_name:
        raise MatrixError(ErrorCode.INVALID_PARAM, f"{request.alias!r} is no alias of this server.")
    if not memberships.is_joined(turn.view, request.room_id, request.session.user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "Only a member of the room may give it an alias.")
    if directory.alias(turn.view, request.alias) is not None:
        raise MatrixError(ErrorCode.ALIAS_TAKEN, f"The alias {request.alias} is taken.")
    return Decided(None, [AliasSet(request.alias, request.room_id, request.session.user_id)])


def remove_alias(turn: Turn, request: RemoveAlias) -> Decided[None]:
    """For who made the alias, and for who may set the room's canonical alias."""
    known = directory.alias(turn.view, request.alias)
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no alias {request.alias}.")
    user_id = request.session.user_id
    if known.user_id != user_id and not _may_name(turn, known.room_id, user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "Only its maker, or who may name the room, removes an alias.")
    return Decided(None, [AliasRemoved(request.alias)])


def _may_name(turn: Turn, room_id: str, user_id: str) -> bool:
    if not memberships.is_joined(turn.view, room_id, user_id):
        return False
    levels = levels_in(draft_of(turn, room_id).state)
    return levels.of(user_id) >= levels.to_send("m.room.canonical_alias", is_state=True)
