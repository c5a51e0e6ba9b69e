"""Decisions: exchange a refresh token for new tokens.

Today a refresh token can be used again until one of the tokens that it was exchanged for is used, so that
a client whose answer was lost is not logged out. In 2015 it was dead at once, which is the same with a
confirmation in the same entry.

Where: client-server API, "Refreshing access tokens"; POST /tokenrefresh of 2015.
"""

import msgspec

from projections import sessions
from projections.facts import Fact, RefreshConfirmed, SessionRefreshed
from projections.sessions import Device, Session
from projections.view import View
from server.errors import ErrorCode, MatrixError
from server.users.tokens import ACCESS_TOKEN_LIFETIME_MS
from server.writer import Decided, Turn


class Refresh(msgspec.Struct, frozen=True):
    presented_digest: str
    """Of the refresh token that the client has."""
    token_digest: str
    refresh_token_digest: str
    """Of the tokens that it is to get."""


class Confirm(msgspec.Struct, frozen=True):
    session: Session
    token_digest: str
    """Of the access token that was used for the first time."""


def refresh(turn: Turn, request: Refresh) -> Decided[None]:
    """Raises UNKNOWN_TOKEN; the client may keep its keys if all it did was to come with an old token."""
    device = _device_of(turn.view, request)
    if device is None:
        is_old = sessions.session_of_refresh_token(turn.view, request.presented_digest) is not None
        message = "This refresh token is not valid, or not any more."
        raise MatrixError(ErrorCode.UNKNOWN_TOKEN, message, soft_logout=is_old)
    return Decided(None, _exchange(turn, request, device))


def refresh_at_once(turn: Turn, request: Refresh) -> Decided[None]:
    """As in 2015. Raises FORBIDDEN."""
    device = _device_of(turn.view, request)
    if device is None:
        raise MatrixError(ErrorCode.FORBIDDEN, "This refresh token is unknown, or was used before.")
    confirmed = RefreshConfirmed(device.user_id, device.device_id)
    return Decided(None, [*_exchange(turn, request, device), confirmed])


def confirm(turn: Turn, request: Confirm) -> Decided[None]:
    """Somebody has confirmed it already, or has refreshed again: nothing is to be put on record."""
    session = request.session
    device = sessions.device(turn.view, session.user_id, session.device_id)
    if device is None or device.successor is None or device.successor.access != request.token_digest:
        return Decided(None)
    return Decided(None, [RefreshConfirmed(session.user_id, session.device_id)])


def _device_of(view: View, request: Refresh) -> Device | None:
    """The device whose refresh token was presented, if it can still be exchanged."""
    session = sessions.session_of_refresh_token(view, request.presented_digest)
    device = None if session is None else sessions.device(view, session.user_id, session.device_id)
    if device is None:
        return None
    valid = (device.tokens, device.successor)
    return device if any(one and one.refresh == request.presented_digest for one in valid) else None


def _exchange(turn: Turn, request: Refresh, device: Device) -> list[Fact]:
    refreshed = SessionRefreshed(
        user_id=device.user_id,
        device_id=device.device_id,
        token_digest=request.token_digest,
        refresh_token_digest=request.refresh_token_digest,
        expires_ts=turn.now + ACCESS_TOKEN_LIFETIME_MS,
        refreshed_ts=turn.now,
    )
    is_first_use = device.tokens.refresh != request.presented_digest
    return [RefreshConfirmed(device.user_id, device.device_id), refreshed] if is_first_use else [refreshed]
