"""Who asks too often is told how long to wait; everybody else notices nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from server.rate_limits import Limits
from tests.harness.client import PASSWORD, V1, Client, error_of, path_of
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import ServerProcess, serving

requirement = pytest.mark.requirement

LIMITS = Limits()
LIMITED = (429, "M_LIMIT_EXCEEDED")
OVERLONG = "x" * 1_000
"""A password that cannot be right, and is known to be wrong without the slow hash."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """With the rate limits that it has when nobody says anything about them."""
    with fast_directory() as directory, serving(directory / "data") as server:
        yield server


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def alice(http: httpx.Client) -> Client:
    return Client("", http=http).register("alice")


@pytest.fixture(scope="module")
def bob(http: httpx.Client) -> Client:
    return Client("", http=http).register("bob")


def send_path(room: str) -> str:
    return path_of("rooms", room, "send", "com.example.own", "1")


def state_path(room: str) -> str:
    return path_of("rooms", room, "state", "com.example.own", "")


def wait_of(answer: httpx.Response) -> int:
    """How many milliseconds somebody is told to wait."""
    assert error_of(answer) == LIMITED
    wait_ms = answer.json()["retry_after_ms"]
    assert isinstance(wait_ms, int)
    assert wait_ms > 0
    assert answer.headers["Retry-After"] == str(-(-wait_ms // 1000))
    return wait_ms


def first_limited(client: Client, method: str, path: str, body: object, *, attempts: int) -> httpx.Response:
    """The first answer that is a 429; the attempts before it must not be enough."""
    for number in range(2 * attempts + 100):
        answer = client.call(method, path, body)
        if answer.status_code == 429:
            assert number >= attempts
            return answer
    raise AssertionError(f"{method} {path} was never limited")


@requirement("R04", "R05", "T01")
def test_who_sends_too_much_waits_as_told(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    path = path_of("rooms", room, "send", "com.example.own")
    wait_of(first_limited(alice, "POST", path, {}, attempts=LIMITS.send.burst - 10))
    wait_of(first_limited(alice, "PUT", send_path(room), {}, attempts=0))
    redaction = path_of("rooms", room, "redact", "$unheard-of", "1")
    wait_ms = wait_of(first_limited(alice, "PUT", redaction, {}, attempts=0))
    assert bob.say(room, "I have hardly said anything")
    time.sleep(wait_ms / 1000)
    assert alice.call("POST", path, {}).status_code == 200


@requirement("R04", "R05", "T01")
def test_who_sets_too_much_state_waits(alice: Client) -> None:
    path = state_path(alice.create_room())
    wait_of(first_limited(alice, "PUT", path, {}, attempts=LIMITS.state.burst - 20))


@requirement("R04", "R05")
def test_logins_of_one_address_are_counted(alice: Client) -> None:
    answer = first_limited(alice.under(V1), "POST", "/login", {}, attempts=LIMITS.login.burst - 10)
    wait_of(answer)
    refresh = {"refresh_token": "unheard of"}
    wait_of(first_limited(alice.under(V1), "POST", "/tokenrefresh", refresh, attempts=0))
    wait_of(first_limited(alice, "POST", "/refresh", refresh, attempts=0))


@requirement("R04", "R05")
def test_registrations_of_one_address_are_counted(alice: Client) -> None:
    body = {"username": "carol"}
    wait_of(first_limited(alice, "POST", "/register", body, attempts=LIMITS.register.burst - 10))
    assert error_of(alice.under(V1).call("POST", "/register", body)) == LIMITED


@pytest.mark.parametrize(("call", "burst"), [("join", LIMITS.join.burst), ("invite", LIMITS.invite.burst)])
@requirement("R04", "R05")
def test_joins_and_invites_are_counted(alice: Client, call: str, burst: int) -> None:
    path = path_of("rooms", "!nowhere:localhost", call)
    wait_of(first_limited(alice, "POST", path, {"user_id": "@carol:localhost"}, attempts=burst))


def nobodies(count: int) -> list[str]:
    return [f"@nobody{number}:localhost" for number in range(count)]


def invite(user: Client, room: str) -> httpx.Response:
    return user.call("POST", path_of("rooms", room, "invite"), {"user_id": "@nobody:localhost"})


@requirement("R04")
def test_invites_into_a_new_room_are_counted(tight: ServerProcess) -> None:
    user = tight.client().register("inviting")
    room = user.create_room(invite=nobodies(3))
    refused = invite(user, room)
    assert wait_of(refused) > 0
    assert "of the kind invite;" in refused.json()["error"]


@requirement("R04")
def test_invites_in_the_initial_state_are_counted(tight: ServerProcess) -> None:
    user = tight.client().register("stating")
    state = [
        {"type": "m.room.member", "state_key": name, "content": {"membership": "invite"}}
        for name in nobodies(2)
    ]
    room = user.create_room(invite=["@somebody:localhost"], initial_state=state)
    wait_of(invite(user, room))


@requirement("R04")
def test_a_new_room_is_not_made_with_too_many_invites(tight: ServerProcess) -> None:
    user = tight.client().register("flooding")
    user.create_room(invite=nobodies(2))
    assert wait_of(user.call("POST", "/createRoom", {"invite": nobodies(2)})) > 0
    assert len(user.must("GET", "/joined_rooms")["joined_rooms"]) == 1


@requirement("R04")
def test_who_could_never_invite_as_many_is_not_told_to_wait(tight: ServerProcess) -> None:
    user = tight.client().register("dreaming")
    answer = user.call("POST", "/createRoom", {"invite": nobodies(4)})
    assert error_of(answer) == (400, "M_UNKNOWN")
    assert "No more than 3 are possible at once" in answer.json()["error"]


@requirement("R04")
def test_invites_that_are_set_as_state_are_counted(tight: ServerProcess) -> None:
    user = tight.client().register("roundabout")
    room = user.create_room(invite=nobodies(2))
    path = path_of("rooms", room, "state", "m.room.member", "@somebody:localhost")
    user.must("PUT", path, {"membership": "invite"})
    wait_of(invite(user, room))


@requirement("R04")
def test_reading_is_not_limited(alice: Client) -> None:
    for _ in range(LIMITS.send.burst // 5):
        assert alice.call("GET", "/joined_rooms").status_code == 200


@requirement("R04")
@pytest.mark.parametrize("call", ["state", "kick", "ban", "unban", "createRoom", "upgrade"])
def test_state_is_counted_apart_from_messages(tight: ServerProcess, call: str) -> None:
    user = tight.client().register(f"state-{call.lower()}")
    room = user.create_room()
    path = {"state": path_of("rooms", room, "state", "m.room.topic"), "createRoom": "/createRoom"}
    answers = [
        user.call(
            "PUT" if call == "state" else "POST", path.get(call, path_of("rooms", room, call)), raw=b"{"
        )
        for _ in range(3)
    ]
    assert [error_of(answer)[0] for answer in answers] == [400, 400, 429]
    assert "of the kind state;" in answers[-1].json()["error"]
    assert user.say(room, "Messages are another matter.")


@requirement("R04")
def test_the_rate_is_checked_before_the_body(tight: ServerProcess) -> None:
    user = tight.client().register("bodies")
    path = path_of("rooms", user.create_room(), "send", "m.room.message")
    answers = [user.call("POST", path, raw=b"no JSON") for _ in range(4)]
    assert [error_of(answer) for answer in answers] == [(400, "M_NOT_JSON")] * 3 + [LIMITED]


@requirement("R04")
def test_a_bot_can_be_without_limits(tight: ServerProcess) -> None:
    bot = tight.client().register("bot")
    room = bot.create_room()
    for number in range(30):
        bot.say(room, f"{number} and counting")


@requirement("R04")
def test_a_user_can_have_another_limit(tight: ServerProcess) -> None:
    bridge = tight.client().register("bridge")
    path = path_of("rooms", bridge.create_room(), "send", "com.example.own")
    refused = first_limited(bridge, "POST", path, {}, attempts=9)
    assert "of the kind send;" in refused.json()["error"]


@requirement("R04")
def test_all_users_of_an_address_share_a_limit(tight: ServerProcess) -> None:
    first, second = (tight.client().register(name) for name in ("first", "second"))
    path = path_of("join", "!nowhere:localhost")
    assert [first.call("POST", path, {}).status_code for _ in range(2)] == [403, 403]
    answers = [second.call("POST", path, {}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [403, 429]
    assert "of the kind join_of_address;" in answers[1].json()["error"]
    with somewhere_else(tight, second) as elsewhere:
        assert elsewhere.call("POST", path, {}).status_code == 403


@requirement("R04")
def test_changes_of_profiles_are_counted(tight: ServerProcess) -> None:
    user = tight.client().register("changing")
    path = path_of("profile", user.user_id, "displayname")
    answers = [user.call("PUT", path, {"displayname": name}) for name in "abc"]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert "of the kind profile;" in answers[-1].json()["error"]


@requirement("R05", "M14")
def test_wrong_passwords_are_counted_by_user_and_address(tight: ServerProcess) -> None:
    """Even the right one is refused for a while, where it was guessed; elsewhere its owner gets in."""
    victim = tight.client().register("victim")
    wrong = {"type": "m.login.password", "user": victim.user_id, "password": OVERLONG}
    right = wrong | {"password": PASSWORD}
    refused = first_limited(tight.client(), "POST", "/login", wrong, attempts=3)
    assert wait_of(refused) > 1_000
    assert error_of(tight.client().call("POST", "/login", right)) == LIMITED
    other = tight.client().call("POST", "/login", wrong | {"user": "other"})
    assert error_of(other) == (403, "M_FORBIDDEN")
    with somewhere_else(tight, victim) as elsewhere:
        assert elsewhere.call("POST", "/login", right).status_code == 200
        answers = [elsewhere.call("POST", "/login", wrong) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert "of the kind login_failures_of_user;" in answers[-1].json()["error"]


TIGHT = """
[rate_limit]
send = { per_second = 0.01, burst = 3 }
state = { per_second = 0.01, burst = 3 }
join_of_address = { per_second = 0.01, burst = 3 }
invite = { per_second = 0.01, burst = 3 }
profile = { per_second = 0.01, burst = 2 }
login_failures = { per_second = 0.01, burst = 3 }
login_failures_of_user = { per_second = 0.01, burst = 5 }

[rate_limit.users."@bot:localhost"]
unlimited = true

[rate_limit.users."@bridge:localhost".send]
burst = 9
"""


@pytest.fixture(scope="module")
def tight() -> Iterator[ServerProcess]:
    """A server that lets nobody do much, but for two users."""
    with fast_directory() as directory:
        file = directory / "roomlog.toml"
        file.write_text(TIGHT)
        with serving(directory / "data", "--config", str(file)) as server:
            yield server


@contextmanager
def somewhere_else(server: ServerProcess, client: Client) -> Iterator[Client]:
    """The same session from another address."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(base_url=server.address, transport=transport, timeout=30) as http:
        yield client.over(Client("", http=http))
