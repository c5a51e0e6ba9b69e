"""`roomlog show`: what is printed of an entry, and what never is."""

import json
import signal
import subprocess
from pathlib import Path

from projections.facts import RoomListed
from tests.server.cli.conftest import SCRIPT, Roomlog, append, clean_environment
from tests.server.cli.sample import ENTRIES, OTHER_ROOM, PASSWORD_HASH, ROOM


def test_one_line_an_entry(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("show", "--data", data)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["1", "2", "3", "4", "5", "6", "7"]


def test_after_skips_what_came_before(roomlog: Roomlog, data: Path) -> None:
    assert len(roomlog("show", "--data", data, "--after", "5").stdout.splitlines()) == 2


def test_after_the_end_there_is_nothing(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("show", "--data", data, "--after", "99")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_room_alone_is_shown(roomlog: Roomlog, data: Path) -> None:
    lines = roomlog("show", "--data", data, "--room", OTHER_ROOM).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["6"]
    assert ROOM not in lines[0]


def test_json_has_the_whole_entry(roomlog: Roomlog, data: Path) -> None:
    lines = [json.loads(line) for line in roomlog("show", "--data", data, "--json").stdout.split("\n")[:-1]]
    assert [line["position"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert [len(line["facts"]) for line in lines] == [len(facts) for facts in ENTRIES]
    assert lines[1]["facts"][0]["password_hash"] == PASSWORD_HASH


def test_follow_prints_what_another_process_appends(data: Path) -> None:
    command = [str(SCRIPT), "show", "--data", str(data), "--after", "6", "--follow"]
    with subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert follower.stdout.readline().startswith("7 ")
        append(data, [[RoomListed(ROOM, is_public=False)]])
        assert follower.stdout.readline() == f"8 room_listed room_id={ROOM} is_public=False\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=20) == 0
        assert follower.stderr.read() == ""


def test_a_reader_may_leave_early(roomlog: Roomlog, data: Path) -> None:
    append(data, [[RoomListed(ROOM, is_public=True)]] * 5_000)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"'{SCRIPT}' show --data '{data}' | head -1"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)
