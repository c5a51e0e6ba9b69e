"""Devices and the tokens that stand for them. A token is known by its SHA-256 digest only.

A device holds the tokens of up to three generations. Those that count are `tokens`. A refresh gives it
`successor`, unused as yet, and nothing of the others dies, for the answer may have been lost on its way.
With its first use the successor takes the place of `tokens`, and these become `predecessor`: its refresh
token is void, its access token may be used for the rest of its time by requests that are still under way.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from projections.facts import (
    DeviceRenamed,
    Order,
    RefreshConfirmed,
    SessionClosed,
    SessionOpened,
    SessionRefreshed,
)
from projections.projection import Projection
from projections.tables import Table, key, text_key
from projections.view import View, WritableView


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Whom a token stands for."""

    user_id: str
    device_id: str


class AccessToken(msgspec.Struct, frozen=True, array_like=True):
    session: Session
    expires_ts: int | None
    """From when on it is void; `None`: as long as there is the session."""
    is_unused: bool
    """It came with a refresh, which its first use is to confirm."""


class Tokens(msgspec.Struct, frozen=True, array_like=True):
    """What a client is given at once, as digests."""

    access: str
    refresh: str | None
    expires_ts: int | None


class Device(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    device_id: str
    display_name: str | None
    opened_ts: int
    tokens: Tokens
    successor: Tokens | None = None
    predecessor: Tokens | None = None


_ACCESS_TOKENS: Table[AccessToken] = Table("sessions.access_tokens", AccessToken, remembered=16_384)
_REFRESH_TOKENS: Table[Session] = Table("sessions.refresh_tokens", Session)
_DEVICES: Table[Device] = Table("sessions.devices", Device)

_Known: TypeAlias = SessionRefreshed | RefreshConfirmed | SessionClosed | DeviceRenamed
"""What can be said of a device that there is."""


def apply(view: WritableView, _: Order, fact: SessionOpened | _Known) -> None:
    known = device(view, fact.user_id, fact.device_id)
    if isinstance(fact, SessionOpened):
        _open(view, fact, known)
    elif known is not None:
        _change(view, fact, known)


def _open(view: WritableView, fact: SessionOpened, known: Device | None) -> None:
    """Opening a session for a known device voids all tokens that it had."""
    display_name = fact.display_name
    if known is not None:
        _void_all(view, known)
        display_name = known.display_name if display_name is None else display_name
    tokens = Tokens(fact.token_digest, fact.refresh_token_digest, fact.expires_ts)
    opened = Device(fact.user_id, fact.device_id, display_name, fact.opened_ts, tokens)
    _admit(view, opened, tokens, is_unused=False)
    _put(view, opened)


def _change(view: WritableView, fact: _Known, known: Device) -> None:
    match fact:
        case SessionRefreshed():
            _void(view, known.successor)
            successor = Tokens(fact.token_digest, fact.refresh_token_digest, fact.expires_ts)
            _admit(view, known, successor, is_unused=True)
            _put(view, msgspec.structs.replace(known, successor=successor))
        case RefreshConfirmed():
            _confirm(view, known)
        case DeviceRenamed():
            _put(view, msgspec.structs.replace(known, display_name=fact.display_name))
        case SessionClosed():
            _void_all(view, known)
            view.delete(_DEVICES, key(known.user_id, known.device_id))


def _confirm(view: WritableView, known: Device) -> None:
    if known.successor is None:
        return
    _void(view, known.predecessor)
    _admit(view, known, known.successor, is_unused=False)
    confirmed = msgspec.structs.replace(
        known, tokens=known.successor, successor=None, predecessor=known.tokens
    )
    _put(view, confirmed)


def _put(view: WritableView, changed: Device) -> None:
    view.put(_DEVICES, key(changed.user_id, changed.device_id), changed)


def _admit(view: WritableView, holder: Device, tokens: Tokens, *, is_unused: bool) -> None:
    session = Session(holder.user_id, holder.device_id)
    view.put(_ACCESS_TOKENS, key(tokens.access), AccessToken(session, tokens.expires_ts, is_unused))
    if tokens.refresh is not None:
        view.put(_REFRESH_TOKENS, key(tokens.refresh), session)


def _void(view: WritableView, tokens: Tokens | None) -> None:
    if tokens is not None:
        view.delete(_ACCESS_TOKENS, key(tokens.access))
        if tokens.refresh is not None:
            view.delete(_REFRESH_TOKENS, key(tokens.refresh))


def _void_all(view: WritableView, known: Device) -> None:
    for tokens in (known.tokens, known.successor, known.predecessor):
        _void(view, tokens)


PROJECTION = Projection(
    name="sessions",
    version=2,
    facts=(SessionOpened, SessionRefreshed, RefreshConfirmed, SessionClosed, DeviceRenamed),
    tables=(_ACCESS_TOKENS, _REFRESH_TOKENS, _DEVICES),
    apply=apply,
)


def access_token(view: View, digest: str) -> AccessToken | None:
    """What is known of an access token; whether its time is over, the clock of the request says."""
    return view.get(_ACCESS_TOKENS, text_key(digest))


def session_of_refresh_token(view: View, digest: str) -> Session | None:
    """Whose a refresh token is, or was until its successor was used."""
    return view.get(_REFRESH_TOKENS, key(digest))


def device(view: View, user_id: str, device_id: str) -> Device | None:
    return view.get(_DEVICES, key(user_id, device_id))


def devices(view: View, user_id: str) -> Iterator[Device]:
    for _, known in view.scan(_DEVICES, key(user_id)):
        yield known
