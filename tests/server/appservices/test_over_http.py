"""What clients notice of services that can be asked: aliases and users that were not there before."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.harness.application_service import (
    AS_TOKEN,
    ApplicationService,
    Received,
    Reply,
    acknowledge,
    application_service,
)
from tests.harness.client import PASSWORD, Client, error_of, path_of
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import ServerProcess, serving

PING = "/_matrix/client/v1/appservice/{}/ping"
_MAKER = "_irc_maker"


class Maker:
    """Makes what it is asked for, while the server waits: the rooms and users whose names have a `yes`."""

    def __init__(self, service: ApplicationService, http: httpx.Client) -> None:
        self.service = service
        self._client = Client("", http=http)
        self._client.token = AS_TOKEN
        self._register(_MAKER)

    def __call__(self, request: Received) -> Reply:
        asked_for = {kind: self.service.asked_for(kind) for kind in ("rooms", "users")}
        if "yes" not in request.path:
            return Reply(404, b'{"errcode":"M_NOT_FOUND"}')
        if "/rooms/" in request.path:
            self._make_room(asked_for["rooms"][-1])
        elif "/users/" in request.path:
            self._register(_localpart(asked_for["users"][-1]))
        return Reply()

    def _make_room(self, alias: str) -> None:
        body = {"preset": "public_chat", "room_alias_name": _localpart(alias)}
        self._client.must("POST", "/createRoom", body, user_id=f"@{_MAKER}:localhost")

    def _register(self, localpart: str) -> None:
        body = {"type": "m.login.application_service", "username": localpart}
        self._client.must("POST", "/register", body)


def _localpart(identifier: str) -> str:
    return identifier[1:].partition(":")[0]


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[ServerProcess, ApplicationService]]:
    with fast_directory() as directory, application_service() as service:
        options = ("--rate-limits", "off", "--appservice", str(service.register_in(directory)))
        with serving(directory / "data", *options) as server:
            yield server, service


@pytest.fixture(scope="module")
def bridge(server: tuple[ServerProcess, ApplicationService]) -> Iterator[ApplicationService]:
    process, service = server
    with httpx.Client(base_url=process.address, timeout=30) as http:
        maker = Maker(service, http)

        def respond(request: Received) -> Reply:
            return acknowledge(request) if request.method == "PUT" else maker(request)

        service.respond = respond
        yield service


@pytest.fixture(scope="module")
def alice(server: tuple[ServerProcess, ApplicationService]) -> Iterator[Client]:
    with httpx.Client(base_url=server[0].address, timeout=30) as http:
        yield Client("", http=http).register("alice")


@pytest.fixture(autouse=True)
def _nothing_received_yet(bridge: ApplicationService) -> None:
    bridge.received.clear()


def find(client: Client, alias: str) -> Any:
    return client.call("GET", path_of("directory", "room", alias))


def test_an_alias_is_there_once_somebody_asks(alice: Client, bridge: ApplicationService) -> None:
    alias = "#_irc_yes1:localhost"
    assert find(alice, alias).status_code == 200
    assert find(alice, alias).status_code == 200
    assert bridge.asked_for("rooms") == [alias]


def test_who_joins_an_alias_has_it_made(alice: Client, bridge: ApplicationService) -> None:
    alice.join("#_irc_yes2:localhost")
    assert bridge.asked_for("rooms") == ["#_irc_yes2:localhost"]


def test_what_the_service_does_not_know_is_not_there(alice: Client, bridge: ApplicationService) -> None:
    assert error_of(find(alice, "#_irc_no:localhost")) == (404, "M_NOT_FOUND")
    joined = alice.call("POST", path_of("join", "#_irc_no:localhost"), {})
    assert error_of(joined) == (404, "M_NOT_FOUND")
    assert bridge.asked_for("rooms") == ["#_irc_no:localhost"] * 2


def test_aliases_of_others_are_not_asked_for(alice: Client, bridge: ApplicationService) -> None:
    assert error_of(find(alice, "#yes:localhost")) == (404, "M_NOT_FOUND")
    assert bridge.asked_for("rooms") == []


@pytest.mark.parametrize("way", ["invite", "createRoom"])
def test_an_invited_user_is_made(alice: Client, bridge: ApplicationService, way: str) -> None:
    user_id = f"@_irc_yes_{way.lower()}:localhost"
    if way == "invite":
        alice.invite(alice.create_room(), user_id)
    else:
        alice.create_room(invite=[user_id])
    assert bridge.asked_for("users") == [user_id]
    body = {"username": _localpart(user_id), "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    assert alice.call("POST", "/register", body).status_code == 400
    bridge.wait_until(lambda: any(user_id in str(sent.events) for sent in bridge.transactions))


def test_somebody_whom_the_service_does_not_know_can_be_invited(
    alice: Client, bridge: ApplicationService
) -> None:
    alice.invite(alice.create_room(), "@_irc_no:localhost")
    assert bridge.asked_for("users") == ["@_irc_no:localhost"]


def ping(client: Client, service_id: str, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.http.post(PING.format(service_id), json={"transaction_id": "meow"}, headers=headers)


def pings(service: ApplicationService) -> list[bytes]:
    """The bodies of those that came."""
    return [request.body for request in service.received if request.path == "/_matrix/app/v1/ping"]


def test_a_service_is_told_that_it_can_be_reached(alice: Client, bridge: ApplicationService) -> None:
    bridge.respond, respond = acknowledge, bridge.respond
    answer = ping(alice, "irc", AS_TOKEN)
    bridge.respond = respond
    assert (answer.status_code, answer.json().keys()) == (200, {"duration_ms"})
    assert pings(bridge) == [b'{"transaction_id":"meow"}']


def test_a_service_is_told_why_it_cannot_be_reached(alice: Client, bridge: ApplicationService) -> None:
    answer = ping(alice, "irc", AS_TOKEN)
    assert error_of(answer) == (502, "M_BAD_STATUS")
    assert (answer.json()["status"], answer.json()["body"]) == (404, '{"errcode":"M_NOT_FOUND"}')


def test_a_ping_is_for_the_service_itself(alice: Client, bridge: ApplicationService) -> None:
    assert error_of(ping(alice, "irc", alice.token)) == (403, "M_FORBIDDEN")
    assert error_of(ping(alice, "xmpp", AS_TOKEN)) == (403, "M_FORBIDDEN")
    assert error_of(ping(alice, "irc", None)) == (401, "M_MISSING_TOKEN")
    assert pings(bridge) == []
