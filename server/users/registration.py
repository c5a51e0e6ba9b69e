"""Decision: make an account.

Where: POST /register. The name is checked before anything else is asked of the client.
"""

from collections.abc import Callable

import msgspec

from projections import accounts
from projections.facts import AccountRegistered, Fact
from projections.identifiers import fits, is_new_localpart
from projections.view import View
from server.errors import ErrorCode, MatrixError
from server.users.sessions import NewSession, open_session
from server.writer import Decided, Turn

_RANDOM_LOCALPART_LENGTH = 10


class Register(msgspec.Struct, frozen=True):
    localpart: str
    password_hash: str
    """Empty for an account that nobody can log in to with a password."""
    session: NewSession | None
    """`None`: register without logging in."""


def user_id_for(localpart: str, server_name: str) -> str:
    """The user id of a new user. Raises `MatrixError` for a name that nobody may have."""
    if localpart != localpart.lower() or not is_new_localpart(localpart):
        raise MatrixError(
            ErrorCode.INVALID_USERNAME, "A user name is made of a-z, 0-9 and the characters . _ = - / +."
        )
    user_id = f"@{localpart}:{server_name}"
    if not fits(user_id):
        raise MatrixError(ErrorCode.INVALID_USERNAME, "The user name is too long.")
    return user_id


def check_is_free(view: View, user_id: str) -> None:
    if accounts.account(view, user_id) is not None:
        raise MatrixError(ErrorCode.USER_IN_USE, f"The user name of {user_id} is taken.")


def random_localpart(random_text: Callable[[int], str]) -> str:
    return random_text(_RANDOM_LOCALPART_LENGTH).lower()


def register_unless_known(turn: Turn, localpart: str) -> Decided[None]:
    """An account that nobody can log in to with a password: an application service's own user."""
    if accounts.account(turn.view, user_id_for(localpart, turn.server_name)) is not None:
        return Decided(None)
    return Decided(None, register(turn, Register(localpart, "", None)).facts)


def register(turn: Turn, request: Register) -> Decided[str]:
    """Answers the user id."""
    user_id = user_id_for(request.localpart, turn.server_name)
    check_is_free(turn.view, user_id)
    facts: list[Fact] = [AccountRegistered(user_id, request.password_hash, turn.now)]
    if request.session is not None:
        facts.append(open_session(turn, user_id, request.session))
    return Decided(user_id, facts)
