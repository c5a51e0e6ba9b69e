"""Decisions: change the password, give the account up.

Where: POST /account/password, POST /account/deactivate. That the client may do it has been proved before.
"""

from itertools import islice

import msgspec

from projections import accounts, erasures, memberships, sessions
from projections.facts import AccountDeactivated, Fact, PasswordChanged, SessionClosed
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.membership import MemberChange, member_content, set_member_event
from server.writer import Decided, Turn

ROOMS_LEFT_MAX = 500
"""In one entry, which is decided in one go (30 ms); who is in more rooms leaves the others before."""
_TO_BE_LEFT = ("join", "invite", "knock")


class ChangePassword(msgspec.Struct, frozen=True):
    session: Session
    password_hash: str
    logs_others_out: bool
    """All devices of the user but the one that asks."""


class Deactivate(msgspec.Struct, frozen=True):
    session: Session
    erase: bool


def change_password(turn: Turn, request: ChangePassword) -> Decided[None]:
    user_id, device_id = request.session.user_id, request.session.device_id
    facts: list[Fact] = [PasswordChanged(user_id, request.password_hash, turn.now)]
    if request.logs_others_out:
        others = (known for known in sessions.devices(turn.view, user_id) if known.device_id != device_id)
        facts += [SessionClosed(user_id, known.device_id) for known in others]
    return Decided(None, facts)


def deactivate(turn: Turn, request: Deactivate) -> Decided[bool]:
    """Leave every room, close every session and lock the account, all in one entry.

    Answers whether it is done. Somebody in very many rooms leaves some of them first; ask again then.
    """
    user_id = request.session.user_id
    account = accounts.account(turn.view, user_id)
    if account is None or account.deactivated_ts is not None:
        return Decided(True)
    known = memberships.rooms_of(turn.view, user_id)
    room_ids = [one.room_id for one in known if one.membership in _TO_BE_LEFT]
    facts: list[Fact] = []
    for room_id in islice(room_ids, ROOMS_LEFT_MAX):
        change = MemberChange(request.session, room_id, user_id, member_content("leave"))
        facts += set_member_event(turn, change).facts
    if len(room_ids) > ROOMS_LEFT_MAX:
        return Decided(False, facts)
    facts += [SessionClosed(user_id, device.device_id) for device in sessions.devices(turn.view, user_id)]
    facts.append(AccountDeactivated(user_id, turn.now, request.erase))
    return Decided(True, facts)


def give_up_and_erase(turn: Turn, user_id: str) -> Decided[bool]:
    """As `deactivate` with `erase`, also for an account that was given up before without that."""
    account = accounts.account(turn.view, user_id)
    if account is None:
        raise MatrixError(ErrorCode.NOT_FOUND, f"There is no account {user_id} on this server.")
    if account.deactivated_ts is None:
        return deactivate(turn, Deactivate(Session(user_id, ""), erase=True))
    if erasures.erased_at(turn.view, user_id) is not None:
        return Decided(True)
    return Decided(True, [AccountDeactivated(user_id, account.deactivated_ts, erase=True)])
