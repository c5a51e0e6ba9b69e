"""What nobody may read in the server's own log, however much it is told to say, nor in its data folder.

The same server with every logger at its lowest level: what users and services prove themselves with goes
through it in headers, queries and bodies, right and wrong, and none of it comes out.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

import pytest

from server.app import ROUTES
from tests.harness.application_service import (
    AS_TOKEN,
    HS_TOKEN,
    ApplicationService,
    Received,
    Reply,
    application_service,
)
from tests.harness.client import PASSWORD, Client
from tests.harness.local_homeserver import fast_directory
from tests.harness.route_requests import fields_of, filled
from tests.harness.server_process import ServerProcess
from tests.harness.wire import Wire

TALKATIVE = ("tests.harness.talkative_server", "serve")

WRONG_PASSWORD, WRONG_TOKEN = "wrong-battery-staple", "wr0ngt0ken"


class Life(NamedTuple):
    """Of a server, from its start to its end."""

    secrets: set[str]
    """What was shown to it, and what it handed out."""
    said: str
    stored: list[bytes]
    """Every file that it left."""


def speaks_as_of_old(request: Received) -> Reply:
    """A service that does not know the paths of today: on the older ones its token is in the query."""
    return Reply(404, b'{"errcode":"M_UNRECOGNIZED"}') if "/_matrix/app/" in request.path else Reply()


@pytest.fixture(scope="module")
def lived() -> Iterator[Life]:
    with fast_directory() as directory, application_service() as service:
        service.respond = speaks_as_of_old
        registration = service.register_in(directory)
        options = ("--rate-limits", "off", "--appservice", str(registration))
        server = ServerProcess(directory / "data", *options, command=TALKATIVE)
        try:
            server.start()
            secrets = live(server, service)
            server.stop()
            stored = [path.read_bytes() for path in (directory / "data").rglob("*") if path.is_file()]
            yield Life(secrets, "".join(server.output) + server.rest_of_output(), stored)
        finally:
            server.release()


def live(server: ServerProcess, service: ApplicationService) -> set[str]:
    """Do everything that has to do with secrets; returns them."""
    alice = server.client().register("alice")
    refreshable = alice.http.post(
        alice.prefix + "/login", json=login(PASSWORD) | {"refresh_token": True}
    ).json()
    refreshed = alice.must("POST", "/refresh", {"refresh_token": refreshable["refresh_token"]})
    alice.call("POST", "/login", login(WRONG_PASSWORD))
    room = alice.create_room(invite=["@_irc:localhost"])
    service.wait_until(lambda: any("access_token=" in request.target for request in service.received))
    tokens = {str(alice.token), AS_TOKEN, WRONG_TOKEN}
    ask_everything(server, alice, room, tokens)
    names, sessions = ("access_token", "refresh_token"), (refreshable, refreshed)
    tokens |= {session[name] for session in sessions for name in names}
    return tokens | {HS_TOKEN, PASSWORD, WRONG_PASSWORD}


def login(password: str) -> dict[str, object]:
    return {"type": "m.login.password", "user": "alice", "password": password}


def ask_everything(server: ServerProcess, client: Client, room: str, tokens: set[str]) -> None:
    wire = Wire(server.address)
    for route in ROUTES:
        if route.path.startswith("/logout") or "deactivate" in route.path:
            continue
        target, takes_proof = filled(route, client, room), "auth" in fields_of(route)
        for token in tokens:
            proof = {"auth": {"type": "m.login.password", "password": WRONG_PASSWORD}} if takes_proof else {}
            wire.ask(route.method, target, json.dumps(proof).encode(), token)
            wire.ask(route.method, f"{target}?access_token={quote(token)}", b"{", headers=[b"Expect: odd"])
    for broken in (b"Authorization Bearer", b"Authorization: Bearer \xff", b"Content-Length: x"):
        wire.ask("GET", f"/_matrix/client/v3/sync?access_token={WRONG_TOKEN}", headers=[broken])
    wire.ask("GET", f"/{'x' * 20_000}?access_token={WRONG_TOKEN}")
    wire.close()


def test_no_secret_is_in_any_line_of_the_log(lived: Life) -> None:
    lines = lived.said.splitlines()
    assert [line for line in lines if any(secret in line for secret in lived.secrets)] == []


def test_no_secret_is_in_any_file_of_the_data(lived: Life) -> None:
    assert not any(secret.encode() in file for secret in lived.secrets for file in lived.stored)


def test_there_is_much_to_be_found(lived: Life) -> None:
    """The control: who says and keeps nothing keeps every secret."""
    assert len(lived.secrets) > 8
    assert "DEBUG:httpcore" in lived.said
    assert any(b"$argon2id$" in file for file in lived.stored)
