"""`roomlog backup` and `roomlog restore`: a copy that was proved, or no word of OK."""

import asyncio
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest

from eventlog.extraction import Extraction
from eventlog.lmdb_log import LmdbLog
from eventlog.lmdb_meta import read_meta
from projections.facts import ServerNamed, encode_entry
from projections.follower import open_views
from server.cli.backup import copy_and_prove
from server.cli.copying import fold
from server.cli.outcome import Refused
from server.cli.progress import Progress
from server.config import log_path, views_path
from tests.harness.client import Client
from tests.harness.server_process import serving
from tests.projections.payloads import Payloads
from tests.server.cli.conftest import Roomlog, append, payloads_and_chains
from tests.server.cli.sample import ENTRIES
from tests.server.cli.test_check import data_file

OK = re.compile(r"OK head=(\d+) new=(\d+) chain=([0-9a-f]{64}) views=([0-9a-f]{64})\n")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def restored(tmp_path: Path) -> Path:
    return tmp_path / "restored"


def proved(stdout: str) -> tuple[int, int, str, str]:
    """Head, number of new entries, chain, digest of the views."""
    found = OK.fullmatch(stdout)
    assert found is not None, stdout
    return int(found[1]), int(found[2]), found[3], found[4]


def flip_hello(data: Path) -> None:
    """Damages entry 5."""
    data_file(data).write_bytes(data_file(data).read_bytes().replace(b'"$hello"', b'"$hallo"'))


def test_a_backup_says_what_it_holds(roomlog: Roomlog, rebuilt: Path, copy: Path) -> None:
    done = roomlog("backup", copy, "--data", rebuilt)
    assert (done.returncode, done.stderr) == (0, "")
    head, new, chain, views = proved(done.stdout)
    assert (head, new, chain) == (7, 7, payloads_and_chains(rebuilt)[-1][3].hex())
    assert f"present {views}\n" in roomlog("rebuild", "--verify", "--data", rebuilt).stdout


def test_a_backup_is_the_same_log(roomlog: Roomlog, data: Path, copy: Path) -> None:
    roomlog("backup", copy, "--data", data)
    assert payloads_and_chains(copy) == payloads_and_chains(data)
    assert Extraction(log_path(copy)).identity == Extraction(log_path(data)).identity


def test_the_scratch_directory_is_gone(roomlog: Roomlog, data: Path, copy: Path) -> None:
    roomlog("backup", copy, "--data", data)
    assert [path.name for path in copy.iterdir()] == ["log"]


def test_an_empty_log_has_a_backup(roomlog: Roomlog, data: Path, copy: Path) -> None:
    shutil.rmtree(data)
    append(data, [])
    assert proved(roomlog("backup", copy, "--data", data).stdout)[:2] == (0, 0)


def test_only_what_is_new_is_copied(roomlog: Roomlog, data: Path, backed_up: Path) -> None:
    copy = backed_up.parent
    inode = data_file(copy).stat().st_ino
    append(data, ENTRIES[3:5] * 3_000)
    assert proved(roomlog("backup", copy, "--data", data).stdout)[:2] == (6007, 6000)
    assert proved(roomlog("backup", copy, "--data", data).stdout)[:2] == (6007, 0)
    assert payloads_and_chains(copy) == payloads_and_chains(data)
    assert data_file(copy).stat().st_ino == inode


def test_a_backup_that_was_cut_short_goes_on(roomlog: Roomlog, data: Path, backed_up: Path) -> None:
    copy = backed_up.parent
    for left_by_a_kill in ("proof/restored/restoring", "renewed/log"):
        (copy / left_by_a_kill).mkdir(parents=True)
    append(data, ENTRIES[4:5])
    assert proved(roomlog("backup", copy, "--data", data).stdout)[:2] == (8, 1)


async def erase(data: Path, position: int) -> None:
    log = await LmdbLog.open(log_path(data))
    order = await log.append([encode_entry([ServerNamed("localhost", 1)])], after=await log.head())
    await log.erase({position: encode_entry([ServerNamed("localhost", 1)])}, ordered_by=order)
    await log.close()


def test_what_is_erased_leaves_the_backup(roomlog: Roomlog, data: Path, backed_up: Path) -> None:
    copy = backed_up.parent
    marker = "Grüße".encode()
    assert marker in data_file(copy).read_bytes()
    asyncio.run(erase(data, 5))
    assert proved(roomlog("backup", copy, "--data", data).stdout)[:2] == (8, 1)
    assert marker not in data_file(copy).read_bytes()
    assert payloads_and_chains(copy) == payloads_and_chains(data)


def test_a_server_under_load_goes_on(roomlog: Roomlog, tmp_path: Path, copy: Path, restored: Path) -> None:
    with serving(tmp_path / "live", "--rate-limits", "off") as server:
        alice = server.client().register("alice")
        room = alice.create_room()
        sent, is_over = list[str](), threading.Event()

        def talk(client: Client) -> None:
            while not is_over.is_set():
                sent.append(client.say(room, f"message {len(sent)}"))

        talking = threading.Thread(target=talk, args=(alice,))
        talking.start()
        while len(sent) < 100:
            pass
        before = len(sent)
        done = roomlog("backup", copy, "--data", tmp_path / "live")
        after = len(sent)
        is_over.set()
        talking.join()
        assert proved(done.stdout)[0] >= before
        assert after > before
        again = roomlog("backup", copy, "--data", tmp_path / "live")
        assert proved(again.stdout)[1] > 0
    roomlog("restore", copy, "--data", restored)
    with serving(restored) as server:
        alice_again = Client(server.address).log_in("alice")
        assert alice_again.event(room, sent[-1])["content"]["body"] == f"message {len(sent) - 1}"


def modes(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory.parent)): path.stat().st_mode & 0o777
        for path in (directory, *directory.rglob("*"))
    }


def expected_modes(directory: Path) -> dict[str, int]:
    return {name: 0o700 if (directory.parent / name).is_dir() else 0o600 for name in modes(directory)}


def test_nobody_else_can_read_a_backup(roomlog: Roomlog, data: Path, copy: Path) -> None:
    """What anybody said is in it, as in the log."""
    roomlog("backup", copy, "--data", data)
    assert modes(copy) == expected_modes(copy)


def test_nor_one_that_was_made_anew(roomlog: Roomlog, data: Path, backed_up: Path) -> None:
    asyncio.run(erase(data, 5))
    roomlog("backup", backed_up.parent, "--data", data)
    assert modes(backed_up) == expected_modes(backed_up)


def test_nor_what_was_restored(roomlog: Roomlog, backed_up: Path, restored: Path) -> None:
    roomlog("restore", backed_up.parent, "--data", restored)
    assert modes(restored) == expected_modes(restored)


# What is refused


def test_a_damaged_source_has_no_backup(roomlog: Roomlog, data: Path, copy: Path) -> None:
    flip_hello(data)
    done = roomlog("backup", copy, "--data", data)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("backup failed: entry 5: wrong digest")


def test_a_source_cut_off_has_no_backup(roomlog: Roomlog, data: Path, copy: Path) -> None:
    append(data, ENTRIES[4:5] * 2_000)
    os.truncate(data_file(data), read_meta(data_file(data)).file_bytes // 2)
    done = roomlog("backup", copy, "--data", data)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr


def test_a_damaged_backup_is_not_added_to(roomlog: Roomlog, data: Path, backed_up: Path) -> None:
    copy = backed_up.parent
    flip_hello(copy)
    append(data, ENTRIES[4:5])
    done = roomlog("backup", copy, "--data", data)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the earlier backup in" in done.stderr
    assert "entry 5: wrong digest" in done.stderr


def test_another_log_is_not_added(roomlog: Roomlog, data: Path, backed_up: Path, tmp_path: Path) -> None:
    copy = backed_up.parent
    append(tmp_path / "other", ENTRIES)
    done = roomlog("backup", copy, "--data", tmp_path / "other")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not the first of this log" in done.stderr


@pytest.mark.parametrize("more", [0, 1, 2])
def test_another_history_is_not_added(
    roomlog: Roomlog, data: Path, backed_up: Path, restored: Path, more: int
) -> None:
    """The source was restored from an older backup and has gone another way, for less, as long or longer."""
    copy = backed_up.parent
    shutil.copytree(data, restored)
    append(copy, ENTRIES[4:5])
    before = payloads_and_chains(copy)
    append(restored, ENTRIES[3:4] * more)
    done = roomlog("backup", copy, "--data", restored)
    assert (done.returncode, done.stdout) == (1, "")
    assert "not the first of this log" in done.stderr
    assert payloads_and_chains(copy) == before


def test_the_log_itself_is_no_place_for_it(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("backup", data, "--data", data)
    assert (done.returncode, done.stdout) == (2, "")


# Restoring


def test_a_restored_log_is_the_same(roomlog: Roomlog, data: Path, copy: Path, restored: Path) -> None:
    _, _, chain, views = proved(roomlog("backup", copy, "--data", data).stdout)
    done = roomlog("restore", copy, "--data", restored)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"OK head=7 chain={chain} views={views}\n"
    assert payloads_and_chains(restored) == payloads_and_chains(data)


def test_restored_views_are_ready(roomlog: Roomlog, data: Path, copy: Path, restored: Path) -> None:
    views = proved(roomlog("backup", copy, "--data", data).stdout)[3]
    roomlog("restore", copy, "--data", restored)
    present = open_views(views_path(restored), Payloads(Extraction(log_path(data)).identity), read_only=True)
    assert present.digest() == views
    present.close()


def test_backups_go_on_after_a_restore(roomlog: Roomlog, data: Path, backed_up: Path, restored: Path) -> None:
    copy = backed_up.parent
    roomlog("restore", copy, "--data", restored)
    append(restored, ENTRIES[4:5])
    assert proved(roomlog("backup", copy, "--data", restored).stdout)[:2] == (8, 1)


def test_a_directory_with_something_in_it_is_refused(
    roomlog: Roomlog, data: Path, backed_up: Path, restored: Path
) -> None:
    copy = backed_up.parent
    restored.mkdir()
    (restored / "notes").write_text("mine")
    done = roomlog("restore", copy, "--data", restored)
    assert done.returncode == 2
    assert [path.name for path in restored.iterdir()] == ["notes"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_damaged_backup_leaves_nothing(
    roomlog: Roomlog, data: Path, backed_up: Path, restored: Path, is_there: bool
) -> None:
    copy = backed_up.parent
    flip_hello(copy)
    if is_there:
        restored.mkdir()
    done = roomlog("restore", copy, "--data", restored)
    assert (done.returncode, done.stdout) == (1, "")
    assert "entry 5: wrong digest" in done.stderr
    assert restored.exists() == is_there
    assert not is_there or list(restored.iterdir()) == []


def test_no_backup_is_no_use(roomlog: Roomlog, tmp_path: Path, restored: Path) -> None:
    done = roomlog("restore", tmp_path / "nothing", "--data", restored)
    assert done.returncode == 2
    assert not restored.exists()


# The proof can fail


def test_a_source_that_folds_otherwise_is_no_ok(
    monkeypatch: pytest.MonkeyPatch, data: Path, copy: Path
) -> None:
    """One entry fewer on one side, and the comparison has to notice."""

    async def fold_one_fewer(data: Path, views: Path, head: int, progress: Progress) -> str:
        return await fold(data, views, head - 1, progress)

    monkeypatch.setitem(vars(sys.modules[copy_and_prove.__module__]), "fold", fold_one_fewer)
    with pytest.raises(Refused, match="what was restored differs from the source"):
        copy_and_prove(data, copy)
    monkeypatch.undo()
    assert copy_and_prove(data, copy)[1].head == 7
