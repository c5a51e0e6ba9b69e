"""Decisions: give a room a name that people can type, and take it away.

Where: client-server API, "Room aliases".
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from projections import directory, memberships
from projections.directory import Alias
from projections.facts import AliasRemoved, AliasSet, RoomEvent
from projections.identifiers import is_room_alias, split
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import draft_of, levels_in
from server.rooms.refusal import Refused
from server.writer import Decided, Turn

_CANONICAL_ALIAS = ("m.room.canonical_alias", "")


class SetAlias(msgspec.Struct, frozen=True):
    session: Session
    alias: str
    room_id: str


class RemoveAlias(msgspec.Struct, frozen=True):
    session: Session
    alias: str
    is_in_own_namespace: bool = False
    """Is it an application service that asks, whose names of this kind are?"""


def set_alias(turn: Turn, request: SetAlias) -> Decided[None]:
    if not is_room_alias(request.alias) or split(request.alias)[1] != turn.server_name:
        raise MatrixError(ErrorCode.INVALID_PARAM, f"{request.alias!r} is no alias of this server.")
    if not memberships.is_joined(turn.view, request.room_id, request.session.user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "Only a member of the room may give it an alias.")
    if directory.alias(turn.view, request.alias) is not None:
        raise MatrixError(ErrorCode.ALIAS_TAKEN, f"The alias {request.alias} is taken.")
    return Decided(None, [AliasSet(request.alias, request.room_id, request.session.user_id)])


def remove_alias(turn: Turn, request: RemoveAlias) -> Decided[None]:
    """For who made the alias or owns its namespace, and for who may set the room's canonical alias.

    The latter has the alias taken out of the state as well; else it stays there as a name that leads nowhere.
    """
    known = directory.alias(turn.view, request.alias)
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no alias {request.alias}.")
    user_id = request.session.user_id
    is_own = known.user_id == user_id or request.is_in_own_namespace
    if not is_own and not _may_name(turn, known.room_id, user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "Only its maker, or who may name the room, removes an alias.")
    return Decided(None, [AliasRemoved(request.alias), *_taken_out_of_state(turn, known, user_id)])


def _taken_out_of_state(turn: Turn, known: Alias, user_id: str) -> list[RoomEvent]:
    draft = draft_of(turn, known.room_id)
    standing = draft.state.get(_CANONICAL_ALIAS)
    named = {} if standing is None else standing.content
    left = _without(named, known.alias)
    if left != named:
        with suppress(Refused):
            draft.add("m.room.canonical_alias", user_id, left, state_key="")
    return draft.facts


def _without(named: Mapping[str, Any], alias: str) -> dict[str, Any]:
    """The content of a canonical alias event, less one of its names."""
    left = {name: value for name, value in named.items() if (name, value) != ("alias", alias)}
    alternatives = left.get("alt_aliases")
    if isinstance(alternatives, list) and alias in alternatives:
        left["alt_aliases"] = [name for name in alternatives if name != alias]
    return left


def _may_name(turn: Turn, room_id: str, user_id: str) -> bool:
    if not memberships.is_joined(turn.view, room_id, user_id):
        return False
    levels = levels_in(draft_of(turn, room_id).state)
    return levels.of(user_id) >= levels.to_send("m.room.canonical_alias", is_state=True)
