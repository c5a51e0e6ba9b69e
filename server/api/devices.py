"""A user's devices. Where: client-server API, "Device Management"."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from projections import sessions
from projections.sessions import Device, Session
from server.errors import ErrorCode, MatrixError
from server.http.answers import answer
from server.http.appservices import service_of
from server.http.context import context
from server.http.identity import authenticate
from server.http.interactive import PASSWORD, Authentication, proven
from server.http.parsing import parse
from server.http.routing import CLIENT, Route
from server.users.sessions import RemoveDevices, RenameDevice, make_device, remove_devices, rename_device


class RenameBody(msgspec.Struct, frozen=True):
    display_name: str | None = None


class RemovalBody(msgspec.Struct, frozen=True):
    auth: Authentication | None = None
    devices: list[str] = []


async def get_devices(request: Request) -> Response:
    """GET /devices."""
    session = authenticate(request)
    with context(request).homeserver.views.read() as view:
        return answer({"devices": [_shown(known) for known in sessions.devices(view, session.user_id)]})


async def get_device(request: Request) -> Response:
    """GET /devices/{device_id}."""
    session = authenticate(request)
    with context(request).homeserver.views.read() as view:
        known = sessions.device(view, session.user_id, request.path_params["device_id"])
    if known is None:
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such device.")
    return answer(_shown(known))


async def put_device(request: Request) -> Response:
    """PUT /devices/{device_id}: give it a name; a service makes devices so, and is told by a 201."""
    session = authenticate(request)
    body = await parse(request, RenameBody)
    change = RenameDevice(session, request.path_params["device_id"], body.display_name)
    writer = context(request).writer
    if service_of(request) is not None:
        return answer({}, 201 if await writer.decide(make_device, change) else 200)
    await writer.decide(rename_device, change)
    return answer({})


async def delete_device(request: Request) -> Response:
    """DELETE /devices/{device_id}; asks for the password."""
    session = authenticate(request)
    body = await parse(request, RemovalBody, empty_is_object=True)
    return await _remove(request, session, [request.path_params["device_id"]], body.auth)


async def delete_devices(request: Request) -> Response:
    """POST /delete_devices; asks for the password."""
    session = authenticate(request)
    body = await parse(request, RemovalBody)
    return await _remove(request, session, body.devices, body.auth)


async def _remove(
    request: Request, session: Session, device_ids: list[str], auth: Authentication | None
) -> Response:
    """Needs the user's password; but not from a service, whose users have none."""
    writer, removal = context(request).writer, RemoveDevices(session, device_ids)
    if service_of(request) is not None:
        await writer.decide(remove_devices, removal)
    else:
        async with proven(request, auth, [PASSWORD], session.user_id):
            await writer.decide(remove_devices, removal)
    return answer({})


def _shown(known: Device) -> dict[str, Any]:
    shown = {"device_id": known.device_id}
    return shown if known.display_name is None else shown | {"display_name": known.display_name}


routes = (
    Route("GET", "/devices", get_devices, CLIENT),
    Route("GET", "/devices/{device_id}", get_device, CLIENT),
    Route("PUT", "/devices/{device_id}", put_device, CLIENT),
    Route("DELETE", "/devices/{device_id}", delete_device, CLIENT),
    Route("POST", "/delete_devices", delete_devices, CLIENT),
)
