"""`roomlog serve` and `roomlog user add` from the outside: what is announced, signalled and refused."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.server.cli.conftest import SCRIPT, Roomlog, clean_environment

_ANNOUNCED = "roomlog answers at "


@contextmanager
def served(*arguments: str, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running server and the address that it announced."""
    with subprocess.Popen(
        [str(SCRIPT), "serve", *arguments],
        env=clean_environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(_ANNOUNCED)
            yield process, line.removeprefix(_ANNOUNCED).rstrip("\n")
        finally:
            process.kill()


@pytest.fixture
def fresh(tmp_path: Path) -> str:
    return str(tmp_path / "fresh")


def test_the_announced_address_answers(fresh: str) -> None:
    with served("--port", "0", "--data", fresh) as (_, address):
        assert httpx.get(f"{address}/_matrix/client/versions").status_code == 200


def test_the_environment_is_heard(fresh: str) -> None:
    with served(ROOMLOG_PORT="0", ROOMLOG_DATA=fresh, ROOMLOG_SERVER_NAME="example.org") as (_, address):
        answer = httpx.post(
            f"{address}/_matrix/client/v3/register",
            json={"username": "alice", "password": "correct horse", "auth": {"type": "m.login.dummy"}},
        )
        assert answer.json()["user_id"] == "@alice:example.org"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_good_order(fresh: str, number: signal.Signals) -> None:
    with served("--port", "0", "--data", fresh) as (process, _):
        asked = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - asked < 5
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_its_data_directory_is_in_use(roomlog: Roomlog, fresh: str) -> None:
    with served("--port", "0", "--data", fresh) as (process, _):
        done = roomlog("serve", "--port", "0", "--data", fresh)
    assert done.returncode == 2
    assert done.stderr.startswith("serve failed: ")
    assert f"process {process.pid} owns it" in done.stderr


def test_a_port_in_use_is_refused(roomlog: Roomlog, fresh: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = roomlog("serve", "--port", str(port), "--data", fresh)
    assert done.returncode == 2
    assert done.stderr.startswith(f"serve failed: cannot listen on 127.0.0.1:{port}: ")
    assert "--port" in done.stderr.splitlines()[1]


def test_a_port_of_metrics_in_use_is_refused(roomlog: Roomlog, fresh: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = roomlog("serve", "--port", "0", "--metrics-port", str(port), "--data", fresh)
    assert done.returncode == 2
    assert done.stderr.startswith(f"serve failed: cannot listen on 127.0.0.1:{port}: ")
    assert "--metrics-port" in done.stderr.splitlines()[1]


def test_metrics_have_a_port_of_their_own(roomlog: Roomlog, fresh: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    done = roomlog("serve", "--port", port, "--metrics-port", port, "--data", fresh)
    assert done.returncode == 2
    assert done.stderr.startswith(f"serve failed: cannot listen on 127.0.0.1:{port}: ")


def test_all_faults_are_told_before_anything_is_made(roomlog: Roomlog, fresh: str) -> None:
    done = roomlog("serve", "--port", "http", "--data", fresh, settings={"ROOMLOG_REGISTRATIN": "open"})
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "serve failed: the configuration cannot be used.",
        "  ROOMLOG_REGISTRATIN in the environment: no such setting; did you mean ROOMLOG_REGISTRATION?",
        "  --port on the command line: 'http' is no port; a port is a number from 0 to 65535",
    ]
    assert not Path(fresh).exists()


def test_the_name_of_a_log_cannot_change(roomlog: Roomlog, fresh: str) -> None:
    roomlog("user", "add", "alice", "--password-stdin", "--data", fresh, stdin="correct horse\n")
    done = roomlog("serve", "--port", "0", "--data", fresh, "--server-name", "example.org")
    assert done.returncode == 2
    assert "--server-name localhost" in done.stderr


def test_an_added_user_can_log_in(roomlog: Roomlog, fresh: str) -> None:
    done = roomlog("user", "add", "alice", "--password-stdin", "--data", fresh, stdin="correct horse\n")
    assert (done.returncode, done.stdout) == (0, "added @alice:localhost\n")
    with served("--port", "0", "--data", fresh) as (_, address):
        login = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": "alice"},
            "password": "correct horse",
        }
        assert httpx.post(f"{address}/_matrix/client/v3/login", json=login).status_code == 200


def test_a_taken_name_is_refused(roomlog: Roomlog, fresh: str) -> None:
    add_alice = "user", "add", "alice", "--password-stdin", "--data", fresh
    assert roomlog(*add_alice, stdin="correct horse\n").returncode == 0
    done = roomlog(*add_alice, stdin="another horse\n")
    assert done.returncode == 2
    assert done.stderr.startswith("user add failed: The user name of @alice:localhost is taken.\n")


def test_an_empty_password_is_refused(roomlog: Roomlog, fresh: str) -> None:
    done = roomlog("user", "add", "alice", "--password-stdin", "--data", fresh, stdin="\n")
    assert (done.returncode, Path(fresh).exists()) == (2, False)


def test_without_a_terminal_no_password_is_asked_for(roomlog: Roomlog, fresh: str) -> None:
    done = roomlog("user", "add", "alice", "--data", fresh)
    assert done.returncode == 2
    assert "--password-stdin" in done.stderr
