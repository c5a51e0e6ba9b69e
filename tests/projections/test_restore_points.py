"""After a crash of the machine the views are what they were at their restore point, or they are nothing.

A disk is modelled by pages: of those that were written since the last flush each may have reached it or not,
in any order. What a real disk makes of it is asked by `roomlog torture --only power-cut`.
"""

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import lmdb
import pytest

from bench.torture.lmdb_pages import Kind, kinds_of
from eventlog.errors import Full
from eventlog.lmdb_meta import read_meta
from projections import restore_points
from projections.tables import Table, key
from projections.views import Views
from tests.projections.payloads import Payloads

NUMBERS: Table[int] = Table("test.numbers", int)
TEXTS: Table[str] = Table("test.texts", str)
PAGE_BYTES = 4096
SECRET = "what is to be gone from every file"


def opened(path: Path, *, identity: str = "this log", map_size: int = 1 << 25) -> Views:
    return Views(path, [NUMBERS, TEXTS], Payloads(identity), map_size=map_size)


def put(views: Views, *numbers: int) -> None:
    update = views.update()
    for number in numbers:
        update.view.put(NUMBERS, key(number), number)
        update.view.put(TEXTS, key(number * 7919 % 1009), "x" * (number % 300))
    update.commit(update.checkpoints())


def numbers_in(views: Views) -> list[int]:
    with views.read() as view:
        return [number for _, number in view.scan(NUMBERS)]


def keep(views: Views) -> None:
    point = views.restore_point()
    assert point is not None
    views.keep(point)


def churn(views: Views, seed: int, updates: int = 40) -> None:
    """Put and delete here and there, so that many pages are free and are used again."""
    random = Random(seed)
    for _ in range(updates):
        put(views, *random.sample(range(2_000), 30))
        update = views.update()
        for number in random.sample(range(2_000), 20):
            update.view.delete(NUMBERS, key(number))
        update.commit(update.checkpoints())


@dataclass
class Disk:
    """What was flushed of the views in a directory."""

    path: Path
    flushed: bytes

    @classmethod
    def of(cls, views: Views) -> "Disk":
        return cls(views.path, (views.path / "data.mdb").read_bytes())

    def lose(self, reached_the_disk: Callable[[int], bool]) -> None:
        """The power is cut: of the pages written since, these have reached it."""
        file = self.path / "data.mdb"
        written = file.read_bytes()
        pages = range(0, len(written), PAGE_BYTES)
        file.write_bytes(
            b"".join(
                (written if reached_the_disk(at) else self.flushed)[at : at + PAGE_BYTES].ljust(
                    PAGE_BYTES, b"\0"
                )
                for at in pages
            )
        )
        self.restart_the_machine()

    def restart_the_machine(self) -> None:
        (self.path / "opened-in-boot").write_text("what the kernel said before the power was cut")


def nothing(_: int) -> bool:
    return False


def everything(_: int) -> bool:
    return True


def half_of_it(seed: int) -> Callable[[int], bool]:
    random = Random(seed)
    return lambda _: random.random() < 0.5


CUTS = {
    "nothing": lambda: nothing,
    "everything": lambda: everything,
    **{f"half, seed {seed}": partial(half_of_it, seed) for seed in range(8)},
}
of_each_cut = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)


def written_and_lost(views: Views, reached_the_disk: Callable[[int], bool], *, seed: int) -> Views:
    """The views as they are opened again, after somebody wrote and the power was cut."""
    disk = Disk.of(views)
    churn(views, seed)
    views.abandon()
    disk.lose(reached_the_disk)
    return opened(views.path)


@of_each_cut
def test_views_are_what_they_were_whatever_reached_the_disk_since(
    tmp_path: Path, cut: Callable[[], Callable[[int], bool]]
) -> None:
    views = opened(tmp_path / "views")
    churn(views, 1)
    keep(views)
    digest = views.digest()
    views = written_and_lost(views, cut(), seed=2)
    assert views.digest() == digest
    views.close()


@of_each_cut
def test_views_can_be_written_and_lost_again_after_they_came_back(
    tmp_path: Path, cut: Callable[[], Callable[[int], bool]]
) -> None:
    views = opened(tmp_path / "views")
    churn(views, 1)
    keep(views)
    digest = views.digest()
    for seed in (2, 3):
        views = written_and_lost(views, cut(), seed=seed)
    assert views.digest() == digest
    churn(views, 4)
    assert len(numbers_in(views)) > 0
    views.close()


def test_views_come_back_to_the_last_of_several_points(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    for seed in range(5):
        churn(views, seed)
        keep(views)
    digest = views.digest()
    views = written_and_lost(views, half_of_it(1), seed=5)
    assert views.digest() == digest
    views.close()


def pages_written_over(views: Views, disk: Disk) -> list[int]:
    """Of the pages that the flushed state consists of, without the two that name the others."""
    before = views.path.with_name("before.mdb")
    before.write_bytes(disk.flushed)
    now = (views.path / "data.mdb").read_bytes()
    return [
        number
        for number, kind in enumerate(kinds_of(before))
        if kind not in (Kind.META, Kind.FREE)
        and now[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
        != disk.flushed[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]
    ]


def test_no_page_of_a_restore_point_is_written_over(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    churn(views, 1)
    keep(views)
    disk = Disk.of(views)
    churn(views, 2)
    assert pages_written_over(views, disk) == []
    views.abandon()


def test_without_its_reader_pages_of_a_restore_point_are_written_over(tmp_path: Path) -> None:
    """The control: it is the reader that keeps them."""
    views = opened(tmp_path / "views")
    churn(views, 1)
    point = views.restore_point()
    assert point is not None
    views.keep(point)
    point.reader.abort()
    disk = Disk.of(views)
    churn(views, 2)
    assert pages_written_over(views, disk) != []
    views.abandon()


def test_the_file_does_not_grow_without_end_when_points_follow_one_another(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    churn(views, 0)
    keep(views)
    churn(views, 1)
    keep(views)
    before = views.path.joinpath("data.mdb").stat().st_blocks
    for seed in range(2, 12):
        churn(views, seed)
        keep(views)
    assert views.path.joinpath("data.mdb").stat().st_blocks <= 1.5 * before
    views.abandon()


def test_a_point_is_given_up_before_the_file_becomes_much_longer_for_its_sake(tmp_path: Path) -> None:
    """The rows are the same again and again: without the point the file would hardly grow."""
    views = opened(tmp_path / "views", map_size=1 << 28)
    churn(views, 1)
    keep(views)
    note, file = tmp_path / "views" / "restore-point", tmp_path / "views" / "data.mdb"
    lengths = []
    for seed in range(120):
        churn(views, seed % 2, updates=10)
        lengths.append((note.exists(), read_meta(file).file_bytes))
    held = [length for is_there, length in lengths if is_there]
    let_go = [length for is_there, length in lengths if not is_there]
    assert max(held) <= 24 << 20
    assert len(let_go) > 20
    assert max(let_go) <= 24 << 20
    keep(views)
    assert note.exists()
    views.abandon()


def test_a_point_is_given_up_before_the_map_grows(tmp_path: Path) -> None:
    """To replace the map ends all readers, and nobody would hold the pages any more."""
    views = opened(tmp_path / "views", map_size=1 << 20)
    put(views, 1)
    keep(views)
    disk = Disk.of(views)
    churn(views, 1)
    assert not (tmp_path / "views" / "restore-point").exists()
    views.abandon()
    disk.lose(half_of_it(1))
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def test_what_is_kept_already_is_not_kept_again(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    assert views.restore_point() is None
    put(views, 2)
    assert views.restore_point() is not None
    views.abandon()


def test_a_killed_process_leaves_what_it_committed_and_no_point_that_is_older(tmp_path: Path) -> None:
    """Who comes next writes over the pages of the point, which nobody holds any more."""
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    put(views, 2)
    views.abandon()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [1, 2]
    disk = Disk.of(views)
    views.abandon()
    disk.restart_the_machine()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def test_views_that_were_closed_are_flushed_and_need_no_point(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    put(views, 2)
    views.close()
    assert [file.name for file in (tmp_path / "views").iterdir() if file.name.startswith("restore")] == []
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [1, 2]
    views.close()


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, empty, Path.unlink])
def test_a_point_that_cannot_be_trusted_is_not_gone_back_to(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    disk = Disk.of(views)
    views.abandon()
    damage(tmp_path / "views" / "restore-point")
    disk.restart_the_machine()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def test_a_copy_of_open_views_is_not_gone_back_to(tmp_path: Path) -> None:
    """While it is made, points come and go, and with them the pages."""
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    shutil.copytree(tmp_path / "views", tmp_path / "copy")
    views.abandon()
    Disk(tmp_path / "copy", b"").restart_the_machine()
    views = opened(tmp_path / "copy")
    assert numbers_in(views) == []
    views.close()


def test_views_whose_pages_did_not_reach_a_disk_that_said_so_are_not_gone_back_to(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    disk = Disk.of(views)
    churn(views, 1)
    keep(views)
    views.abandon()
    disk.lose(nothing)
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def test_a_point_of_another_log_is_dropped_with_its_views(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    keep(views)
    disk = Disk.of(views)
    views.abandon()
    disk.restart_the_machine()
    views = opened(tmp_path / "views", identity="another log")
    disk = Disk.of(views)
    views.abandon()
    disk.restart_the_machine()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def files_with(text: str, directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir() if text.encode() in file.read_bytes()]


@pytest.fixture
def views_with_a_point_that_has_a_secret(tmp_path: Path) -> Views:
    views = opened(tmp_path / "views")
    update = views.update()
    update.view.put(TEXTS, b"secret", SECRET)
    update.commit(update.checkpoints())
    keep(views)
    update = views.update()
    update.view.delete(TEXTS, b"secret")
    update.commit(update.checkpoints())
    return views


def test_scrubbing_gives_the_point_up_with_what_was_erased_since(
    views_with_a_point_that_has_a_secret: Views,
) -> None:
    views = views_with_a_point_that_has_a_secret
    assert files_with(SECRET, views.path) != []
    assert views.scrub()
    assert files_with(SECRET, views.path) == []
    views.abandon()
    Disk(views.path, b"").restart_the_machine()
    views = opened(views.path)
    assert files_with(SECRET, views.path) == []
    views.close()


def test_scrubbing_gives_up_a_point_that_is_not_kept_yet(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    point = views.restore_point()
    assert point is not None
    put(views, 2)
    assert views.scrub()
    views.keep(point)
    assert not (tmp_path / "views" / "restore-point").exists()
    keep(views)
    assert (tmp_path / "views" / "restore-point").exists()
    views.abandon()


@pytest.mark.parametrize("end", [Views.close, Views.abandon])
def test_a_point_is_not_kept_once_the_views_are_closed(tmp_path: Path, end: Callable[[Views], None]) -> None:
    """Who opens them next writes over its pages."""
    views = opened(tmp_path / "views")
    put(views, 1)
    point = views.restore_point()
    assert point is not None
    end(views)
    views.keep(point)
    assert not (tmp_path / "views" / "restore-point").exists()


def test_a_full_disk_leaves_the_point_before_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_path: Path, _file: Path, _raw_meta: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    views = opened(tmp_path / "views")
    churn(views, 1)
    keep(views)
    digest = views.digest()
    churn(views, 2)
    with monkeypatch.context() as patched:
        patched.setattr(restore_points, "write_restore_point", no_space)
        point = views.restore_point()
        assert point is not None
        with pytest.raises(Full):
            views.keep(point)
    with pytest.raises(lmdb.Error):
        point.reader.id()  # it holds nothing any more
    disk = Disk.of(views)
    churn(views, 3, updates=5)
    views.abandon()
    disk.lose(half_of_it(1))
    views = opened(tmp_path / "views")
    assert views.digest() == digest
    views.close()
