"""Decisions: send a message event, set a piece of state.

The content is the request's body, whole and unchanged; nothing in it reaches the event's other keys.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections import dedup, directory
from projections.facts import Transaction
from projections.identifiers import is_room_alias
from projections.sessions import Session
from projections.view import View
from server.errors import ErrorCode, MatrixError
from server.rooms import membership, redaction
from server.rooms.drafting import RoomDraft, draft_of
from server.rooms.membership import MemberChange
from server.writer import Decided, Turn


class SendMessage(msgspec.Struct, frozen=True):
    session: Session
    room_id: str
    event_type: str
    content: dict[str, Any]
    transaction: Transaction | None = None
    """`None`: the client has no way to repeat this request, and every call makes an event."""


class SetState(msgspec.Struct, frozen=True):
    session: Session
    room_id: str
    event_type: str
    state_key: str
    content: dict[str, Any]


def send_message(turn: Turn, request: SendMessage) -> Decided[str]:
    """Answers the event id. A repeat of a transaction answers the first id and adds nothing."""
    session, content = request.session, request.content
    if request.event_type == "m.room.redaction":
        target = content.get("redacts")
        if not isinstance(target, str):
            raise MatrixError(ErrorCode.MISSING_PARAM, "A redaction needs `redacts`, the id of an event.")
        return redaction.redact(
            turn, redaction.Redact(session, request.room_id, target, content, request.transaction)
        )
    if request.transaction is not None:
        made = dedup.event_made_by(turn.view, session.user_id, request.transaction)
        if made is not None:
            return Decided(made)
    draft = draft_of(turn, request.room_id)
    fact = draft.add(request.event_type, session.user_id, content, transaction=request.transaction)
    return Decided(fact.event_id, draft.facts)


def set_state(turn: Turn, request: SetState) -> Decided[str]:
    """Answers the id of the event that now stands under the key.

    The same content from the same sender again changes nothing and makes no event.
    """
    sender, at = request.session.user_id, (request.event_type, request.state_key)
    if request.event_type == "m.room.member":
        change = MemberChange(request.session, request.room_id, request.state_key, request.content)
        return membership.set_member_event(turn, change)
    draft = draft_of(turn, request.room_id)
    if at == ("m.room.canonical_alias", ""):
        _check_new_aliases(turn.view, draft, request.content)
    standing = draft.state.standing(at)
    fact = draft.add(request.event_type, sender, request.content, state_key=request.state_key)
    # The raw contents are compared, because Python takes 1 and true for the same.
    wanted = (sender, fact.event.raw_content)
    if standing is not None and (standing.event.sender, standing.event.raw_content) == wanted:
        return Decided(standing.event_id)
    return Decided(fact.event_id, draft.facts)


def _check_new_aliases(view: View, draft: RoomDraft, content: Mapping[str, Any]) -> None:
    """Aliases that were not named before must point to this room.

    Where: PUT /rooms/{roomId}/state/{eventType}/{stateKey}, error 400.
    """
    standing = draft.state.get(("m.room.canonical_alias", ""))
    # A list: what a room was created with need be no text.
    known = [] if standing is None else _aliases_in(standing.content)
    for name in _aliases_in(content):
        if not isinstance(name, str) or not is_room_alias(name):
            raise MatrixError(ErrorCode.INVALID_PARAM, f"{name!r} is not a room alias.")
        target = directory.alias(view, name)
        if name not in known and (target is None or target.room_id != draft.room_id):
            raise MatrixError(ErrorCode.BAD_ALIAS, f"The alias {name} does not point to this room.")


def _aliases_in(content: Mapping[str, Any]) -> list[Any]:
    alternatives = content.get("alt_aliases")
    named = list(alternatives) if isinstance(alternatives, list) else []
    return [name for name in (content.get("alias"), *named) if name]
