"""The server as a process: what it refuses to start with, what it is after a kill, and how it ends."""

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from eventlog.errors import Locked
from server.app import WrongServerName, add_user, running
from server.config import Config, views_path
from server.errors import ErrorCode, MatrixError
from tests.harness.client import PASSWORD, PREFIXES, R0, V1, V3, Client, error_of, path_of, texts
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import ServerProcess, serving

requirement = pytest.mark.requirement

SECONDS_TO_STOP_MAX = 5
SERVER_NAME = "example.org:8448"


class Killed(NamedTuple):
    """A server that came back from a kill, and what a client held before it."""

    client: Client
    room: str
    acknowledged: list[str]
    since: str
    prev_batch: str


@pytest.fixture(scope="module", params=["views stay", "views are lost"])
def killed(request: pytest.FixtureRequest) -> Iterator[Killed]:
    with fast_directory() as directory, serving(directory, "--rate-limits", "off") as server:
        client = server.client().register("alice")
        room = client.create_room()
        since = client.sync()["next_batch"]
        acknowledged = [
            client.send(room, {"n": n}, event_type="com.example.n", txn_id=str(n)) for n in range(9)
        ]
        page = client.messages(room, limit=3)
        server.kill()
        if request.param == "views are lost":
            shutil.rmtree(views_path(directory))
        server.start()
        with httpx.Client(base_url=server.address, timeout=30) as http:
            again = client.over(Client("", http=http))
            yield Killed(again, room, acknowledged, since, page["end"])


def test_what_was_acknowledged_is_there_after_a_kill(killed: Killed) -> None:
    newest_first = killed.client.messages(killed.room, limit=9)["chunk"]
    assert [event["event_id"] for event in newest_first] == killed.acknowledged[::-1]


@requirement("T01")
def test_a_repeat_after_a_kill_answers_the_first_id(killed: Killed) -> None:
    repeated = killed.client.send(killed.room, {}, event_type="com.example.n", txn_id="4")
    assert repeated == killed.acknowledged[4]


@requirement("G10", "G12")
def test_tokens_outlive_a_kill(killed: Killed) -> None:
    section = killed.client.sync(since=killed.since)["rooms"]["join"][killed.room]
    told = [event["event_id"] for event in section["timeline"]["events"]]
    assert told == killed.acknowledged
    earlier = killed.client.messages(killed.room, from_=killed.prev_batch, limit=1)["chunk"]
    assert earlier[0]["event_id"] == killed.acknowledged[5]


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    """One that a test may stop."""
    with fast_directory() as directory, serving(directory / "data", "--rate-limits", "off") as server:
        yield server


def test_who_waits_is_answered_when_it_stops(server: ServerProcess) -> None:
    client = server.client().register("alice")
    since = client.sync()["next_batch"]
    polls = [
        client.begin("/sync", since=since, timeout=60_000),
        client.begin("/events", from_=since, timeout=60_000),
    ]
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < SECONDS_TO_STOP_MAX
    sync, events = [poll.result(SECONDS_TO_STOP_MAX) for poll in polls]
    assert (sync.status_code, sync.json()["next_batch"]) == (200, since)
    assert (events.status_code, events.json()["end"], events.json()["chunk"]) == (200, since, [])
    assert server.rest_of_output() == ""


def test_who_has_not_said_everything_is_not_waited_for(server: ServerProcess) -> None:
    client = server.client().register("alice")
    place = (urlsplit(server.address).hostname, urlsplit(server.address).port)
    with socket.create_connection(place, timeout=10) as body, socket.create_connection(place) as head:
        body.sendall(
            f"POST {V3}/createRoom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        head.sendall(b"GET /_matrix/client/versions HTTP/1.1\r\n")
        client.sync()  # by now it has read both
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < SECONDS_TO_STOP_MAX / 2
        answer = body.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b'{"errcode":"M_UNKNOWN","error":"The server is stopping."}')
    assert server.rest_of_output() == ""


@pytest.fixture(scope="module")
def strict() -> Iterator[Client]:
    """Alice, on a server with a name that is closed and takes tokens in the header only."""
    with fast_directory() as directory:
        asyncio.run(add_user(Config(data=directory / "data", server_name=SERVER_NAME), "alice", PASSWORD))
        options = ("--server-name", SERVER_NAME, "--query-tokens", "off", "--registration", "closed")
        with (
            serving(directory / "data", *options) as server,
            httpx.Client(base_url=server.address, timeout=30) as http,
        ):
            yield Client("", http=http).log_in("alice")


@pytest.mark.parametrize(("prefix", "is_heard"), [(V1, True), (R0, False), (V3, False)])
@requirement("A01")
def test_query_tokens_can_be_switched_off(strict: Client, prefix: str, is_heard: bool) -> None:
    """Under the prefix of 2015, where nothing else was known, they are always heard."""
    answer = strict.http.get(prefix + "/account/whoami", params={"access_token": str(strict.token)})
    assert is_heard == (answer.status_code == 200)
    assert is_heard or error_of(answer) == (401, "M_MISSING_TOKEN")
    assert strict.under(prefix).call("GET", "/account/whoami").status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_closed_registration_makes_no_accounts(strict: Client, prefix: str) -> None:
    body = {"username": "bob", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    assert error_of(strict.under(prefix).call("POST", "/register", body)) == (403, "M_FORBIDDEN")
    assert error_of(strict.under(V1).call("GET", "/register")) == (403, "M_FORBIDDEN")
    login = {"type": "m.login.password", "user": "bob", "password": PASSWORD}
    assert error_of(strict.call("POST", "/login", login)) == (403, "M_FORBIDDEN")


def test_added_users_live_where_registration_is_closed(strict: Client) -> None:
    room = strict.create_room()
    strict.say(room, "hello")
    assert texts(strict.messages(room)["chunk"]) == ["hello"]


def test_ids_are_of_the_servers_name(strict: Client) -> None:
    assert strict.user_id == f"@alice:{SERVER_NAME}"
    room = strict.create_room(room_alias_name="tea", room_version="11")
    assert room.endswith(f":{SERVER_NAME}")
    alias = path_of("directory", "room", f"#tea:{SERVER_NAME}")
    assert strict.must("GET", alias) == {"room_id": room, "servers": [SERVER_NAME]}


@pytest.mark.anyio
async def test_an_added_name_is_taken_once(tmp_path: Path) -> None:
    config = Config(data=tmp_path / "data")
    assert await add_user(config, "alice", PASSWORD) == "@alice:localhost"
    with pytest.raises(MatrixError, match="is taken") as refused:
        await add_user(config, "alice", PASSWORD)
    assert refused.value.kind is ErrorCode.USER_IN_USE


@pytest.mark.anyio
async def test_a_log_keeps_the_name_it_was_begun_with(tmp_path: Path) -> None:
    async with running(Config(data=tmp_path, server_name="example.org")):
        pass
    with pytest.raises(WrongServerName, match=r"--server-name example\.org"):
        async with running(Config(data=tmp_path, server_name="example.com")):
            pytest.fail("it began")
    async with running(Config(data=tmp_path, server_name="example.org")) as again:
        assert again.homeserver.server_name == "example.org"


@pytest.mark.anyio
async def test_a_log_has_one_server(tmp_path: Path) -> None:
    async with running(Config(data=tmp_path)):
        with pytest.raises(Locked, match=f"process {os.getpid()} owns it"):
            async with running(Config(data=tmp_path)):
                pytest.fail("it began")
    async with running(Config(data=tmp_path)) as again:
        assert again.writer.head == 1
