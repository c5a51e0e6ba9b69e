"""Tokens that expire and are exchanged for new ones, as today and as in 2015."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from server.app import ROUTES
from server.config import Config
from server.http.application import Application
from server.http.context import Context
from server.http.limits import RateLimits
from server.rate_limits import Limit, Limits
from server.sync.audience import Audience
from tests.harness.client import PASSWORD, R0, V1, V3, Client, error_of
from tests.harness.local_homeserver import Ticking, fast_directory, local_homeserver
from tests.harness.server_process import serving
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

UNKNOWN = (401, "M_UNKNOWN_TOKEN")
TOKENS = {"access_token", "refresh_token", "expires_in_ms"}
LIMITS = Limits(login_failures=Limit(per_second=1 / 30, burst=2))


def refreshable(client: Client, **more: object) -> dict[str, Any]:
    """Log in once more, with tokens that expire."""
    body = {"type": "m.login.password", "user": client.user_id, "password": PASSWORD, "refresh_token": True}
    tokens: dict[str, Any] = client.must("POST", "/login", body | more)
    return tokens


def refresh(client: Client, token: str) -> httpx.Response:
    return client.http.post(V3 + "/refresh", json={"refresh_token": token})


def tokenrefresh(client: Client, token: str) -> httpx.Response:
    return client.http.post(V1 + "/tokenrefresh", json={"refresh_token": token})


def who(client: Client, token: str) -> httpx.Response:
    return client.http.get(V3 + "/account/whoami", headers={"Authorization": f"Bearer {token}"})


@every_prefix
@requirement("M14")
def test_a_login_may_ask_for_a_refresh_token(alice: Client) -> None:
    tokens = refreshable(alice)
    assert tokens.keys() == TOKENS | {"user_id", "device_id", "home_server"}
    assert tokens["expires_in_ms"] > 0
    assert who(alice, tokens["access_token"]).status_code == 200


@every_prefix
def test_a_registration_may_ask_for_one(anybody: Client, names: Iterator[str]) -> None:
    auth = {"type": "m.login.dummy"}
    body = {"username": next(names), "password": PASSWORD, "auth": auth, "refresh_token": True}
    assert anybody.must("POST", "/register", body).keys() >= TOKENS


@pytest.mark.parametrize("prefix", [R0, V3])
def test_a_refresh_needs_no_access_token(alice: Client, anybody: Client, prefix: str) -> None:
    token = refreshable(alice)["refresh_token"]
    new = anybody.must("POST", "/refresh", {"refresh_token": token})
    assert new.keys() == TOKENS
    assert who(alice, new["access_token"]).json()["user_id"] == alice.user_id


def test_the_device_stays_the_same(alice: Client) -> None:
    tokens = refreshable(alice)
    new = refresh(alice, tokens["refresh_token"]).json()
    assert who(alice, new["access_token"]).json()["device_id"] == tokens["device_id"]


@requirement("T01", "T02")
def test_a_transaction_is_the_same_after_a_refresh(alice: Client, room: str) -> None:
    tokens = refreshable(alice)
    before, after = alice.under(V3), alice.under(V3)
    before.token = tokens["access_token"]
    event_id = before.send(room, {"n": 1}, event_type="m.test", txn_id="retried")
    after.token = refresh(alice, tokens["refresh_token"]).json()["access_token"]
    assert after.send(room, {"n": 1}, event_type="m.test", txn_id="retried") == event_id


def test_a_lost_answer_may_be_asked_for_again(alice: Client) -> None:
    token = refreshable(alice)["refresh_token"]
    lost, arrived = refresh(alice, token), refresh(alice, token)
    assert lost.status_code == arrived.status_code == 200
    assert who(alice, arrived.json()["access_token"]).status_code == 200


def test_the_first_use_of_the_next_kills_it(alice: Client) -> None:
    token = refreshable(alice)["refresh_token"]
    new = refresh(alice, token).json()
    assert who(alice, new["access_token"]).status_code == 200
    refused = refresh(alice, token)
    assert error_of(refused) == UNKNOWN
    assert refused.json()["soft_logout"] is True
    assert refresh(alice, new["refresh_token"]).status_code == 200


def test_the_next_refresh_kills_it_too(alice: Client) -> None:
    token = refreshable(alice)["refresh_token"]
    new = refresh(alice, token).json()
    assert refresh(alice, new["refresh_token"]).status_code == 200
    assert error_of(refresh(alice, token)) == UNKNOWN


@requirement("M14")
def test_in_2015_it_dies_at_once(alice: Client) -> None:
    token = refreshable(alice)["refresh_token"]
    new = tokenrefresh(alice, token)
    assert new.json().keys() >= {"access_token", "refresh_token"}
    assert error_of(tokenrefresh(alice, token)) == (403, "M_FORBIDDEN")
    assert error_of(refresh(alice, token)) == UNKNOWN
    assert tokenrefresh(alice, new.json()["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"refresh_token": "unheard of"}, UNKNOWN),
        ({"refresh_token": ""}, UNKNOWN),
        ({"refresh_token": 1}, (400, "M_BAD_JSON")),
        ({}, (400, "M_MISSING_PARAM")),
    ],
)
def test_a_bad_refresh_is_refused(anybody: Client, body: dict[str, object], error: tuple[int, str]) -> None:
    assert error_of(anybody.call("POST", "/refresh", body)) == error


def test_no_token_passes_for_the_other_kind(alice: Client) -> None:
    tokens = refreshable(alice)
    assert error_of(refresh(alice, tokens["access_token"])) == UNKNOWN
    assert error_of(who(alice, tokens["refresh_token"])) == UNKNOWN


def test_logging_out_ends_them_all(new_user: NewUser) -> None:
    client = new_user()
    tokens = refreshable(client)
    client.token = tokens["access_token"]
    client.must("POST", "/logout")
    refused = refresh(client, tokens["refresh_token"])
    assert error_of(refused) == UNKNOWN
    assert refused.json()["soft_logout"] is False  # whoever logged out has nothing to keep


def test_a_login_on_the_device_ends_them_all(alice: Client) -> None:
    before = refreshable(alice)
    after = refreshable(alice, device_id=before["device_id"])
    assert error_of(refresh(alice, before["refresh_token"])) == UNKNOWN
    assert error_of(who(alice, before["access_token"])) == UNKNOWN
    assert refresh(alice, after["refresh_token"]).status_code == 200


def test_a_dead_token_stays_dead() -> None:
    with fast_directory() as directory:
        with serving(directory / "data") as server, httpx.Client(base_url=server.address) as http:
            alice = Client("", http=http).register("alice")
            token = refreshable(alice)["refresh_token"]
            new = refresh(alice, token).json()
            assert who(alice, new["access_token"]).status_code == 200
            alice.create_room()  # what comes after the use of the token is on record, and so is the use
            server.kill()
        with serving(directory / "data") as server, httpx.Client(base_url=server.address) as http:
            anybody = Client("", http=http)
            assert error_of(refresh(anybody, token)) == UNKNOWN
            assert refresh(anybody, new["refresh_token"]).status_code == 200


class Here:
    """A server in this process, whose clock is the test's, with few wrong passwords to spare."""

    def __init__(self, http: httpx.AsyncClient, clock: Ticking) -> None:
        self.http = http
        self.clock = clock

    async def post(self, path: str, body: object, token: str = "") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return await self.http.post(V3 + path, json=body, headers=headers)

    async def register(self) -> Any:
        auth = {"type": "m.login.dummy"}
        body = {"username": "alice", "password": PASSWORD, "auth": auth, "refresh_token": True}
        return (await self.post("/register", body)).json()


@pytest.fixture
async def here() -> AsyncIterator[Here]:
    clock = Ticking()
    with fast_directory() as directory:
        async with local_homeserver(directory, now=clock) as running:
            audience = Audience(running.homeserver.views, running.writer.head)
            context = Context(Config(), running.homeserver, running.writer, audience, RateLimits(LIMITS))
            transport = httpx.ASGITransport(Application(ROUTES, {"context": context}))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                yield Here(http, clock)


@pytest.mark.anyio
async def test_an_expired_token_asks_for_a_refresh(here: Here) -> None:
    tokens = await here.register()
    here.clock.now += tokens["expires_in_ms"]
    refused = await here.post("/createRoom", {}, tokens["access_token"])
    assert error_of(refused) == UNKNOWN
    assert refused.json()["soft_logout"] is True
    new = (await here.post("/refresh", {"refresh_token": tokens["refresh_token"]})).json()
    assert (await here.post("/createRoom", {}, new["access_token"])).status_code == 200


@pytest.mark.anyio
async def test_a_token_lasts_as_long_as_was_said(here: Here) -> None:
    tokens = await here.register()
    here.clock.now += tokens["expires_in_ms"] - 1_000
    assert (await here.post("/createRoom", {}, tokens["access_token"])).status_code == 200


@pytest.mark.anyio
async def test_wrong_passwords_are_counted_everywhere(here: Here) -> None:
    """At the login and in the stage of a call; a right one costs nothing."""
    token = (await here.register())["access_token"]
    stage = {"type": "m.login.password", "password": PASSWORD}
    for _ in range(3):
        assert (await here.post("/delete_devices", {"devices": [], "auth": stage}, token)).status_code == 200
    wrong = stage | {"password": "wrong"}
    refused = await here.post("/delete_devices", {"devices": [], "auth": wrong}, token)
    assert error_of(refused) == (401, "M_FORBIDDEN")
    assert error_of(await here.post("/login", wrong | {"user": "alice"})) == (403, "M_FORBIDDEN")
    limited = await here.post("/delete_devices", {"devices": [], "auth": stage}, token)
    assert error_of(limited) == (429, "M_LIMIT_EXCEEDED")


@pytest.mark.anyio
async def test_a_stage_is_forgotten_in_time(here: Here) -> None:
    body = {"username": "bob"}
    session = (await here.post("/register", body)).json()["session"]
    here.clock.now += 24 * 60 * 60 * 1000
    auth = {"type": "m.login.dummy", "session": session}
    refused = await here.post("/register", body | {"password": PASSWORD, "auth": auth})
    assert error_of(refused) == (400, "M_UNKNOWN")
