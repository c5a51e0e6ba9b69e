"""`roomlog check`: clean logs are clean, damage is found and its place is told."""

import os
from pathlib import Path

from server.config import log_path
from tests.server.cli.conftest import Roomlog, append
from tests.server.cli.sample import ENTRIES


def data_file(data: Path) -> Path:
    return log_path(data) / "data.mdb"


def test_a_whole_log_is_clean(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("check", "--data", data)
    assert (done.returncode, done.stdout, done.stderr) == (0, "clean: 7 entries\n", "")


def test_a_flipped_bit_is_found(roomlog: Roomlog, data: Path) -> None:
    stored = data_file(data).read_bytes()
    assert stored.count(b'"event_id":"$hello"') == 1
    data_file(data).write_bytes(stored.replace(b'"event_id":"$hello"', b'"event_id":"$hallo"'))
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "entry 5: wrong digest" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("damaged: 1 findings in 7 entries")


def test_a_file_cut_off_is_survived(roomlog: Roomlog, data: Path) -> None:
    append(data, ENTRIES[4:5] * 2_000)
    os.truncate(data_file(data), data_file(data).stat().st_size // 2)
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "is cut off" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_log_is_survived(roomlog: Roomlog, data: Path) -> None:
    data_file(data).write_bytes(b"no log" * 10_000)
    done = roomlog("check", "--data", data)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_other_verbs_say_where_the_damage_is(roomlog: Roomlog, data: Path) -> None:
    data_file(data).write_bytes(data_file(data).read_bytes().replace(b'"$hello"', b'"$hallo"'))
    done = roomlog("export", "--data", data)
    assert done.returncode == 1
    assert done.stderr.startswith("export failed: entry 5: wrong digest")
    assert "roomlog check" in done.stderr
