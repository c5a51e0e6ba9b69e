"""What is remembered between the requests of one interactively authenticated call: the finished stages.

In memory and gone after a restart: a client whose session is unknown begins the call again. A session
belongs to one call of one user and serves for one success. The table is bounded; when it is full, the
session that was begun longest ago makes room.

Where: client-server API, "User-Interactive Authentication API".
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from server.errors import ErrorCode, MatrixError

LIFETIME_MS = 30 * 60_000
SESSIONS_MAX = 20_000
"""Some 8 MB when it is full."""
_ID_LENGTH = 24


class Call(NamedTuple):
    """What a session is for; it proves nothing about any other call."""

    method: str
    path: str
    """Without the version prefix."""
    user_id: str | None

    def digest(self) -> bytes:
        """A path may be as long as a request's line; what is kept of it must not."""
        return hashlib.sha256("\0".join([self.method, self.user_id or "", self.path]).encode()).digest()


@dataclass(slots=True)
class InteractiveSession:
    id: str
    call_digest: bytes
    expires_ms: int
    completed: list[str] = field(default_factory=list)
    """Stages that need not be done again, in the order in which they were."""


class InteractiveSessions:
    """All of one server; for one thread."""

    def __init__(self, sessions_max: int = SESSIONS_MAX) -> None:
        self._sessions_max = sessions_max
        self._sessions: OrderedDict[str, InteractiveSession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, call: Call, random_text: Callable[[int], str], now_ms: int) -> InteractiveSession:
        self._forget_expired(now_ms)
        session = InteractiveSession(random_text(_ID_LENGTH), call.digest(), now_ms + LIFETIME_MS)
        self.put_back(session)
        return session

    def resume(self, session_id: str, call: Call, now_ms: int) -> InteractiveSession:
        """The session that a client speaks of. Raises UNKNOWN if it is none of this call."""
        session = self._sessions.get(session_id)
        if session is None or session.call_digest != call.digest() or session.expires_ms <= now_ms:
            raise MatrixError(
                ErrorCode.UNKNOWN, "There is no such session for this request; begin again without `auth`."
            )
        return session

    def take(self, session: InteractiveSession) -> None:
        """Let no other request use it while its call is carried out. Raises UNKNOWN if one does already."""
        if self._sessions.pop(session.id, None) is None:
            raise MatrixError(ErrorCode.UNKNOWN, "This session is being used by another request.")

    def put_back(self, session: InteractiveSession) -> None:
        """The call has failed, for a reason that the client can mend without proving itself again."""
        if len(self._sessions) >= self._sessions_max:
            self._sessions.popitem(last=False)
        self._sessions[session.id] = session

    def _forget_expired(self, now_ms: int) -> None:
        while self._sessions and next(iter(self._sessions.values())).expires_ms <= now_ms:
            self._sessions.popitem(last=False)
