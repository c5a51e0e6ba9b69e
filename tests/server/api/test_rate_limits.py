"""Who asks too often is told how long to wait; everybody else notices nothing."""

import time
from collections.abc import Iterator

import httpx
import pytest

from server.http.limits import Limits
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
    for number in range(2 * attempts):
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
    refused = first_limited(alice, "POST", path, {}, attempts=LIMITS.send.burst - 10)
    wait_ms = wait_of(refused)
    assert bob.say(room, "I have hardly said anything")
    time.sleep(wait_ms / 1000)
    assert alice.call("POST", path, {}).status_code == 200


@requirement("R04", "R05")
def test_logins_of_one_address_are_counted(alice: Client) -> None:
    answer = first_limited(alice.under(V1), "POST", "/login", {}, attempts=LIMITS.login.burst - 10)
    wait_of(answer)


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


@requirement("R04")
def test_reading_is_not_limited(alice: Client) -> None:
    for _ in range(LIMITS.send.burst // 5):
        assert alice.call("GET", "/joined_rooms").status_code == 200


@requirement("R05", "M14")
def test_wrong_passwords_are_counted_by_user() -> None:
    """Even the right one is refused for a while: otherwise the answers would tell which one it is."""
    with fast_directory() as directory, serving(directory / "data") as server:
        client = server.client()
        victim = server.client().register("victim").user_id
        wrong = {"type": "m.login.password", "user": victim, "password": OVERLONG}
        attempts = LIMITS.login_failures.burst
        refused = first_limited(client, "POST", "/login", wrong, attempts=attempts)
        assert wait_of(refused) > 1_000
        assert error_of(client.call("POST", "/login", wrong | {"password": PASSWORD})) == LIMITED
        other = client.call("POST", "/login", wrong | {"user": "other"})
        assert error_of(other) == (403, "M_FORBIDDEN")
