"""The end of a process whose storage fails: what it tells its clients, its operator, and the next process.

The kernel refuses to let files grow, from outside and at a moment of the test's choosing: a real server, and
a system call that really fails in the middle of a commit.
"""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx
import pytest

from eventlog.lmdb_file import DATA_FILE
from eventlog.lmdb_meta import read_meta
from server.app import EXIT_LOG_FAILED
from server.config import log_path
from server.writer import STORAGE_FAILED
from tests.harness.client import V3, Client, error_of, path_of
from tests.harness.server_process import ServerProcess, serving

SECONDS_TO_END_MAX = 5
LARGE = Random(1).randbytes(25_000).hex()
"""Does not get much shorter by being compressed."""


class End(NamedTuple):
    """Of a server, as those saw it who were there."""

    server: ServerProcess
    data: Path
    client: Client
    room: str
    acknowledged: str
    refused: httpx.Response
    """What the message was answered during which the storage failed."""
    read_later: httpx.Response | None
    """What somebody was told who only wanted to read; `None` if the process had ended by then."""
    poll: httpx.Response
    status: int | None
    lines: list[str]


def let_no_file_grow(server: ServerProcess, data: Path) -> None:
    """Past what is used; the file itself may be a little longer."""
    length = read_meta(log_path(data) / DATA_FILE).file_bytes
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (length, resource.RLIM_INFINITY))


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    data = tmp_path_factory.mktemp("storage") / "data"
    with serving(data, "--rate-limits", "off") as server:
        client = server.client().register("alice")
        room = client.create_room()
        acknowledged = client.say(room, "on the disk")
        poll = client.begin("/sync", since=client.sync()["next_batch"], timeout=60_000)
        let_no_file_grow(server, data)
        path = path_of("rooms", room, "send", "m.room.message", "large")
        # Past the harness, which takes every 503 for a fault of the server.
        headers = {"Authorization": f"Bearer {client.token}"}
        with httpx.Client(base_url=server.address + V3, headers=headers, timeout=30) as http:
            refused = http.put(path, json={"msgtype": "m.text", "body": LARGE})
            read_later = None
            with suppress(httpx.TransportError):
                read_later = http.get(path_of("rooms", room, "state"))
        ended = poll.result(SECONDS_TO_END_MAX)
        status = server.status_within(SECONDS_TO_END_MAX)
        assert status is not None, "the storage did not fail; there is no end of the output to wait for"
        lines = server.rest_of_output().splitlines()
        yield End(server, data, client, room, acknowledged, refused, read_later, ended, status, lines)


def test_who_writes_is_told_that_the_storage_failed(end: End) -> None:
    assert error_of(end.refused) == (503, "M_UNKNOWN")
    assert end.refused.json()["error"] == STORAGE_FAILED


def test_nothing_is_read_any_more(end: End) -> None:
    assert end.read_later is None or error_of(end.read_later) == (503, "M_UNKNOWN")


def test_who_waits_is_answered(end: End) -> None:
    assert end.poll.status_code == 200


def test_no_client_learns_a_path_of_the_machine(end: End) -> None:
    answers = [end.refused, *([end.read_later] if end.read_later is not None else [])]
    assert [answer.text for answer in answers if str(end.data) in answer.text] == []


def test_the_process_ends_with_a_status_of_its_own(end: End) -> None:
    assert end.status == EXIT_LOG_FAILED == 3


def test_the_cause_is_on_the_last_line(end: End) -> None:
    assert "CRITICAL" in end.lines[-1]
    assert str(log_path(end.data)) in end.lines[-1]
    assert "File too large" in end.lines[-1]


def test_what_was_acknowledged_is_there_after_the_next_start(end: End) -> None:
    end.server.start()
    with httpx.Client(base_url=end.server.address, timeout=30) as http:
        again = end.client.over(Client("", http=http))
        assert again.event(end.room, end.acknowledged)["content"]["body"] == "on the disk"
        assert again.say(end.room, "and it goes on")
