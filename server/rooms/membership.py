"""Decisions: join, invite, leave, kick, ban, unban; all of them are one `m.room.member` event.

The auth rules say who may; what is added here is what the calls ask for besides: a second join changes
nothing, an unban needs somebody who is banned.

Where: client-server API, "Room membership".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections import memberships
from projections.events import Event
from projections.identifiers import is_user_id
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import RoomDraft, draft_of
from server.writer import Decided, Turn

MEMBERSHIPS = ("join", "invite", "leave", "ban", "knock")


class MemberChange(msgspec.Struct, frozen=True):
    """A member event that somebody asks for, for themselves or for another."""

    session: Session
    room_id: str
    user_id: str
    """Whose membership is to change."""
    content: Mapping[str, Any]


def set_member_event(turn: Turn, change: MemberChange) -> Decided[str]:
    """Answers the id of the member event that now stands.

    Asked for what already is, by the user themselves, it answers the standing event and adds none: a
    client that joins twice, or leaves twice, is told that it has what it wanted.
    """
    membership = change.content.get("membership")
    if membership not in MEMBERSHIPS:
        raise MatrixError(ErrorCode.BAD_JSON, f"`membership` is one of {', '.join(MEMBERSHIPS)}.")
    if not is_user_id(change.user_id):
        raise MatrixError(ErrorCode.INVALID_PARAM, f"{change.user_id!r} is not a user id.")
    draft = draft_of(turn, change.room_id)
    at, sender = ("m.room.member", change.user_id), change.session.user_id
    standing = draft.state.standing(at)
    if standing is not None and sender == change.user_id and _is_repeat(change.content, standing.event):
        return Decided(standing.event_id)
    fact = draft.add("m.room.member", sender, change.content, state_key=change.user_id)
    return Decided(fact.event_id, draft.facts)


def _is_repeat(content: Mapping[str, Any], standing: Event) -> bool:
    membership = content["membership"]
    if membership != standing.content.get("membership"):
        return False
    return membership == "leave" or (membership == "join" and content == standing.content)


def join(turn: Turn, change: MemberChange) -> Decided[str]:
    """Answers the room id."""
    decided = set_member_event(turn, change)
    return Decided(change.room_id, decided.facts)


def invite(turn: Turn, change: MemberChange) -> Decided[None]:
    standing = _standing(turn, change)
    if standing == "ban":
        _check_in_room(turn, change)
        raise MatrixError(ErrorCode.BAD_STATE, f"{change.user_id} is banned from this room.")
    return _without_answer(set_member_event(turn, change))


def kick(turn: Turn, change: MemberChange) -> Decided[None]:
    """Somebody else's `leave`, for one who is in the room or invited to it."""
    _check_in_room(turn, change)
    if _standing(turn, change) not in ("join", "invite", "knock"):
        raise MatrixError(ErrorCode.FORBIDDEN, f"{change.user_id} is not in this room.")
    return _without_answer(set_member_event(turn, change))


def unban(turn: Turn, change: MemberChange) -> Decided[None]:
    _check_in_room(turn, change)
    if _standing(turn, change) != "ban":
        raise MatrixError(ErrorCode.BAD_STATE, f"{change.user_id} is not banned from this room.")
    return _without_answer(set_member_event(turn, change))


def change_membership(turn: Turn, change: MemberChange) -> Decided[None]:
    """Leave and ban: nothing is asked for besides the auth rules."""
    return _without_answer(set_member_event(turn, change))


def _standing(turn: Turn, change: MemberChange) -> str | None:
    known = memberships.membership_of(turn.view, change.room_id, change.user_id)
    return None if known is None else known.membership


def _check_in_room(turn: Turn, change: MemberChange) -> None:
    """Before anything is said about somebody's membership, the asker must be entitled to know it."""
    if not memberships.is_joined(turn.view, change.room_id, change.session.user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")


def _without_answer(decided: Decided[str]) -> Decided[None]:
    return Decided(None, decided.facts)


def member_content(membership: str, reason: str | None = None) -> dict[str, Any]:
    """The content of a member event that one of the membership calls makes."""
    return {"membership": membership} | ({} if reason is None else {"reason": reason})


def invite_all(draft: RoomDraft, sender: str, user_ids: list[str], *, is_direct: bool) -> None:
    """The invites that belong to a new room."""
    content = member_content("invite") | ({"is_direct": True} if is_direct else {})
    for user_id in user_ids:
        if not is_user_id(user_id):
            raise MatrixError(ErrorCode.INVALID_PARAM, f"{user_id!r} is not a user id.")
        draft.add("m.room.member", sender, content, state_key=user_id)
