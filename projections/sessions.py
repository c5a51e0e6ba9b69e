"""Devices and the tokens that stand for them. A token is known by its SHA-256 digest only."""

from collections.abc import Iterator

import msgspec

from projections.facts import DeviceRenamed, Order, SessionClosed, SessionOpened
from projections.projection import Projection
from projections.views import Table, View, WritableView, key


class Session(msgspec.Struct, frozen=True, array_like=True):
    """Whom a token stands for."""

    user_id: str
    device_id: str


class Device(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    device_id: str
    display_name: str | None
    token_digest: str
    opened_ts: int


_SESSIONS: Table[Session] = Table("sessions.sessions", Session)
_DEVICES: Table[Device] = Table("sessions.devices", Device)


def apply(view: WritableView, _: Order, fact: SessionOpened | SessionClosed | DeviceRenamed) -> None:
    at = key(fact.user_id, fact.device_id)
    known = view.get(_DEVICES, at)
    if isinstance(fact, SessionOpened):
        _open(view, fact, known)
    elif known is None:
        return
    elif isinstance(fact, DeviceRenamed):
        view.put(_DEVICES, at, msgspec.structs.replace(known, display_name=fact.display_name))
    else:
        view.delete(_SESSIONS, key(known.token_digest))
        view.delete(_DEVICES, at)


def _open(view: WritableView, fact: SessionOpened, known: Device | None) -> None:
    """A device has one token: opening a session for a known device voids the token that it had."""
    display_name = fact.display_name
    if known is not None:
        view.delete(_SESSIONS, key(known.token_digest))
        display_name = known.display_name if display_name is None else display_name
    device = Device(fact.user_id, fact.device_id, display_name, fact.token_digest, fact.opened_ts)
    view.put(_DEVICES, key(fact.user_id, fact.device_id), device)
    view.put(_SESSIONS, key(fact.token_digest), Session(fact.user_id, fact.device_id))


PROJECTION = Projection(
    name="sessions",
    version=1,
    facts=(SessionOpened, SessionClosed, DeviceRenamed),
    tables=(_SESSIONS, _DEVICES),
    apply=apply,
)


def session_of_token(view: View, token_digest: str) -> Session | None:
    return view.get(_SESSIONS, key(token_digest))


def device(view: View, user_id: str, device_id: str) -> Device | None:
    return view.get(_DEVICES, key(user_id, device_id))


def devices(view: View, user_id: str) -> Iterator[Device]:
    for _, known in view.scan(_DEVICES, key(user_id)):
        yield known
