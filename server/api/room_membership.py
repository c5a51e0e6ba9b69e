"""Who is in a room: join, invite, leave, kick, ban, unban.

Where: client-server API, "Room membership".
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import directory, memberships
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse
from server.http.routing import CLIENT, Route
from server.rooms import membership
from server.rooms.membership import MemberChange, member_content
from server.writer import Decision


class OwnChange(msgspec.Struct, frozen=True):
    """The body of /join and /leave."""

    reason: str | None = None


class ChangeOfAnother(msgspec.Struct, frozen=True):
    """The body of /invite, /kick, /ban and /unban."""

    user_id: str
    reason: str | None = None


async def join(request: Request) -> Response:
    """POST /join/{room_id_or_alias} and POST /rooms/{room_id}/join."""
    session = authenticate(request)
    check_rate(request, "join", session.user_id)
    body = await parse(request, OwnChange, empty_is_object=True)
    change = MemberChange(session, _room_id(request), session.user_id, member_content("join", body.reason))
    return answer({"room_id": await context(request).writer.decide(membership.join, change)})


async def leave(request: Request) -> Response:
    """POST /rooms/{room_id}/leave."""
    session = authenticate(request)
    body = await parse(request, OwnChange, empty_is_object=True)
    content = member_content("leave", body.reason)
    change = MemberChange(session, request.path_params["room_id"], session.user_id, content)
    await context(request).writer.decide(membership.change_membership, change)
    return answer({})


async def invite(request: Request) -> Response:
    """POST /rooms/{room_id}/invite."""
    session = authenticate(request)
    check_rate(request, "invite", session.user_id)
    return await _change_another(request, session, membership.invite, "invite")


async def kick(request: Request) -> Response:
    """POST /rooms/{room_id}/kick."""
    return await _change_another(request, authenticate(request), membership.kick, "leave")


async def ban(request: Request) -> Response:
    """POST /rooms/{room_id}/ban."""
    return await _change_another(request, authenticate(request), membership.change_membership, "ban")


async def unban(request: Request) -> Response:
    """POST /rooms/{room_id}/unban."""
    return await _change_another(request, authenticate(request), membership.unban, "leave")


async def joined_rooms(request: Request) -> Response:
    """GET /joined_rooms."""
    session = authenticate(request)
    with context(request).homeserver.views.read() as view:
        rooms = [
            known.room_id
            for known in memberships.rooms_of(view, session.user_id)
            if known.membership == "join"
        ]
    return answer({"joined_rooms": rooms})


async def _change_another(
    request: Request, session: Session, decision: Decision[MemberChange, None], becomes: str
) -> Response:
    body = await parse(request, ChangeOfAnother)
    content = member_content(becomes, body.reason)
    change = MemberChange(session, request.path_params["room_id"], body.user_id, content)
    await context(request).writer.decide(decision, change)
    return answer({})


def _room_id(request: Request) -> str:
    """The room that the path names, by its id or by an alias."""
    name: str = request.path_params["room_id_or_alias"]
    if not name.startswith("#"):
        return name
    with context(request).homeserver.views.read() as view:
        known = directory.alias(view, name)
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no room alias {name}.")
    return known.room_id


_ROOM = "/rooms/{room_id}"

routes = (
    Route("POST", "/join/{room_id_or_alias}", join, CLIENT),
    Route("POST", "/rooms/{room_id_or_alias}/join", join, CLIENT),
    Route("POST", _ROOM + "/leave", leave, CLIENT),
    Route("POST", _ROOM + "/invite", invite, CLIENT),
    Route("POST", _ROOM + "/kick", kick, CLIENT),
    Route("POST", _ROOM + "/ban", ban, CLIENT),
    Route("POST", _ROOM + "/unban", unban, CLIENT),
    Route("GET", "/joined_rooms", joined_rooms, CLIENT),
)
