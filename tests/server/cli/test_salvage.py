"""`roomlog salvage`: everything before the damage is saved, and what is lost is told."""

import os
import re
from pathlib import Path

import pytest

from tests.harness.server_process import serving
from tests.server.cli.conftest import Roomlog, append, payloads_and_chains
from tests.server.cli.sample import ENTRIES
from tests.server.cli.test_check import PRUNED, data_file, ordered
from tests.server.cli.test_check import replace as replace_erased

PAGE_BYTES = 4096


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / "saved"


def replace(data: Path, present: bytes, damaged: bytes) -> None:
    stored = data_file(data).read_bytes()
    assert stored.count(present) == 1
    data_file(data).write_bytes(stored.replace(present, damaged))


@pytest.mark.parametrize(
    ("present", "damaged", "position"),
    [
        (b'"server_named"', b'"server_nbmed"', 1),
        (b'"event_id":"$hello"', b'"event_id":"$hallo"', 5),
        (b'"event_id":"$name-2"', b'"event_id":"$name-3"', 7),
    ],
)
def test_what_is_before_a_flipped_bit_is_saved(
    roomlog: Roomlog, data: Path, saved: Path, present: bytes, damaged: bytes, position: int
) -> None:
    before = payloads_and_chains(data)
    replace(data, present, damaged)
    done = roomlog("salvage", data, "--into", saved)
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first.startswith(f"saved {position - 1} entries into {saved}, chain ")
    assert second.startswith(f"lost entries {position} to 7: entry {position}: wrong digest")
    assert payloads_and_chains(saved) == before[: position - 1]


def test_a_whole_log_loses_nothing(roomlog: Roomlog, data: Path, saved: Path) -> None:
    done = roomlog("salvage", data, "--into", saved)
    assert (done.returncode, done.stdout.splitlines()[1]) == (0, "lost nothing")
    assert payloads_and_chains(saved) == payloads_and_chains(data)


def test_what_is_before_a_zeroed_page_is_saved(roomlog: Roomlog, data: Path, saved: Path) -> None:
    append(data, ENTRIES[4:5] * 2_000)
    before = payloads_and_chains(data)
    with data_file(data).open("r+b") as file:
        file.seek(50 * PAGE_BYTES)
        file.write(bytes(PAGE_BYTES))
    done = roomlog("salvage", data, "--into", saved)
    lost = re.search(r"^lost entries (\d+) to 2007: entry \1: ", done.stdout, re.MULTILINE)
    assert (done.returncode, done.stderr) == (1, "")
    assert lost is not None
    assert 0 < int(lost[1]) < 2007
    assert payloads_and_chains(saved) == before[: int(lost[1]) - 1]


def test_a_reader_that_dies_is_survived(roomlog: Roomlog, data: Path, saved: Path) -> None:
    """The pages that come first in the file are there, and so is what LMDB needs to open it."""
    append(data, ENTRIES[4:5] * 2_000)
    stored = data_file(data).read_bytes()
    leaves = [at for at in range(0, len(stored), PAGE_BYTES) if b'"$hello"' in stored[at : at + PAGE_BYTES]]
    append(data, ENTRIES[4:5])
    before = payloads_and_chains(data)
    os.truncate(data_file(data), leaves[len(leaves) // 2])
    done = roomlog("salvage", data, "--into", saved)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "SIGBUS" in done.stdout + done.stderr
    if saved.exists():
        assert payloads_and_chains(saved) == before[: len(payloads_and_chains(saved))]


def test_a_server_starts_on_what_was_saved(roomlog: Roomlog, data: Path, saved: Path) -> None:
    replace(data, b'"event_id":"$hello"', b'"event_id":"$hallo"')
    roomlog("salvage", data, "--into", saved)
    with serving(saved) as server:
        assert server.client().call("GET", "/account/whoami").status_code == 401


def test_the_damaged_log_stays_as_it_is(roomlog: Roomlog, data: Path, saved: Path) -> None:
    replace(data, b'"event_id":"$hello"', b'"event_id":"$hallo"')
    before = data_file(data).read_bytes()
    roomlog("salvage", data, "--into", saved)
    assert data_file(data).read_bytes() == before


def test_into_a_directory_in_use_is_refused(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("salvage", data, "--into", data)
    assert (done.returncode, done.stdout) == (2, "")


def test_what_is_no_log_has_nothing_to_save(roomlog: Roomlog, data: Path, saved: Path) -> None:
    data_file(data).write_bytes(b"no log" * 10_000)
    done = roomlog("salvage", data, "--into", saved)
    assert (done.returncode, done.stdout) == (1, "")
    assert not saved.exists()


def test_what_was_erased_by_order_of_a_lost_entry_is_ordered_anew(
    roomlog: Roomlog, data: Path, saved: Path, tmp_path: Path
) -> None:
    append(data, [[ordered(PRUNED)]])
    replace_erased(data, PRUNED)
    before = payloads_and_chains(data)
    # In pages that are not used any more as well.
    data_file(data).write_bytes(data_file(data).read_bytes().replace(b'"$name-2"', b'"$name-3"'))
    done = roomlog("salvage", data, "--into", saved)
    assert done.stdout.splitlines()[1] == (
        "ordered 1 erasures anew, as the entries that ordered them are lost"
    )
    assert payloads_and_chains(saved)[:-1] == before[:6]
    assert roomlog("check", "--data", saved).stdout == "clean: 7 entries\n"
    roomlog("export", "saved.ndjson", "--data", saved)
    assert roomlog("import", "saved.ndjson", "--data", tmp_path / "again").returncode == 0
    with serving(saved):
        pass  # what it has to erase is erased already
