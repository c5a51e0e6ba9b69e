"""Whom an application service acts as, and which identifiers are a service's alone to make.

Its token stands for all users of its namespace; each request says which of them it speaks for.
Where: application service API, "Identity assertion", "Server admin style permissions".
"""

from collections.abc import Sequence

from projections import accounts, sessions
from projections.sessions import Session
from projections.view import View
from server.appservices.registration import AppService, IdentifierKind
from server.errors import ErrorCode, MatrixError

_NO_DEVICE = "\0"
"""Begins what a session has for a device that there is none of; no device's id has it in it."""


def acting_session(
    view: View, server_name: str, service: AppService, user_id: str | None, device_id: str | None
) -> Session:
    """The user, by default the service's own, and the device that a request names.

    Without a device the session has the service in its place: so its transactions are apart from those of
    the user's devices, and of another service that acts as the same user.
    Raises `MatrixError` FORBIDDEN, USER_DEACTIVATED or UNKNOWN_DEVICE.
    """
    if user_id is None:
        user_id = service.sender(server_name)
    elif not may_act_as(service, user_id, server_name):
        raise MatrixError(ErrorCode.FORBIDDEN, "The application service may not act as this user.")
    known = accounts.account(view, user_id)
    if known is None:
        raise MatrixError(ErrorCode.FORBIDDEN, "The application service has not registered this user.")
    if known.deactivated_ts is not None:
        raise MatrixError(ErrorCode.USER_DEACTIVATED, "This account was deactivated.")
    if device_id is None:
        return Session(user_id, _NO_DEVICE + service.id)
    if sessions.device(view, user_id, device_id) is None:
        raise MatrixError(ErrorCode.UNKNOWN_DEVICE, "The user has no such device.")
    return Session(user_id, device_id)


def has_device(session: Session) -> bool:
    return not session.device_id.startswith(_NO_DEVICE)


def may_act_as(service: AppService, user_id: str, server_name: str) -> bool:
    return service.is_interested_in("users", user_id) or user_id == service.sender(server_name)


def check_may_register(
    services: Sequence[AppService], user_id: str, maker: AppService | None, server_name: str
) -> None:
    """As `check_may_make`. A service's own user is there from the start; asked for, it is taken."""
    if maker is None or user_id != maker.sender(server_name):
        check_may_make(services, "users", user_id, maker)


def check_may_make(
    services: Sequence[AppService], kind: IdentifierKind, identifier: str, maker: AppService | None
) -> None:
    """Raises `MatrixError` EXCLUSIVE for what is another service's alone, or outside the maker's namespaces.

    `maker` is `None` for anybody who is no service.
    """
    if any(service is not maker and service.owns(kind, identifier) for service in services):
        raise MatrixError(ErrorCode.EXCLUSIVE, f"{identifier} is reserved for an application service.")
    if maker is not None and not maker.is_interested_in(kind, identifier):
        raise MatrixError(ErrorCode.EXCLUSIVE, f"{identifier} is not of this application service.")
