"""Joins of rooms that let in whoever is in another room: the server finds somebody who may vouch for it.

The auth rules ask only that a member who may invite is named; whether the user fulfils one of the
conditions is for the server of that member to check, and here that is always this server. So a client
never names the member itself: what it puts there is taken away.

Where: client-server API, "Restricted rooms"; server-server API, "Restricted rooms".
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from projections import memberships
from projections.identifiers import split
from server.rooms.drafting import RoomDraft, levels_in

AUTHORISER = "join_authorised_via_users_server"
_NOBODY = "@"
"""No user id, so its level is that of everybody who has none of their own."""


def without_authoriser(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != AUTHORISER}


def content_of_join(draft: RoomDraft, user_id: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a user's join with whoever authorises it, where the room asks for that.

    If nobody does, the auth rules refuse the join.
    """
    stated = without_authoriser(content)
    if not _asks_for_authoriser(draft, user_id) or not _fulfils_a_condition(draft, user_id):
        return stated
    authoriser = next(_who_may_invite(draft), None)
    return stated if authoriser is None else stated | {AUTHORISER: authoriser}


def _asks_for_authoriser(draft: RoomDraft, user_id: str) -> bool:
    rules, own = draft.state.get(("m.room.join_rules", "")), draft.state.get(("m.room.member", user_id))
    if rules is None or rules.content.get("join_rule") not in ("restricted", "knock_restricted"):
        return False
    return own is None or own.content.get("membership") not in ("join", "invite")


def _fulfils_a_condition(draft: RoomDraft, user_id: str) -> bool:
    """Conditions of kinds that are not known are never fulfilled."""
    rules = draft.state.get(("m.room.join_rules", ""))
    conditions = None if rules is None else rules.content.get("allow")
    return isinstance(conditions, list) and any(_holds(draft, one, user_id) for one in conditions)


def _holds(draft: RoomDraft, condition: object, user_id: str) -> bool:
    if not isinstance(condition, dict) or condition.get("type") != "m.room_membership":
        return False
    room_id = condition.get("room_id")
    return isinstance(room_id, str) and memberships.is_joined(draft.turn.view, room_id, user_id)


def _who_may_invite(draft: RoomDraft) -> Iterator[str]:
    """Users of this server in the room; does not look at every member unless every member may."""
    view, levels = draft.turn.view, levels_in(draft.state)
    for user_id in _candidates(draft, everybody=levels.of(_NOBODY) >= levels.invite):
        may_invite = split(user_id)[1] == draft.turn.server_name and levels.of(user_id) >= levels.invite
        if may_invite and memberships.is_joined(view, draft.room_id, user_id):
            yield user_id


def _candidates(draft: RoomDraft, *, everybody: bool) -> Iterator[str]:
    """The creators, whom levels name, and then all members if anybody's level is enough."""
    create, levels = draft.state.get(("m.room.create", "")), draft.state.get(("m.room.power_levels", ""))
    created_by = [] if create is None else [create.sender, *_texts(create.content.get("additional_creators"))]
    named = sorted(_texts(None if levels is None else levels.content.get("users")))
    members = memberships.members(draft.turn.view, draft.room_id) if everybody else ()
    return chain(created_by, named, (known.user_id for known in members))


def _texts(found: object) -> list[str]:
    """The texts in an array, or the names in an object."""
    return [text for text in found if isinstance(text, str)] if isinstance(found, list | dict) else []
