"""`roomlog state`: a room as it is, and as it was."""

from pathlib import Path

from tests.server.cli.conftest import Roomlog, append
from tests.server.cli.sample import ENTRIES, OTHER_ROOM, ROOM


def types_of(text: str) -> list[str]:
    return [line.split()[0].removeprefix("type=") for line in text.splitlines()]


def test_state_as_of_now(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("state", ROOM, "--data", rebuilt)
    assert done.returncode == 0
    assert types_of(done.stdout) == ["m.room.create", "m.room.member", "m.room.name"]


def test_state_as_of_a_position(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("state", ROOM, "--at", "4", "--data", rebuilt)
    assert done.stdout.splitlines()[-1] == (
        'type=m.room.name state_key="" sender=@alice:localhost event_id=$name-1 content={"name":"Before"}'
    )


def test_content_cannot_speak_to_the_terminal(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("state", ROOM, "--data", rebuilt)
    assert done.stdout.splitlines()[-1].endswith('content={"name":"Af\\u009bter"}')


def test_a_room_not_yet_made_is_a_finding(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("state", OTHER_ROOM, "--at", "5", "--data", rebuilt)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"state failed: there was no room {OTHER_ROOM} at 5.\n")


def test_a_position_past_the_end_is_refused(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("state", ROOM, "--at", "8", "--data", rebuilt)
    assert done.returncode == 2
    assert done.stderr.startswith("state failed: there is no position 8, the log ends at 7.\n")


def test_views_that_lag_are_not_believed(roomlog: Roomlog, rebuilt: Path) -> None:
    append(rebuilt, ENTRIES[3:4])
    done = roomlog("state", ROOM, "--data", rebuilt)
    assert done.returncode == 2
    assert "roomlog rebuild" in done.stderr


def test_a_position_the_views_have_seen_is_told(roomlog: Roomlog, rebuilt: Path) -> None:
    append(rebuilt, ENTRIES[3:4])
    assert roomlog("state", ROOM, "--at", "7", "--data", rebuilt).returncode == 0


def test_without_views_a_rebuild_is_advised(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("state", ROOM, "--data", data)
    assert done.returncode == 2
    assert "rebuild" in done.stderr
