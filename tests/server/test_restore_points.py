"""After a crash of the machine a server folds what came since its last restore point, not the whole log."""

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from eventlog.engines import open_log
from projections import restore_points
from projections.facts import AliasSet
from projections.follower import open_views
from server.app import Running
from server.config import log_url, views_path
from server.errors import MatrixError
from server.restore_points import keeping_restore_points
from server.writer import Decided, Turn
from tests.harness.client import texts
from tests.harness.local_homeserver import local_homeserver
from tests.harness.server_process import serving

pytestmark = pytest.mark.anyio

SECONDS_TO_WAIT = 20
SELDOM = (1_000.0, 1_000.0)


def note_in(data: Path) -> Path:
    return views_path(data) / "restore-point"


def restart_the_machine(data: Path) -> None:
    (views_path(data) / "opened-in-boot").write_text("what the kernel said before the power was cut")


async def head_and_restored_positions(data: Path) -> tuple[int, set[int]]:
    """Of the log, and how far its views have come before anything is folded anew."""
    async with open_log(log_url(data)) as log:
        views = open_views(views_path(data), log)
        checkpoints = views.checkpoints().values()
        views.abandon()
        return await log.head(), {checkpoint.position for checkpoint in checkpoints}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_TO_WAIT):
        while not condition():  # noqa: ASYNC110 - a thread or a process does it, and tells nobody here
            await asyncio.sleep(0.001)


async def test_a_server_goes_on_from_its_restore_point_and_misses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        alice = server.client().register("alice")
        room = alice.create_room()
        alice.say(room, "before")
        server.stop()
        server.start()
        await until(note_in(data).exists)
        alice = server.client().log_in("alice")
        alice.say(room, "after")
        server.kill()
        restart_the_machine(data)
        head, [position] = await head_and_restored_positions(data)
        assert head - 10 < position < head
        restart_the_machine(data)
        server.start()
        alice = server.client().log_in("alice")
        assert texts(alice.messages(room)["chunk"]) == ["after", "before"]


def set_alias(_: Turn, alias: str) -> Decided[None]:
    return Decided(None, [AliasSet(alias, "!room:localhost", "@alice:localhost")])


def point_of(parts: Running) -> bytes | None:
    note = parts.homeserver.views.path / "restore-point"
    return note.read_bytes() if parts.homeserver.views.have_restore_point else None


async def test_the_first_is_kept_at_once(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path) as parts:
        await parts.writer.decide(set_alias, "#a")
        async with keeping_restore_points(parts.homeserver.views, parts.writer, seconds_between=SELDOM):
            await until(lambda: point_of(parts))


async def test_another_is_kept_after_a_time_if_something_has_changed(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path) as parts:
        views, writer = parts.homeserver.views, parts.writer
        async with keeping_restore_points(views, writer, seconds_between=(0.001, 0.01)):
            await until(lambda: point_of(parts))
            first = point_of(parts)
            await writer.decide(set_alias, "#a")
            await until(lambda: point_of(parts) not in (first, None))


async def test_another_is_kept_sooner_if_much_has_changed(tmp_path: Path) -> None:
    """Before the one that is kept has to be given up."""
    async with local_homeserver(tmp_path) as parts:
        views, writer = parts.homeserver.views, parts.writer
        async with keeping_restore_points(views, writer, seconds_between=(0.01, 1_000.0)):
            await until(lambda: point_of(parts))
            first = point_of(parts)
            for number in range(50):
                await writer.decide(set_alias, f"#{number}")
            assert point_of(parts) == first
            for number in range(50, 350):
                await writer.decide(set_alias, f"#{number}")
            await until(lambda: point_of(parts) not in (first, None))


async def test_a_disk_that_fails_under_the_views_stops_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(restore_points, "flush", fail)
    async with local_homeserver(tmp_path) as parts:
        async with keeping_restore_points(parts.homeserver.views, parts.writer, seconds_between=SELDOM):
            async with asyncio.timeout(SECONDS_TO_WAIT):
                await parts.writer.failed.wait()
        with pytest.raises(MatrixError):
            await parts.writer.decide(set_alias, "#a")
        assert str(views_path(tmp_path)) in str(parts.writer.failure)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EMFILE])
async def test_what_may_be_better_the_next_time_is_told_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    def fail(path: Path, file: Path, raw_meta: bytes) -> None:
        raise OSError(error, "not now")

    caplog.set_level(logging.WARNING)
    async with local_homeserver(tmp_path) as parts:
        views, writer = parts.homeserver.views, parts.writer
        with monkeypatch.context() as patched:
            patched.setattr(restore_points, "write_restore_point", fail)
            async with keeping_restore_points(views, writer, seconds_between=SELDOM):
                await until(lambda: caplog.messages)
        assert "no restore point was kept" in caplog.messages[0]
        await writer.decide(set_alias, "#a")
        async with keeping_restore_points(views, writer, seconds_between=SELDOM):
            await until(lambda: point_of(parts))


async def test_a_bug_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path, file: Path, raw_meta: bytes) -> None:
        raise ZeroDivisionError("injected")

    monkeypatch.setattr(restore_points, "write_restore_point", fail)
    async with (
        local_homeserver(tmp_path) as parts,
        keeping_restore_points(parts.homeserver.views, parts.writer, seconds_between=SELDOM),
    ):
        await until(lambda: caplog.messages)
    assert caplog.messages == ["no restore point will be kept any more"]
