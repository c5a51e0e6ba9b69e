"""The follower: views come to the log's head from wherever they are, each entry folded once."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from eventlog.log import Entry, Position
from eventlog.memory_log import MemoryLog
from projections import directory, follower
from projections.facts import AliasSet, Fact, Order, ServerNamed, encode_entry, order_of
from projections.follower import catch_up, open_views, rebuild
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.tables import Table, key
from projections.view import WritableView
from projections.views import Checkpoint, Views
from tests.projections.folding import ALICE, ROOM, created, room_event
from tests.projections.payloads import Payloads

pytestmark = pytest.mark.anyio


class Witness:
    """A projection that remembers what it was handed, in its table and for the test."""

    def __init__(self, name: str, version: int = 1) -> None:
        self.seen: list[Order] = []
        self.table: Table[Order] = Table(f"{name}.seen", int)
        self.projection = Projection(name, version, (AliasSet,), (self.table,), self.apply)

    def apply(self, view: WritableView, order: Order, _: AliasSet) -> None:
        self.seen.append(order)
        view.put(self.table, b"%020d" % order, order)

    def rows(self, views: Views) -> list[Order]:
        with views.read() as view:
            return [order for _, order in view.scan(self.table)]


class Breaking(MemoryLog):
    """A log that cannot be read past a position, as a damaged one."""

    breaks_after: Position = 1 << 40

    async def _read(self, after: Position, *, until: Position) -> AsyncIterator[Entry]:
        async for entry in super()._read(after, until=until):
            if entry.position > self.breaks_after:
                raise OSError("injected")
            yield entry


class Stores:
    """Views in one directory, opened for these projections or those."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: list[Views] = []

    def open(self, *projections: Projection) -> Views:
        self.close()
        views = open_views(self._path, Payloads("this log"), projections=projections or PROJECTIONS)
        self._opened.append(views)
        return views

    def close(self) -> None:
        while self._opened:
            self._opened.pop().abandon()


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    stores = Stores(tmp_path / "views")
    yield stores
    stores.close()


def alias(number: int) -> AliasSet:
    return AliasSet(f"#{number}:localhost", ROOM, ALICE)


async def append(log: MemoryLog, *entries: Sequence[Fact]) -> Position:
    return await log.append([encode_entry(facts) for facts in entries], after=await log.head())


async def log_of(count: int, kind: type[MemoryLog] = MemoryLog) -> MemoryLog:
    """A log of so many entries with one fact each."""
    log = kind()
    await append(log, *([alias(number)] for number in range(1, count + 1)))
    return log


def orders(first: Position, last: Position) -> list[Order]:
    return [order_of(position) for position in range(first, last + 1)]


async def test_empty_views_fold_the_whole_log(stores: Stores) -> None:
    witness, log = Witness("witness"), await log_of(3)
    views = stores.open(witness.projection)
    assert await catch_up(log, views, projections=[witness.projection]) == 3
    assert witness.seen == orders(1, 3)
    assert views.checkpoints() == {"witness": Checkpoint(version=1, position=3)}


async def test_facts_of_an_entry_are_folded_in_their_order(stores: Stores) -> None:
    witness, log = Witness("witness"), MemoryLog()
    await append(log, [alias(1), ServerNamed("localhost", 1), alias(2)])
    await catch_up(log, stores.open(witness.projection), projections=[witness.projection])
    assert witness.seen == [order_of(1, 0), order_of(1, 2)]


async def test_views_that_fell_behind_fold_only_the_rest(stores: Stores) -> None:
    witness, log = Witness("witness"), await log_of(3)
    await catch_up(log, stores.open(witness.projection), projections=[witness.projection])
    await append(log, [alias(4)], [alias(5)])
    witness.seen.clear()
    views = stores.open(witness.projection)
    await catch_up(log, views, projections=[witness.projection])
    assert witness.seen == orders(4, 5)
    assert witness.rows(views) == orders(1, 5)


async def test_what_was_folded_is_not_remembered_and_what_is_read_then_is(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the log is, a server that has just started has nothing of it in memory."""
    texts: Table[str] = Table("texts", str, remembered=1_000)
    decoded: list[bytes] = []

    def apply(view: WritableView, _: Order, fact: AliasSet) -> None:
        view.put(texts, key(fact.alias), fact.alias)

    def decode(data: bytes) -> str:
        decoded.append(data)
        return "decoded"

    projection = Projection("texts", 1, (AliasSet,), (texts,), apply)
    views = stores.open(projection)
    await catch_up(await log_of(100), views, projections=[projection])
    monkeypatch.setattr(texts, "decode", decode)
    for number in (*range(1, 101), *range(1, 101)):
        with views.read() as view:
            assert view.get(texts, key(alias(number).alias)) == "decoded"
    assert len(decoded) == 100


async def test_current_views_fold_nothing(stores: Stores) -> None:
    witness, log = Witness("witness"), await log_of(3)
    views = stores.open(witness.projection)
    await catch_up(log, views, projections=[witness.projection])
    witness.seen.clear()
    assert await catch_up(log, views, projections=[witness.projection]) == 3
    assert witness.seen == []


async def test_empty_log_needs_no_fold(stores: Stores) -> None:
    witness = Witness("witness")
    views = stores.open(witness.projection)
    assert await catch_up(MemoryLog(), views, projections=[witness.projection]) == 0
    assert views.checkpoints() == {"witness": Checkpoint(version=1, position=0)}


async def test_changed_version_is_folded_anew_and_no_other(stores: Stores) -> None:
    changed, other, log = Witness("changed"), Witness("other"), await log_of(3)
    both = [changed.projection, other.projection]
    await catch_up(log, stores.open(*both), projections=both)
    other.seen.clear()
    later = Witness("changed", version=2)
    both = [later.projection, other.projection]
    views = stores.open(*both)
    with_junk = views.update()
    with_junk.view.put(later.table, b"of the old version", 1)
    with_junk.commit(with_junk.checkpoints())
    await catch_up(log, views, projections=both)
    assert (later.seen, other.seen) == (orders(1, 3), [])
    assert (later.rows(views), other.rows(views)) == (orders(1, 3), orders(1, 3))
    assert views.checkpoints() == {"changed": Checkpoint(2, 3), "other": Checkpoint(1, 3)}


async def test_new_projection_is_folded_and_no_other(stores: Stores) -> None:
    old, new, log = Witness("old"), Witness("new"), await log_of(3)
    await catch_up(log, stores.open(old.projection), projections=[old.projection])
    old.seen.clear()
    both = [old.projection, new.projection]
    await catch_up(log, stores.open(*both), projections=both)
    assert (old.seen, new.seen) == ([], orders(1, 3))


async def test_each_projection_goes_on_from_where_it_is(stores: Stores) -> None:
    first, second, log = Witness("first"), Witness("second"), await log_of(2)
    both = [first.projection, second.projection]
    views = stores.open(*both)
    await catch_up(log, views, projections=both)
    await append(log, [alias(3)], [alias(4)])
    update = views.update()
    update.view.put(second.table, b"%020d" % order_of(3), order_of(3))
    update.commit(update.checkpoints() | {"second": Checkpoint(1, 3)})
    first.seen.clear()
    second.seen.clear()
    await catch_up(log, views, projections=both)
    assert (first.seen, second.seen) == (orders(3, 4), orders(4, 4))


async def test_views_ahead_of_their_log_begin_anew(stores: Stores) -> None:
    """The log was restored from an older copy: what the views have beyond it never happened."""
    witness = Witness("witness")
    views = stores.open(witness.projection)
    await catch_up(await log_of(5), views, projections=[witness.projection])
    assert await catch_up(await log_of(3), views, projections=[witness.projection]) == 3
    assert witness.rows(views) == orders(1, 3)


async def test_progress_is_told_now_and_then_and_at_the_end(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ENTRIES_PER_UPDATE", 10)
    witness, told = Witness("witness"), list[tuple[Position, Position]]()
    await catch_up(
        await log_of(25),
        stores.open(witness.projection),
        lambda position, head: told.append((position, head)),
        projections=[witness.projection],
    )
    assert told == [(10, 25), (20, 25), (25, 25)]


async def test_fold_that_breaks_off_goes_on_from_its_last_commit(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_ENTRIES_PER_UPDATE", 10)
    witness, log = Witness("witness"), await log_of(25, Breaking)
    assert isinstance(log, Breaking)
    log.breaks_after = 17
    views = stores.open(witness.projection)
    with pytest.raises(OSError, match="injected"):
        await catch_up(log, views, projections=[witness.projection])
    assert witness.rows(views) == orders(1, 10)
    witness.seen.clear()
    log.breaks_after = 25
    await catch_up(log, views, projections=[witness.projection])
    assert witness.seen == orders(11, 25)
    assert witness.rows(views) == orders(1, 25)


async def test_rebuild_drops_what_was_there(stores: Stores) -> None:
    log = await log_of(3)
    views = stores.open()
    await catch_up(log, views)
    followed = views.digest()
    update = views.update()
    directory.PROJECTION.apply(update.view, order_of(9), alias(9))
    update.commit(update.checkpoints())
    assert views.digest() != followed
    assert await rebuild(log, views) == 3
    assert views.digest() == followed


@pytest.mark.parametrize("at_once", [1, 2, 7, 100])
async def test_views_do_not_depend_on_how_many_entries_share_a_commit(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    log = await log_of(20)
    views = stores.open()
    await catch_up(log, views)
    monkeypatch.setattr(follower, "_ENTRIES_PER_UPDATE", at_once)
    others = open_views(tmp_path / "others", Payloads("this log"))
    await catch_up(log, others)
    assert others.digest() == views.digest()
    others.abandon()


async def test_large_entries_do_not_fill_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shares a commit is bounded in bytes too: only between two commits can the map grow."""
    monkeypatch.setattr(follower, "BYTES_PER_UPDATE", 1 << 20)
    log, content = MemoryLog(), {"body": "x" * 60_000}
    await append(log, [created()])
    for number in range(30):
        await append(log, [room_event(f"${number}-{index}", content=content) for index in range(10)])
    tables = [table for projection in PROJECTIONS for table in projection.tables]
    views = Views(tmp_path / "views", tables, log, map_size=8 << 20)
    assert await catch_up(log, views) == 31
    views.abandon()
