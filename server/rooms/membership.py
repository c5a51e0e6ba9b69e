"""Decisions: join, knock, invite, leave, kick, ban, unban; all of them are one `m.room.member` event.

The auth rules say who may; what is added here is what the calls ask for besides: a second join changes
nothing, an unban needs somebody who is banned. To forget a room is no event: nobody else hears of it.

Where: client-server API, "Room membership".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections import directory, memberships
from projections.events import Event
from projections.facts import RoomForgotten
from projections.identifiers import is_user_id
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms import canonical_json
from server.rooms.drafting import RoomDraft, draft_of
from server.rooms.member_profiles import with_profile
from server.rooms.restricted_joins import content_of_join, without_authoriser
from server.writer import Decided, Turn

_NOT_IN_ROOM = "You are not in this room."
_IF_UNKNOWN = {
    "join": "You are not invited to this room.",
    "knock": "Nobody can ask to join this room.",
}
"""The words in which `auth_rules` refuses somebody who is not in a room that exists."""

MEMBERSHIPS = ("join", "invite", "leave", "ban", "knock")
NO_IDENTITY_SERVER = "There is no identity server that this server trusts; invite by user id."
"""To who invites by e-mail address or telephone number."""


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
    draft = draft_of(turn, change.room_id, if_unknown=_IF_UNKNOWN.get(membership, _NOT_IN_ROOM))
    at, sender = ("m.room.member", change.user_id), change.session.user_id
    standing, content = draft.state.standing(at), with_profile(turn, sender, change.user_id, change.content)
    if standing is not None and sender == change.user_id and _is_repeat(content, standing.event):
        return Decided(standing.event_id)
    if membership == "join" and sender == change.user_id:
        content = content_of_join(draft, sender, content)
    fact = draft.add("m.room.member", sender, content, state_key=change.user_id)
    return Decided(fact.event_id, draft.facts)


def _is_repeat(content: Mapping[str, Any], standing: Event) -> bool:
    membership = content["membership"]
    if membership != standing.content.get("membership"):
        return False
    return membership == "leave" or (membership == "join" and _is_same(content, standing))


def _is_same(content: Mapping[str, Any], standing: Event) -> bool:
    """To the byte: Python takes 1 and true for the same. Whatever it tells apart need not be encodable."""
    wanted, known = without_authoriser(content), without_authoriser(standing.content)
    return wanted == known and canonical_json.encode(wanted) == canonical_json.encode(known)


class Entering(msgspec.Struct, frozen=True):
    """Somebody wants to join a room, or asks to be let in."""

    session: Session
    room_id_or_alias: str
    reason: str | None = None


def join(turn: Turn, request: Entering) -> Decided[str]:
    """Answers the room id."""
    return _enter(turn, request, "join")


def knock(turn: Turn, request: Entering) -> Decided[str]:
    """Answers the room id."""
    return _enter(turn, request, "knock")


def _enter(turn: Turn, request: Entering, membership: str) -> Decided[str]:
    room_id, content = _room_named(turn, request.room_id_or_alias), member_content(membership, request.reason)
    change = MemberChange(request.session, room_id, request.session.user_id, content)
    return Decided(room_id, set_member_event(turn, change).facts)


def _room_named(turn: Turn, name: str) -> str:
    if not name.startswith("#"):
        return name
    known = directory.alias(turn.view, name)
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no room alias {name}.")
    return known.room_id


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


class ForgetRoom(msgspec.Struct, frozen=True):
    session: Session
    room_id: str


def forget(turn: Turn, request: ForgetRoom) -> Decided[None]:
    """For who is out of the room. Whoever has nothing to forget is told the same as who has."""
    user_id, room_id = request.session.user_id, request.room_id
    known = memberships.membership_of(turn.view, room_id, user_id)
    if known is not None and known.membership not in ("leave", "ban"):
        raise MatrixError(ErrorCode.UNKNOWN, f"{user_id} is not out of room {room_id}; leave it first.")
    if known is None or known.is_forgotten:
        return Decided(None)
    return Decided(None, [RoomForgotten(user_id, room_id)])


def _standing(turn: Turn, change: MemberChange) -> str | None:
    known = memberships.membership_of(turn.view, change.room_id, change.user_id)
    return None if known is None else known.membership


def _check_in_room(turn: Turn, change: MemberChange) -> None:
    """Before anything is said about somebody's membership, the asker must be entitled to know it."""
    if not memberships.is_joined(turn.view, change.room_id, change.session.user_id):
        raise MatrixError(ErrorCode.FORBIDDEN, _NOT_IN_ROOM)


def _without_answer(decided: Decided[str]) -> Decided[None]:
    return Decided(None, decided.facts)


def member_content(membership: str, reason: str | None = None) -> dict[str, Any]:
    """The content of a member event that one of the membership calls makes."""
    return {"membership": membership} | ({} if reason is None else {"reason": reason})


def add_creator(draft: RoomDraft, user_id: str) -> None:
    """The join that belongs to a new room."""
    content = with_profile(draft.turn, user_id, user_id, member_content("join"))
    draft.add("m.room.member", user_id, content, state_key=user_id)


def invite_all(draft: RoomDraft, sender: str, user_ids: list[str], *, is_direct: bool) -> None:
    """The invites that belong to a new room."""
    content = member_content("invite") | ({"is_direct": True} if is_direct else {})
    for user_id in user_ids:
        if not is_user_id(user_id):
            raise MatrixError(ErrorCode.INVALID_PARAM, f"{user_id!r} is not a user id.")
        invited = with_profile(draft.turn, sender, user_id, content)
        draft.add("m.room.member", sender, invited, state_key=user_id)
