"""Entries of the log as views see them: decoded once, as long as they are asked for, and never two of one."""

from pathlib import Path

import pytest

from projections.entries import WRITTEN_REMEMBERED_MAX, Entries
from projections.facts import RoomEvent, decode_entry, encode_entry, order_of
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


def order_in(position: int, index: int = 0) -> int:
    return order_of(position, index)


def test_what_is_asked_for_again_is_not_read_again(log: Counted) -> None:
    entries = Entries(log)
    for position in (1, 2, 1):
        assert entries.fact_at(order_in(position)) == decode_entry(log.kept[position - 1])[0]
    assert log.asked == [1, 2]


def test_all_facts_of_an_entry_are_had_by_reading_it_once(log: Counted) -> None:
    entries = Entries(log)
    assert entries.facts_at(2) == tuple(entries.fact_at(order_in(2, index)) for index in range(3))
    assert log.asked == [2]


def test_short_facts_of_a_long_entry_are_kept_each_for_itself(log: Counted) -> None:
    """As those that begin a room: they are asked for whenever anything of the room is."""
    short = [room_event(f"$short{number}") for number in range(200)]
    log.kept += [encode_entry(short), encode_entry(short)]
    entries = Entries(log)
    for position in (3, 4, 3, 4):
        assert entries.fact_at(order_in(position, 7)) == short[7]
    assert log.asked == [3, 4]


def test_a_fact_that_is_kept_does_not_keep_its_entry(log: Counted) -> None:
    log.kept.append(encode_entry([room_event("$long", content={"body": LONG}), room_event("$short")]))
    fact = Entries(log).fact_at(order_in(3, 1))
    assert isinstance(fact, RoomEvent)
    assert len(bytes(memoryview(fact.stored).obj)) < len(LONG)


def test_long_facts_are_not_kept(log: Counted) -> None:
    entries = Entries(log)
    for position in (2, 1, 2):
        entries.fact_at(order_in(position))
    assert log.asked == [2, 1, 2]


def test_where_an_entry_has_no_such_fact_there_is_none(log: Counted) -> None:
    with pytest.raises(LookupError, match="there is no fact 3 in entry 2"):
        Entries(log).fact_at(order_in(2, 3))


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
        entries.fact_at(order_in(position))
        entries.forget(position)
        entries.fact_at(order_in(position))
    assert log.asked == [1, 1, 2, 2]


def test_what_is_remembered_has_a_bound(log: Counted) -> None:
    entries = Entries(log)
    for position in range(1, 2 * WRITTEN_REMEMBERED_MAX):
        entries.remember(position, [room_event("$short")])
    entries.facts_at(1)
    assert log.asked == [1]


def test_who_does_not_remember_reads_again(log: Counted) -> None:
    entries = Entries(log, remembers=False)
    entries.remember(1, [room_event("$short")])
    for position in (1, 2, 1):
        entries.fact_at(order_in(position))
    assert log.asked == [1, 2, 1]


def test_an_update_sees_what_the_log_does_not_have_yet(tmp_path: Path) -> None:
    folding = Folding(tmp_path / "views")
    update = folding.views.update()
    update.view.append(1, [member("$join", "@alice:localhost", "join")])
    assert update.view.fact_at(1 << 16) == member("$join", "@alice:localhost", "join")
    update.abort()
    with folding.view() as view, pytest.raises(LookupError):
        view.fact_at(1 << 16)
