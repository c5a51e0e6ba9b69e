"""Decisions: log in, log out, and name a device.

Where: client-server API, "Login", "Logging out", "Client Authentication". A token belongs to a device;
logging in again with a known device id voids the token that the device had.
"""

from collections.abc import Callable

import msgspec

from projections import accounts, sessions
from projections.facts import DeviceRenamed, SessionClosed, SessionOpened
from projections.identifiers import fits
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.users.passwords import WRONG_PASSWORD
from server.users.tokens import ACCESS_TOKEN_LIFETIME_MS, NewTokens, digest_of, new_token, new_tokens
from server.writer import Decided, Turn

DEVICE_NAME_CHARACTERS_MAX = 100
_DEVICE_ID_LENGTH = 10
DEVICES_MAX = 1_000
"""Of one user. Who has more logs out of some first."""


class NewSession(msgspec.Struct, frozen=True):
    """What a client wants of the session that it opens."""

    device_id: str
    token_digest: str
    display_name: str | None = None
    refresh_token_digest: str | None = None
    """With one the access token lasts for `ACCESS_TOKEN_LIFETIME_MS`, without one as long as the session."""


class LogIn(msgspec.Struct, frozen=True):
    user_id: str
    """Who has proved to be this user."""
    session: NewSession
    password_hash: str | None = None
    """What the password was checked against; `None` if it was proved by other means."""


class LogOut(msgspec.Struct, frozen=True):
    session: Session


class RenameDevice(msgspec.Struct, frozen=True):
    session: Session
    device_id: str
    display_name: str | None
    """`None` leaves the name that it has."""


class RemoveDevices(msgspec.Struct, frozen=True):
    session: Session
    device_ids: list[str]


def new_device_id(random_text: Callable[[int], str]) -> str:
    return random_text(_DEVICE_ID_LENGTH).upper()


def new_session(
    random_text: Callable[[int], str],
    device_id: str | None,
    display_name: str | None,
    *,
    is_refreshable: bool,
) -> tuple[NewTokens, NewSession]:
    """What the client is handed and what is asked of the decision; the device gets an id if it has none."""
    tokens = new_tokens(random_text, is_refreshable=is_refreshable)
    device_id = device_id or new_device_id(random_text)
    return tokens, NewSession(device_id, tokens.digest, display_name, tokens.refresh_digest)


def open_session(turn: Turn, user_id: str, session: NewSession) -> SessionOpened:
    """The fact that a device of this user has a token now."""
    if not fits(session.device_id) or "\0" in session.device_id:
        raise MatrixError(ErrorCode.INVALID_PARAM, "The device id is too long.")
    is_known = sessions.device(turn.view, user_id, session.device_id) is not None
    if not is_known and sum(1 for _ in sessions.devices(turn.view, user_id)) >= DEVICES_MAX:
        raise MatrixError(ErrorCode.FORBIDDEN, f"A user has at most {DEVICES_MAX} devices; log out of some.")
    name, is_refreshable = _checked_name(session.display_name), session.refresh_token_digest is not None
    return SessionOpened(
        user_id=user_id,
        device_id=session.device_id,
        token_digest=session.token_digest,
        opened_ts=turn.now,
        display_name=None if is_known else name,  # a device that is known keeps its name
        refresh_token_digest=session.refresh_token_digest,
        expires_ts=turn.now + ACCESS_TOKEN_LIFETIME_MS if is_refreshable else None,
    )


def log_in(turn: Turn, request: LogIn) -> Decided[None]:
    known = accounts.account(turn.view, request.user_id)
    # While the slow hash was being computed the password may have been changed.
    if known is None or request.password_hash not in (None, known.password_hash):
        raise MatrixError(ErrorCode.FORBIDDEN, WRONG_PASSWORD)
    if known.deactivated_ts is not None:
        raise MatrixError(ErrorCode.USER_DEACTIVATED, "This account was deactivated.")
    return Decided(None, [open_session(turn, request.user_id, request.session)])


def log_out(turn: Turn, request: LogOut) -> Decided[None]:
    """The device goes with its token. Logging out twice at once is no error."""
    session = request.session
    if sessions.device(turn.view, session.user_id, session.device_id) is None:
        return Decided(None)
    return Decided(None, [SessionClosed(session.user_id, session.device_id)])


def log_out_everywhere(turn: Turn, request: LogOut) -> Decided[None]:
    user_id = request.session.user_id
    return Decided(
        None, [SessionClosed(user_id, known.device_id) for known in sessions.devices(turn.view, user_id)]
    )


def remove_devices(turn: Turn, request: RemoveDevices) -> Decided[None]:
    """Log the user's devices out, as far as they are known; one that is gone already is no error."""
    user_id = request.session.user_id
    known = (sessions.device(turn.view, user_id, one) for one in dict.fromkeys(request.device_ids))
    return Decided(None, [SessionClosed(user_id, device.device_id) for device in known if device is not None])


def rename_device(turn: Turn, request: RenameDevice) -> Decided[None]:
    user_id = request.session.user_id
    if sessions.device(turn.view, user_id, request.device_id) is None:
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such device.")
    name = _checked_name(request.display_name)
    return Decided(None, [] if name is None else [DeviceRenamed(user_id, request.device_id, name)])


def make_device(turn: Turn, request: RenameDevice) -> Decided[bool]:
    """As `rename_device`, but makes a device that is not there; answers whether it did.

    For application services, which need no token of a device: this one's is told nobody.
    """
    user_id, device_id = request.session.user_id, request.device_id
    if sessions.device(turn.view, user_id, device_id) is not None:
        return Decided(False, rename_device(turn, request).facts)
    if not device_id:
        raise MatrixError(ErrorCode.INVALID_PARAM, "The device id is empty.")
    unknown_token = digest_of(new_token(turn.random_text))
    new = NewSession(device_id, unknown_token, request.display_name)
    return Decided(True, [open_session(turn, user_id, new)])


def _checked_name(display_name: str | None) -> str | None:
    if display_name is not None and len(display_name) > DEVICE_NAME_CHARACTERS_MAX:
        raise MatrixError(
            ErrorCode.INVALID_PARAM, f"A device's name has at most {DEVICE_NAME_CHARACTERS_MAX} characters."
        )
    return display_name
