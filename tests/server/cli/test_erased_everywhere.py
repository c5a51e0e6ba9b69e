"""What was taken back is nowhere any more: the log's files, the views' files, an export, the next backup.

A marker is planted over HTTP, taken back in each of the ways in which something can be, and looked for in
the raw bytes of every file. The backup is one that held the marker before.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.client import PASSWORD, Client
from tests.harness.server_process import ServerProcess, serving
from tests.server.cli.conftest import Roomlog
from tests.server.users.test_erasing import files_with

MARKER = "planted-marker-0123456789"
SECONDS = 60
AT_ONCE = ("--rate-limits", "off", "--redaction-retention", "0s")


class Scene(NamedTuple):
    roomlog: Roomlog
    server: ServerProcess
    data: Path
    author: Client
    room: str
    said: str


def redacted(scene: Scene) -> None:
    scene.author.redact(scene.room, scene.said)


def deactivated(scene: Scene) -> None:
    auth = {"type": "m.login.password", "password": PASSWORD, "user": scene.author.user_id}
    scene.author.must("POST", "/account/deactivate", {"auth": auth, "erase": True})


def erased_by_the_operator(scene: Scene) -> None:
    assert scene.server.stop() == 0
    assert scene.roomlog("erase", scene.author.user_id, "--data", scene.data).returncode == 0


ways = pytest.mark.parametrize("take_back", [redacted, deactivated, erased_by_the_operator])


@pytest.fixture
def scene(roomlog: Roomlog, tmp_path: Path) -> Iterator[Scene]:
    """The author has said it, others have spoken since, and a backup was made."""
    data = tmp_path / "live"
    with serving(data, *AT_ONCE) as server:
        author, other = (server.client().register(name) for name in ("author", "other"))
        room = author.create_room(preset="public_chat")
        other.join(room)
        said = author.say(room, MARKER)
        for number in range(10):
            other.say(room, f"number {number}")
        assert roomlog("backup", tmp_path / "copy", "--data", data).returncode == 0
        yield Scene(roomlog, server, data, author, room, said)


@ways
def test_what_was_taken_back_is_nowhere(
    scene: Scene, tmp_path: Path, take_back: Callable[[Scene], None]
) -> None:
    assert files_with(MARKER, tmp_path) == ["copy/log/data.mdb", "live/log/data.mdb"]
    take_back(scene)
    until = time.monotonic() + SECONDS
    while files_with(MARKER, scene.data):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert scene.roomlog("export", tmp_path / "log.ndjson", "--data", scene.data).returncode == 0
    assert scene.roomlog("backup", tmp_path / "copy", "--data", scene.data).returncode == 0
    assert scene.roomlog("check", "--data", tmp_path / "copy").stdout.startswith("clean: ")
    assert files_with(MARKER, tmp_path) == []
