"""Who is in a room: join, knock, invite, leave, forget, kick, ban, unban.

Where: client-server API, "Room membership".
"""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import memberships
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse
from server.http.routing import CLIENT, V1_2015, Route
from server.http.transactions import transaction_of
from server.rooms import membership
from server.rooms.membership import NO_IDENTITY_SERVER, Entering, ForgetRoom, MemberChange, member_content
from server.rooms.transactions import once
from server.writer import Decision


class OwnChange(msgspec.Struct, frozen=True):
    """The body of /join, /knock and /leave."""

    reason: str | None = None


class ChangeOfAnother(msgspec.Struct, frozen=True):
    """The body of /kick, /ban and /unban."""

    user_id: str
    reason: str | None = None


class Invitation(msgspec.Struct, frozen=True):
    """The body of /invite: somebody with a user id, or with an address that an identity server knows."""

    user_id: str | msgspec.UnsetType | None = msgspec.UNSET
    reason: str | None = None
    medium: str | msgspec.UnsetType = msgspec.UNSET
    address: str | msgspec.UnsetType = msgspec.UNSET
    id_server: str | msgspec.UnsetType = msgspec.UNSET


async def join(request: Request) -> Response:
    """POST /join/{room_id_or_alias} and POST /rooms/{room_id}/join; PUT with a transaction id."""
    session = authenticate(request)
    check_rate(request, "join", session.user_id)
    return await _enter(request, session, membership.join)


async def knock(request: Request) -> Response:
    """POST /knock/{room_id_or_alias}."""
    session = authenticate(request)
    check_rate(request, "join", session.user_id)
    return await _enter(request, session, membership.knock)


async def leave(request: Request) -> Response:
    """POST /rooms/{room_id}/leave; PUT with a transaction id."""
    session = authenticate(request)
    body = await parse(request, OwnChange, empty_is_object=True)
    decision = membership.change_membership
    return await _change(request, session, decision, "leave", session.user_id, body.reason)


async def forget(request: Request) -> Response:
    """POST /rooms/{room_id}/forget."""
    session = authenticate(request)
    arguments = ForgetRoom(session, request.path_params["room_id"])
    await context(request).writer.decide(membership.forget, arguments)
    return answer({})


async def invite(request: Request) -> Response:
    """POST /rooms/{room_id}/invite; PUT with a transaction id."""
    session = authenticate(request)
    check_rate(request, "invite", session.user_id)
    body = await parse(request, Invitation)
    parts, user_id = context(request), _invited(body)
    await parts.queries.ensure_users(parts.homeserver, [user_id])
    return await _change(request, session, membership.invite, "invite", user_id, body.reason)


async def kick(request: Request) -> Response:
    """POST /rooms/{room_id}/kick."""
    return await _change_another(request, membership.kick, "leave")


async def ban(request: Request) -> Response:
    """POST /rooms/{room_id}/ban; PUT with a transaction id."""
    return await _change_another(request, membership.change_membership, "ban")


async def unban(request: Request) -> Response:
    """POST /rooms/{room_id}/unban."""
    return await _change_another(request, membership.unban, "leave")


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


async def _enter(request: Request, session: Session, decision: Decision[Entering, str]) -> Response:
    body = await parse(request, OwnChange, empty_is_object=True)
    parts, named = context(request), request.path_params["room_id_or_alias"]
    await parts.queries.ensure_alias(parts.homeserver, named)
    arguments = Entering(session, named, body.reason)
    decide_once = once(decision, session.user_id, transaction_of(request, session))
    return answer({"room_id": await parts.writer.decide(decide_once, arguments)})


async def _change_another(request: Request, decision: Decision[MemberChange, None], becomes: str) -> Response:
    session = authenticate(request)
    check_rate(request, "state", session.user_id)
    body = await parse(request, ChangeOfAnother)
    return await _change(request, session, decision, becomes, body.user_id, body.reason)


async def _change(
    request: Request,
    session: Session,
    decision: Decision[MemberChange, None],
    becomes: str,
    user_id: str,
    reason: str | None,
) -> Response:
    content = member_content(becomes, reason)
    change = MemberChange(session, request.path_params["room_id"], user_id, content)
    decide_once = once(decision, session.user_id, transaction_of(request, session))
    await context(request).writer.decide(decide_once, change)
    return answer({})


def _invited(body: Invitation) -> str:
    if isinstance(body.user_id, str):
        return body.user_id
    if body.user_id is None:
        raise MatrixError(ErrorCode.BAD_JSON, "`user_id` must be a string.")
    if any(given is not msgspec.UNSET for given in (body.medium, body.address, body.id_server)):
        raise MatrixError(ErrorCode.SERVER_NOT_TRUSTED, NO_IDENTITY_SERVER)
    raise MatrixError(ErrorCode.MISSING_PARAM, "The body has no `user_id`.")


_ROOM = "/rooms/{room_id}"

routes = (
    Route("POST", "/join/{room_id_or_alias}", join, CLIENT),
    Route("POST", "/knock/{room_id_or_alias}", knock, CLIENT),
    Route("POST", "/rooms/{room_id_or_alias}/join", join, CLIENT),
    Route("POST", _ROOM + "/leave", leave, CLIENT),
    Route("POST", _ROOM + "/forget", forget, CLIENT),
    Route("POST", _ROOM + "/invite", invite, CLIENT),
    Route("POST", _ROOM + "/kick", kick, CLIENT),
    Route("POST", _ROOM + "/ban", ban, CLIENT),
    Route("POST", _ROOM + "/unban", unban, CLIENT),
    Route("PUT", "/join/{room_id_or_alias}/{txn_id}", join, V1_2015),
    Route("PUT", "/rooms/{room_id_or_alias}/join/{txn_id}", join, V1_2015),
    Route("PUT", _ROOM + "/leave/{txn_id}", leave, V1_2015),
    Route("PUT", _ROOM + "/invite/{txn_id}", invite, V1_2015),
    Route("PUT", _ROOM + "/ban/{txn_id}", ban, V1_2015),
    Route("GET", "/joined_rooms", joined_rooms, CLIENT),
)
