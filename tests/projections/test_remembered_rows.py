"""Rows that are kept decoded are those that were committed last, for readers and for the update alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from projections.row_memory import ROW_BYTES_MAX, RowMemory
from projections.tables import Table, key
from projections.views import Update, Views
from tests.harness.local_homeserver import fast_directory
from tests.projections.payloads import Payloads

REMEMBERED: Table[str] = Table("test.remembered", str, remembered=4)
FORGOTTEN: Table[str] = Table("test.forgotten", str)

LONG = "x" * (ROW_BYTES_MAX + 1)


def opened(path: Path) -> Views:
    return Views(path, [REMEMBERED, FORGOTTEN], Payloads(), map_size=1 << 24)


def remembering(path: Path) -> Views:
    views = opened(path)
    views.remember()
    return views


def put(views: Views, number: int, text: str) -> None:
    update = views.update()
    update.view.put(REMEMBERED, key(number), text)
    update.commit({})


def found(views: Views, number: int) -> str | None:
    with views.read() as view:
        return view.get(REMEMBERED, key(number))


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    views = remembering(tmp_path / "views")
    yield views
    views.abandon()


def test_the_oldest_make_room() -> None:
    memory = RowMemory(8)
    for number in range(100):
        memory.remember(number, number)
    assert len(memory.rows) <= 8
    assert 99 in memory.rows
    assert 0 not in memory.rows


def test_where_there_is_no_room_nothing_is_remembered() -> None:
    memory = RowMemory(0)
    memory.remember(1, "one")
    assert not memory.rows


def test_a_row_is_decoded_once(views: Views) -> None:
    put(views, 1, "one")
    with views.read() as view:
        assert view.get(REMEMBERED, key(1)) is view.get(REMEMBERED, key(1))


def test_a_long_row_is_not_kept_in_memory(views: Views) -> None:
    put(views, 1, LONG)
    with views.read() as view:
        assert view.get(REMEMBERED, key(1)) == LONG
        assert view.get(REMEMBERED, key(1)) is not view.get(REMEMBERED, key(1))


def test_a_row_that_becomes_long_is_not_the_short_one(views: Views) -> None:
    put(views, 1, "short")
    put(views, 1, LONG)
    assert found(views, 1) == LONG


def test_a_reader_from_before_a_commit_sees_what_was_there(views: Views) -> None:
    put(views, 1, "before")
    with views.read() as view:
        assert view.get(FORGOTTEN, key(1)) is None  # its transaction is begun
        put(views, 1, "after")
        assert view.get(REMEMBERED, key(1)) == "before"
    assert found(views, 1) == "after"


def test_nothing_is_remembered_unless_it_is_asked_for(tmp_path: Path) -> None:
    """Neither what is folded nor, in another process than the one that writes, what is read."""
    views = opened(tmp_path / "views")
    put(views, 1, "one")
    with views.read() as view:
        assert view.get(REMEMBERED, key(1)) is not view.get(REMEMBERED, key(1))
    views.abandon()


class UpdatesAndReaders(RuleBasedStateMachine):
    """A table whose rows are remembered does what a dictionary does, through commits and aborts."""

    @initialize()
    def begin(self) -> None:
        self.directory = fast_directory()
        self.views = remembering(self.directory.__enter__() / "views")
        self.committed: dict[int, str] = {}
        self.update: Update | None = None
        self.current: dict[int, str] = {}

    @precondition(lambda self: self.update is None)
    @rule()
    def begin_an_update(self) -> None:
        self.update = self.views.update()
        self.current = dict(self.committed)

    @precondition(lambda self: self.update is not None)
    @rule(number=st.integers(0, 9), text=st.sampled_from(["a", "b", LONG]))
    def put(self, number: int, text: str) -> None:
        assert self.update is not None
        self.update.view.put(REMEMBERED, key(number), text)
        self.current[number] = text

    @precondition(lambda self: self.update is not None)
    @rule(number=st.integers(0, 9))
    def delete(self, number: int) -> None:
        assert self.update is not None
        was_there = self.update.view.delete(REMEMBERED, key(number))
        assert was_there == (self.current.pop(number, None) is not None)

    @precondition(lambda self: self.update is not None)
    @rule()
    def clear(self) -> None:
        assert self.update is not None
        self.update.view.clear(REMEMBERED)
        self.current.clear()

    @precondition(lambda self: self.update is not None)
    @rule()
    def scan_the_update(self) -> None:
        assert self.update is not None
        rows = {int.from_bytes(at): text for at, text in self.update.view.scan(REMEMBERED)}
        assert rows == self.current

    @precondition(lambda self: self.update is not None)
    @rule(number=st.integers(0, 9))
    def look_within_the_update(self, number: int) -> None:
        assert self.update is not None
        assert self.update.view.get(REMEMBERED, key(number)) == self.current.get(number)

    @precondition(lambda self: self.update is not None)
    @rule(is_kept=st.booleans())
    def end_the_update(self, is_kept: bool) -> None:
        assert self.update is not None
        if is_kept:
            self.update.commit({})
            self.committed = self.current
        else:
            self.update.abort()
        self.update = None

    @rule(number=st.integers(0, 9))
    def look(self, number: int) -> None:
        assert found(self.views, number) == self.committed.get(number)

    @rule()
    def look_at_all(self) -> None:
        with self.views.read() as view:
            assert {int.from_bytes(at): text for at, text in view.scan(REMEMBERED)} == self.committed

    def teardown(self) -> None:
        if self.update is not None:
            self.update.abort()
        self.views.abandon()
        self.directory.__exit__(None, None, None)


TestUpdatesAndReaders = UpdatesAndReaders.TestCase
