"""POST /rooms/{roomId}/upgrade. Where: client-server API, "Room upgrades"."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.http.answers import answer
from server.http.context import context
from server.http.identity import authenticate, check_rate
from server.http.parsing import parse
from server.http.routing import CLIENT, Route
from server.rooms.upgrading import UpgradeRoom, upgrade_room


class Upgrade(msgspec.Struct, frozen=True):
    """The body of POST /rooms/{room_id}/upgrade."""

    new_version: str
    additional_creators: tuple[str, ...] = ()


async def upgrade(request: Request) -> Response:
    """POST /rooms/{room_id}/upgrade."""
    session = authenticate(request)
    check_rate(request, "state", session.user_id)
    body = await parse(request, Upgrade)
    room_id = request.path_params["room_id"]
    arguments = UpgradeRoom(session, room_id, body.new_version, body.additional_creators)
    return answer({"replacement_room": await context(request).writer.decide(upgrade_room, arguments)})


routes = (Route("POST", "/rooms/{room_id}/upgrade", upgrade, CLIENT),)
