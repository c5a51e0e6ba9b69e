"""Entries of the log as views see them: decoded once, as long as they are asked for, and never two of one."""

from pathlib import Path

import pytest

from projections.entries import REMEMBERED_MAX, Entries
from projections.facts import encode_entry
from tests.projections.folding import Folding, member, room_event
from tests.projections.payloads import Payloads

LONG = "x" * 5_000


class Counted(Payloads):
    """Notes which payloads were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def payload_at(self, position: int) -> bytes:
        self.asked.append(position)
        return super().payload_at(position)


@pytest.fixture
def log() -> Counted:
    log = Counted()
    log.kept.append(encode_entry([room_event("$short")]))
    log.kept.append(
        encode_entry([room_event(f"$long{number}", content={"body": LONG}) for number in range(3)])
    )
    return log


def test_what_is_asked_for_again_is_not_read_again(log: Counted) -> None:
    entries = Entries(log)
    assert entries.facts_at(1) == entries.facts_at(1) == (room_event("$short"),)
    assert log.asked == [1]


def test_all_facts_of_a_long_entry_are_had_by_reading_it_once(log: Counted) -> None:
    entries = Entries(log)
    for _ in range(3):
        assert len(entries.facts_at(2)) == 3
    assert log.asked == [2]


def test_of_long_entries_only_one_is_kept(log: Counted) -> None:
    log.kept.append(log.kept[1])
    entries = Entries(log)
    for position in (2, 3, 2):
        entries.facts_at(position)
    assert log.asked == [2, 3, 2]


def test_what_was_just_written_need_not_be_read(log: Counted) -> None:
    entries = Entries(log)
    entries.remember(1, [room_event("$short")])
    assert entries.facts_at(1) == [room_event("$short")]
    assert log.asked == []


def test_what_is_long_is_read_though_it_was_just_written(log: Counted) -> None:
    entries = Entries(log)
    entries.remember(2, [room_event("$long", content={"body": LONG})])
    entries.facts_at(2)
    assert log.asked == [2]


def test_what_has_changed_is_read_again(log: Counted) -> None:
    entries = Entries(log)
    for position in (1, 2):
        entries.facts_at(position)
        entries.forget(position)
        entries.facts_at(position)
    assert log.asked == [1, 1, 2, 2]


def test_what_is_remembered_has_a_bound(log: Counted) -> None:
    entries = Entries(log)
    for position in range(1, 2 * REMEMBERED_MAX):
        entries.remember(position, [room_event("$short")])
    entries.facts_at(1)
    assert log.asked == [1]


def test_an_update_sees_what_the_log_does_not_have_yet(tmp_path: Path) -> None:
    folding = Folding(tmp_path / "views")
    update = folding.views.update()
    update.view.append(1, [member("$join", "@alice:localhost", "join")])
    assert update.view.fact_at(1 << 16) == member("$join", "@alice:localhost", "join")
    update.abort()
    with folding.view() as view, pytest.raises(LookupError):
        view.fact_at(1 << 16)
