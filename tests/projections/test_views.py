"""The store under the views: tables and scans, whose views they are, and when they can be trusted."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventlog.errors import Full
from projections import views as views_module
from projections.tables import Table, key
from projections.view import WritableView
from projections.views import Checkpoint, Views
from tests.harness.local_homeserver import fast_directory
from tests.projections.payloads import Payloads

NUMBERS: Table[int] = Table("test.numbers", int)
TEXTS: Table[str] = Table("test.texts", str)
NOTE = "opened-in-boot"

# Few different bytes, the least and the greatest among them: so that keys are prefixes of one another.
keys = st.binary(min_size=1, max_size=4).map(lambda drawn: bytes(b"\x00\x01\xfe\xff"[b % 4] for b in drawn))
bounds = st.none() | keys
drawn_rows = st.dictionaries(keys, st.integers(0, 9), max_size=40)


def opened(
    path: Path, *, identity: str = "this log", read_only: bool = False, map_size: int = 1 << 24
) -> Views:
    return Views(path, [NUMBERS, TEXTS], Payloads(identity), read_only=read_only, map_size=map_size)


@contextmanager
def writing(views: Views) -> Iterator[WritableView]:
    update = views.update()
    yield update.view
    update.commit(update.checkpoints())


def put(views: Views, *numbers: int) -> None:
    with writing(views) as view:
        for number in numbers:
            view.put(NUMBERS, key(number), number)


def numbers_in(views: Views) -> list[int]:
    with views.read() as view:
        return [number for _, number in view.scan(NUMBERS)]


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    views = opened(tmp_path / "views")
    yield views
    views.abandon()


def test_row_is_found_under_its_key_and_in_its_table(views: Views) -> None:
    put(views, 7)
    with views.read() as view:
        assert view.get(NUMBERS, key(7)) == 7
        assert view.get(NUMBERS, key(8)) is None
        assert view.get(TEXTS, key(7)) is None


def test_update_sees_what_it_wrote(views: Views) -> None:
    put(views, 1)
    with writing(views) as view:
        view.put(NUMBERS, key(2), 2)
        assert view.delete(NUMBERS, key(1))
        assert [number for _, number in view.scan(NUMBERS)] == [2]


def test_readers_do_not_see_an_update_before_its_commit(views: Views) -> None:
    update = views.update()
    update.view.put(NUMBERS, key(1), 1)
    assert numbers_in(views) == []
    update.commit({})
    assert numbers_in(views) == [1]


def test_aborted_update_leaves_nothing(views: Views) -> None:
    put(views, 1)
    update = views.update()
    update.view.put(NUMBERS, key(2), 2)
    update.view.clear(TEXTS)
    update.abort()
    assert numbers_in(views) == [1]


def test_deleting_tells_whether_there_was_a_row(views: Views) -> None:
    put(views, 1)
    with writing(views) as view:
        assert view.delete(NUMBERS, key(1))
        assert not view.delete(NUMBERS, key(1))


def test_clearing_empties_one_table(views: Views) -> None:
    with writing(views) as view:
        view.put(NUMBERS, key(1), 1)
        view.put(TEXTS, key(1), "one")
        view.clear(NUMBERS)
        assert view.get(TEXTS, key(1)) == "one"
    assert numbers_in(views) == []


def test_rows_are_counted(views: Views) -> None:
    put(views, 1, 2)
    with writing(views) as view:
        view.put(NUMBERS, key(3), 3)
        view.delete(NUMBERS, key(1))
        view.put(NUMBERS, key(4), 4)
        assert view.count(NUMBERS) == 3
    with views.read() as view:
        assert (view.count(NUMBERS), view.count(TEXTS)) == (3, 0)


@pytest.fixture(scope="module")
def shared() -> Iterator[Views]:
    """One store for all examples of a property; each looks at an update that is never committed."""
    with fast_directory() as directory:
        views = opened(directory / "views")
        yield views
        views.abandon()


@contextmanager
def filled(views: Views, rows: dict[bytes, int]) -> Iterator[WritableView]:
    update = views.update()
    for at, number in rows.items():
        update.view.put(NUMBERS, at, number)
    yield update.view
    update.abort()


@given(rows=drawn_rows, prefix=st.just(b"") | keys, after=bounds, before=bounds)
def test_scan_yields_what_a_sorted_dictionary_would(
    shared: Views, rows: dict[bytes, int], prefix: bytes, after: bytes | None, before: bytes | None
) -> None:
    expected = [
        (at, rows[at])
        for at in sorted(rows)
        if at.startswith(prefix) and (after is None or at > after) and (before is None or at < before)
    ]
    with filled(shared, rows) as view:
        assert list(view.scan(NUMBERS, prefix, after=after, before=before)) == expected
        backwards = view.scan(NUMBERS, prefix, after=after, before=before, reverse=True)
        assert list(backwards) == expected[::-1]


@given(rows=drawn_rows, prefix=keys, before=bounds)
def test_last_is_the_greatest_short_of_the_bound(
    shared: Views, rows: dict[bytes, int], prefix: bytes, before: bytes | None
) -> None:
    candidates = [at for at in rows if at.startswith(prefix) and (before is None or at < before)]
    expected = (max(candidates), rows[max(candidates)]) if candidates else None
    with filled(shared, rows) as view:
        assert view.last(NUMBERS, prefix, before=before) == expected


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_numbers_in_keys_sort_by_value(numbers: list[int]) -> None:
    assert sorted(map(key, numbers)) == [key(number) for number in sorted(numbers)]


@given(st.lists(st.text(max_size=300), min_size=1, max_size=3))
def test_keys_are_short_and_begin_with_the_keys_of_their_first_parts(texts: list[str]) -> None:
    assert key(*texts).startswith(key(*texts[:-1]))
    assert len(key(*texts)) == 16 * len(texts)


@given(st.lists(st.text(max_size=3), max_size=3), st.lists(st.text(max_size=3), max_size=3))
def test_different_tuples_have_different_keys(one: list[str], other: list[str]) -> None:
    """`("ab", "c")` is not `("a", "bc")`: a transaction of one device is none of another."""
    assert (key(tuple(one)) == key(tuple(other))) == (one == other)


def test_map_grows_before_it_is_full(tmp_path: Path) -> None:
    rows, text = 200, "x" * 50_000
    views = opened(tmp_path / "views", map_size=1 << 20)
    for number in range(rows):
        with writing(views) as view:
            view.put(TEXTS, key(number), text)
    with views.read() as view:
        assert [found for _, found in view.scan(TEXTS)] == [text] * rows
    views.abandon()


def test_large_views_open_with_a_small_map(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    with writing(views) as view:
        view.put(TEXTS, key(1), "x" * 5_000_000)
    views.close()
    views = opened(tmp_path / "views", map_size=1 << 20)
    put(views, 1)
    assert numbers_in(views) == [1]
    views.close()


def test_closed_file_is_as_long_as_what_is_in_it(tmp_path: Path) -> None:
    views = opened(tmp_path / "views", map_size=1 << 24)
    put(views, *range(1_000))
    assert (tmp_path / "views" / "data.mdb").stat().st_size == 1 << 24  # as the map, most of it a hole
    views.close()
    assert (tmp_path / "views" / "data.mdb").stat().st_size < 1 << 20
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [*range(1_000)]
    views.close()


def test_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once LMDB writes to a page of its map that has no block on the disk, the process is gone."""

    def no_space(_file: int, _begin: int, _length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    views = opened(tmp_path / "views")
    put(views, 1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", no_space)
        update = views.update()
        update.view.put(TEXTS, key(1), "x" * 14_000_000)
        with pytest.raises(Full):
            update.view.flush()
        update.abort()
    put(views, 2)
    assert numbers_in(views) == [1, 2]
    views.close()


def test_views_of_the_same_log_are_kept(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    views.close()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [1]
    views.close()


def test_views_of_another_log_are_dropped(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    update = views.update()
    update.view.put(NUMBERS, key(1), 1)
    update.commit({"numbers": Checkpoint(version=1, position=7)})
    views.close()
    views = opened(tmp_path / "views", identity="another log")
    assert (numbers_in(views), views.checkpoints()) == ([], {})
    views.close()
    views = opened(tmp_path / "views", identity="this log")  # nor do they come back
    assert numbers_in(views) == []
    views.close()


def test_views_of_an_earlier_form_are_dropped_with_all_their_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(views_module, "_FORMAT", b"of an earlier version")
        views = opened(tmp_path / "views")
        put(views, 1)
        views.close()
    Views(tmp_path / "views", [TEXTS], Payloads("this log")).close()
    with pytest.raises(FileNotFoundError, match="another version"):
        opened(tmp_path / "views", read_only=True)


def test_readers_need_views_that_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there are no views"):
        opened(tmp_path / "views", read_only=True)


def test_readers_do_not_take_the_views_of_another_log(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    views.close()
    with pytest.raises(FileNotFoundError, match="another log"):
        opened(tmp_path / "views", identity="another log", read_only=True)
    views = opened(tmp_path / "views", read_only=True)
    assert numbers_in(views) == [1]
    views.close()


def test_readers_do_not_take_what_a_crash_of_the_machine_left(tmp_path: Path) -> None:
    opened(tmp_path / "views").abandon()
    (tmp_path / "views" / NOTE).write_text("what the kernel said before the power was cut")
    with pytest.raises(FileNotFoundError, match="went down"):
        opened(tmp_path / "views", read_only=True)


def test_readers_do_not_take_views_that_lack_their_tables(tmp_path: Path) -> None:
    Views(tmp_path / "views", [NUMBERS], Payloads("this log")).close()
    with pytest.raises(FileNotFoundError, match="another version"):
        opened(tmp_path / "views", read_only=True)


def test_reader_leaves_no_word_of_trust(tmp_path: Path) -> None:
    """Somebody at the command line looks on and goes: that says nothing about what the server flushed."""
    path = tmp_path / "views"
    opened(path).abandon()
    opened(path, read_only=True).close()
    assert (path / NOTE).exists()


def test_clean_close_takes_the_note_away(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    assert (tmp_path / "views" / NOTE).exists()
    views.close()
    assert not (tmp_path / "views" / NOTE).exists()


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    """What anybody said is in them, as in the log, which was closed to others from the start."""
    opened(tmp_path / "views").close()
    for name in ("data.mdb", "lock.mdb"):
        assert (tmp_path / "views" / name).stat().st_mode & 0o077 == 0


def test_killed_process_loses_nothing(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    views.abandon()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [1]
    views.close()


def test_views_that_were_open_in_another_boot_are_discarded(tmp_path: Path) -> None:
    views = opened(tmp_path / "views")
    put(views, 1)
    views.abandon()
    (tmp_path / "views" / NOTE).write_text("what the kernel said before the power was cut")
    views = opened(tmp_path / "views")
    assert (numbers_in(views), views.checkpoints()) == ([], {})
    put(views, 2)
    views.abandon()
    views = opened(tmp_path / "views")  # the new ones are this boot's
    assert numbers_in(views) == [2]
    views.close()


def test_a_copy_of_open_views_is_not_trusted(tmp_path: Path) -> None:
    """Its pages are of different times, if somebody wrote while it was made."""
    views = opened(tmp_path / "views")
    put(views, 1)
    shutil.copytree(tmp_path / "views", tmp_path / "copy")
    views.close()
    shutil.copytree(tmp_path / "views", tmp_path / "copy of closed views")
    views = opened(tmp_path / "copy")
    assert numbers_in(views) == []
    views.close()
    views = opened(tmp_path / "copy of closed views")
    assert numbers_in(views) == [1]
    views.close()


def test_views_closed_in_another_boot_are_kept(tmp_path: Path) -> None:
    """After a clean close there is no note, whichever boot it was."""
    views = opened(tmp_path / "views")
    put(views, 1)
    views.close()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == [1]
    views.close()


def test_without_a_boot_id_a_note_is_never_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "_BOOT_ID", tmp_path / "this kernel does not tell")
    views = opened(tmp_path / "views")
    put(views, 1)
    views.abandon()
    views = opened(tmp_path / "views")
    assert numbers_in(views) == []
    views.close()


def digest_of(path: Path, rows: list[tuple[Table[Any], bytes, int | str]]) -> str:
    views = opened(path)
    with writing(views) as view:
        for table, at, value in rows:
            view.put(table, at, value)
    digest = views.digest()
    views.abandon()
    return digest


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(NUMBERS, b"a", 1)],
        [(NUMBERS, b"a", 2), (NUMBERS, b"b", 2)],
        [(NUMBERS, b"a", 1), (NUMBERS, b"c", 2)],
        [(NUMBERS, b"a", 1), (NUMBERS, b"b", 2), (NUMBERS, b"c", 3)],
        [(NUMBERS, b"a", 1), (TEXTS, b"b", "2")],
        [(TEXTS, b"a", "1"), (TEXTS, b"b", "2")],
    ],
    ids=["none", "one less", "other value", "other key", "one more", "other table", "all in another table"],
)
def test_digest_differs_when_a_row_does(
    tmp_path: Path, rows: list[tuple[Table[Any], bytes, int | str]]
) -> None:
    before = digest_of(tmp_path / "before", [(NUMBERS, b"a", 1), (NUMBERS, b"b", 2)])
    assert digest_of(tmp_path / "after", rows) != before


def test_digest_is_of_the_rows_and_not_of_their_history(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "one"), opened(tmp_path / "other", identity="another log")
    put(one, *range(100))
    for number in reversed(range(200)):
        put(other, number)
    with writing(other) as view:
        for number in range(100, 200):
            view.delete(NUMBERS, key(number))
    other.update().commit({"numbers": Checkpoint(version=1, position=7)})
    assert one.digest() == other.digest()
    one.abandon()
    other.abandon()


def test_an_ended_reader_holds_no_slot(views: Views) -> None:
    """LMDB has 126; a handler that kept its view across a wait once used them up, and readers got a 500."""
    kept = []
    for _ in range(200):
        with views.read() as view:
            kept.append(view)
    assert len(kept) == 200
