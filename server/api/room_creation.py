"""POST /createRoom. Where: client-server API, "Creation"."""

from starlette.requests import Request
from starlette.responses import Response

from server.appservices.identity import check_may_make
from server.http.answers import answer
from server.http.appservices import service_of
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse
from server.http.routing import CLIENT, V1_2015, Route
from server.http.transactions import transaction_of
from server.rooms.creation import CreateRoom, RoomRequest
from server.rooms.creation import create_room as decide_room
from server.rooms.transactions import once


async def create_room(request: Request) -> Response:
    """POST /createRoom; PUT with a transaction id."""
    session = authenticate(request)
    check_rate(request, "state", session.user_id)
    body = await parse(request, RoomRequest, empty_is_object=True)
    if body.invites:
        check_rate(request, "invite", session.user_id, body.invites)
    parts = context(request)
    if body.room_alias_name is not None:
        alias = f"#{body.room_alias_name}:{parts.homeserver.server_name}"
        check_may_make(parts.config.appservices, "aliases", alias, service_of(request))
    await parts.queries.ensure_users(parts.homeserver, body.invite)
    decide_once = once(decide_room, session.user_id, transaction_of(request, session))
    arguments = CreateRoom(session, body, parts.config.default_room_version)
    room_id = await parts.writer.decide(decide_once, arguments)
    return answer({"room_id": room_id})


routes = (
    Route("POST", "/createRoom", create_room, CLIENT),
    Route("PUT", "/createRoom/{txn_id}", create_room, V1_2015),
)
