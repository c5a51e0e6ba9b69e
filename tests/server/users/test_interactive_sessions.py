"""What a client has proved stays proved: for the same call, for half an hour, for one success."""

import pytest

from server.errors import ErrorCode, MatrixError
from server.users.interactive_sessions import (
    LIFETIME_MS,
    Call,
    InteractiveSession,
    InteractiveSessions,
)
from tests.harness.local_homeserver import SeededText

CALL = Call("DELETE", "/devices/PHONE", "@alice:localhost")
NOW = 1_000


@pytest.fixture
def sessions() -> InteractiveSessions:
    return InteractiveSessions()


@pytest.fixture
def session(sessions: InteractiveSessions) -> InteractiveSession:
    return sessions.begin(CALL, SeededText(), NOW)


def is_known(sessions: InteractiveSessions, session: InteractiveSession, call: Call, now: int = NOW) -> bool:
    try:
        return sessions.resume(session.id, call, now) is session
    except MatrixError:
        return False


def test_a_session_is_resumed(sessions: InteractiveSessions, session: InteractiveSession) -> None:
    session.completed.append("m.login.password")
    assert sessions.resume(session.id, CALL, NOW).completed == ["m.login.password"]


@pytest.mark.parametrize(
    "other",
    [
        CALL._replace(method="POST"),
        CALL._replace(path="/devices/LAPTOP"),
        CALL._replace(user_id="@bob:localhost"),
        CALL._replace(user_id=None),
    ],
)
def test_it_is_of_one_call(sessions: InteractiveSessions, session: InteractiveSession, other: Call) -> None:
    assert not is_known(sessions, session, other)
    assert is_known(sessions, session, CALL)


def test_an_unknown_session_is_refused(sessions: InteractiveSessions) -> None:
    with pytest.raises(MatrixError) as refused:
        sessions.resume("unheard of", CALL, NOW)
    assert refused.value.kind is ErrorCode.UNKNOWN


def test_a_session_expires(sessions: InteractiveSessions, session: InteractiveSession) -> None:
    assert is_known(sessions, session, CALL, NOW + LIFETIME_MS - 1)
    assert not is_known(sessions, session, CALL, NOW + LIFETIME_MS)


def test_what_has_expired_is_forgotten(sessions: InteractiveSessions, session: InteractiveSession) -> None:
    later = sessions.begin(CALL, SeededText(1), NOW + LIFETIME_MS)
    assert len(sessions) == 1
    assert is_known(sessions, later, CALL, NOW + LIFETIME_MS)


def test_one_request_at_a_time_has_it(sessions: InteractiveSessions, session: InteractiveSession) -> None:
    sessions.take(session)
    assert not is_known(sessions, session, CALL)
    with pytest.raises(MatrixError) as refused:
        sessions.take(session)
    assert refused.value.kind is ErrorCode.UNKNOWN


def test_a_failed_call_gives_it_back(sessions: InteractiveSessions, session: InteractiveSession) -> None:
    sessions.take(session)
    sessions.put_back(session)
    assert is_known(sessions, session, CALL)


def test_the_oldest_makes_room() -> None:
    sessions, random_text = InteractiveSessions(sessions_max=3), SeededText()
    begun = [sessions.begin(CALL, random_text, NOW) for _ in range(5)]
    assert [is_known(sessions, session, CALL) for session in begun] == [False, False, True, True, True]
