"""`roomlog erase`: after it, nothing that the user said is in the files or in an export."""

from pathlib import Path

from tests.harness.remains import is_found
from tests.server.cli.conftest import Roomlog
from tests.server.cli.sample import ALICE

SAID = "Grüße"


def holds_what_was_said(directory: Path) -> bool:
    return any(is_found(SAID, file) for file in directory.rglob("*") if file.is_file())


def test_what_was_said_is_gone(roomlog: Roomlog, rebuilt: Path, tmp_path: Path) -> None:
    assert holds_what_was_said(rebuilt / "log")
    done = roomlog("erase", ALICE)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"erased {ALICE}\n", "")
    roomlog("export", tmp_path / "erased.ndjson")
    assert not holds_what_was_said(tmp_path)


def test_log_and_views_are_whole_afterwards(roomlog: Roomlog, rebuilt: Path) -> None:
    roomlog("erase", ALICE)
    assert roomlog("check").stdout.startswith("clean: ")
    assert roomlog("rebuild", "--verify").stdout.endswith("equal\n")


def test_a_repeat_is_harmless(roomlog: Roomlog, rebuilt: Path) -> None:
    roomlog("erase", ALICE)
    entries = len(roomlog("show").stdout.splitlines())
    assert roomlog("erase", ALICE).stdout == f"erased {ALICE}\n"
    assert len(roomlog("show").stdout.splitlines()) == entries


def test_nobody_is_erased_by_mistake(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("erase", "@nobody:localhost")
    assert done.returncode == 2
    assert done.stderr.startswith("erase failed: There is no account @nobody:localhost on this server.")


def test_no_log_is_begun(roomlog: Roomlog, tmp_path: Path) -> None:
    assert roomlog("erase", ALICE).returncode == 2
    assert not (tmp_path / "data").exists()
