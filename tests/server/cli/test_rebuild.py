"""`roomlog rebuild`: views from the log, and the comparison that can fail."""

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from eventlog.engines import open_log
from projections.accounts import PROJECTION
from projections.facts import AliasSet
from projections.follower import open_views
from projections.tables import key
from server.config import log_url, views_path
from tests.server.cli.conftest import Roomlog, append
from tests.server.cli.sample import ALICE, ROOM


def digest_in(text: str, of: str) -> str:
    found = re.search(rf"^{of} ([0-9a-f]{{64}})$", text, re.MULTILINE)
    assert found, f"no digest of {of} in: {text}"
    return found[1]


def falsify(data: Path) -> None:
    """Take a row out of the views that the log has."""

    async def run() -> None:
        async with open_log(log_url(data)) as log:
            views = open_views(views_path(data), log)
            update = views.update()
            update.view.delete(PROJECTION.tables[0], key(ALICE))
            update.commit(update.checkpoints())
            views.close()

    asyncio.run(run())


def test_rebuild_tells_speed_and_digest(roomlog: Roomlog, data: Path) -> None:
    done = roomlog("rebuild", "--data", data)
    assert done.returncode == 0
    assert re.search(r"^folded 7 entries in \d+\.\d\d s, [\d,]+ entries/s$", done.stdout, re.MULTILINE)
    assert digest_in(done.stdout, "views")


def test_two_rebuilds_are_equal(roomlog: Roomlog, data: Path) -> None:
    first = digest_in(roomlog("rebuild", "--data", data).stdout, "views")
    shutil.rmtree(views_path(data))
    assert digest_in(roomlog("rebuild", "--data", data).stdout, "views") == first


def test_other_entries_make_another_digest(roomlog: Roomlog, data: Path) -> None:
    before = digest_in(roomlog("rebuild", "--data", data).stdout, "views")
    append(data, [[AliasSet("#second:localhost", ROOM, ALICE)]])
    assert digest_in(roomlog("rebuild", "--data", data).stdout, "views") != before


def test_verify_finds_equal_views_equal(roomlog: Roomlog, rebuilt: Path) -> None:
    done = roomlog("rebuild", "--verify", "--data", rebuilt)
    assert done.returncode == 0
    assert digest_in(done.stdout, "present") == digest_in(done.stdout, "rebuilt")
    assert done.stdout.endswith("equal\n")


def test_verify_catches_up_first(roomlog: Roomlog, rebuilt: Path) -> None:
    append(rebuilt, [[AliasSet("#second:localhost", ROOM, ALICE)]])
    assert roomlog("rebuild", "--verify", "--data", rebuilt).returncode == 0


def test_verify_finds_false_views(roomlog: Roomlog, rebuilt: Path) -> None:
    falsify(rebuilt)
    done = roomlog("rebuild", "--verify", "--data", rebuilt)
    assert done.returncode == 1
    assert digest_in(done.stdout, "present") != digest_in(done.stdout, "rebuilt")
    assert "roomlog rebuild" in done.stdout


def test_rebuild_puts_false_views_right(roomlog: Roomlog, rebuilt: Path) -> None:
    falsify(rebuilt)
    roomlog("rebuild", "--data", rebuilt)
    assert roomlog("rebuild", "--verify", "--data", rebuilt).returncode == 0


def test_verify_leaves_nothing_behind(roomlog: Roomlog, rebuilt: Path) -> None:
    before = sorted(path.name for path in rebuilt.iterdir())
    roomlog("rebuild", "--verify", "--data", rebuilt)
    assert sorted(path.name for path in rebuilt.iterdir()) == before


@pytest.mark.parametrize("arguments", [["rebuild"], ["rebuild", "--verify"], ["import", "/dev/null"]])
def test_a_log_in_use_is_refused(roomlog: Roomlog, data: Path, arguments: list[str]) -> None:
    async def run() -> str:
        async with open_log(log_url(data)):
            done = await asyncio.to_thread(roomlog, *arguments, "--data", data)
        assert done.returncode == 2
        return done.stderr

    error = asyncio.run(run())
    assert re.match(rf"{arguments[0]} failed: .* process \d+ owns it", error)
    assert "Stop that process" in error
