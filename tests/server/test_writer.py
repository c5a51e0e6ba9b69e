"""The writer: decisions in their order, one flush for a batch, and nobody told what is not on disk."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from anyio import wait_all_tasks_blocked

from eventlog.errors import Full, Unknown
from eventlog.log import Entry, Erased, Log, Position
from projections import directory
from projections.facts import AliasSet, Fact, RoomEvent, decode_entry
from projections.follower import checkpoints_at
from server import writer as writer_module
from server.app import Running
from server.errors import ErrorCode, MatrixError
from server.writer import BATCH_MAX, WAITING_MAX, Decided, Turn
from tests.harness.local_homeserver import local_homeserver

pytestmark = pytest.mark.anyio

Between = TypeVar("Between", bound="LogBetween")


class LogBetween:
    """A log that hands every call to a real one; what tests put between stands in subclasses."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.appended: list[int] = []
        """How many payloads each append had."""

    @property
    def identity(self) -> str:
        return self.log.identity

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        self.appended.append(len(payloads))
        return await self.log.append(payloads, after=after)

    async def erase(self, replacements: Mapping[Position, bytes], *, ordered_by: Position) -> None:
        await self.log.erase(replacements, ordered_by=ordered_by)

    async def scrub(self) -> bool:
        return await self.log.scrub()

    def read(self, *, after: Position = 0) -> AsyncIterator[Entry]:
        return self.log.read(after=after)

    def payload_at(self, position: Position) -> bytes:
        return self.log.payload_at(position)

    async def head(self) -> Position:
        return await self.log.head()

    async def wait(self, after: Position) -> Position:
        return await self.log.wait(after)

    async def close(self) -> None:
        await self.log.close()


class GatedLog(LogBetween):
    """Appends at once, and returns from it only when the gate is opened."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.gate = asyncio.Event()

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        head = await super().append(payloads, after=after)
        await self.gate.wait()
        return head


class FailingLog(LogBetween):
    """Raises `error` instead of what would be the next append; has the payloads all the same if told so."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.error: Exception | None = None
        self.keeps = False

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        error, self.error = self.error, None
        if error is None or self.keeps:
            await super().append(payloads, after=after)
        if error is not None:
            raise error
        return after + len(payloads)


class SlowlyFailingLog(GatedLog):
    """Fails its first append once the gate opens, without having taken it; would take others."""

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        if not self.gate.is_set():
            await self.gate.wait()
            raise Unknown("injected")
        return await super().append(payloads, after=after)


class ViewsClosingLog(LogBetween):
    """Takes the views away behind the writer's back once it has appended."""

    close_views: Callable[[], None]

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        head = await super().append(payloads, after=after)
        self.close_views()
        return head


def set_alias(turn: Turn, alias: str) -> Decided[str]:
    """A small decision that others can see the effects of: the first to come has the name."""
    if directory.alias(turn.view, alias) is not None:
        raise MatrixError(ErrorCode.ALIAS_TAKEN, f"{alias} is taken")
    return Decided(f"made {alias}", [AliasSet(alias, "!room:localhost", "@alice:localhost")])


def look_up(turn: Turn, alias: str) -> Decided[bool]:
    return Decided(directory.alias(turn.view, alias) is not None)


def has_a_bug(_: Turn, message: str) -> Decided[None]:
    raise ZeroDivisionError(message)


def breaks_a_fold(_: Turn, alias: str) -> Decided[None]:
    """Its first fact is folded before its second one, an event that is none, cannot be."""
    broken = RoomEvent("$broken", msgspec.Raw(b"{"))
    return Decided(None, [AliasSet(alias, "!room:localhost", "@alice:localhost"), broken])


async def decide_at_once(parts: Running, *asked: tuple[Any, Any]) -> list[Any]:
    """Ask in this order, and all before the first batch is taken."""
    decisions = (parts.writer.decide(decision, arguments) for decision, arguments in asked)
    return await asyncio.gather(*decisions, return_exceptions=True)


async def entries_of(parts: Running) -> list[tuple[Fact, ...]]:
    return [decode_entry(entry.payload) async for entry in parts.homeserver.log.read()]


def aliases_in(entries: list[tuple[Fact, ...]]) -> list[str]:
    return [fact.alias for facts in entries for fact in facts if isinstance(fact, AliasSet)]


def is_alias(parts: Running, alias: str) -> bool:
    with parts.homeserver.views.read() as view:
        return directory.alias(view, alias) is not None


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with local_homeserver(tmp_path, through=LogBetween) as parts:
        yield parts


async def test_decision_sees_the_effects_of_those_before_it_in_its_batch(running: Running) -> None:
    answers = await decide_at_once(
        running, (look_up, "#a"), (set_alias, "#a"), (look_up, "#a"), (set_alias, "#a")
    )
    assert answers[:3] == [False, "made #a", True]
    assert isinstance(answers[3], MatrixError)
    assert appended(running) == [1]


async def test_refused_decision_leaves_nothing(running: Running) -> None:
    await running.writer.decide(set_alias, "#a")
    before = running.homeserver.views.digest(), running.writer.head, await entries_of(running)
    with pytest.raises(MatrixError) as refusal:
        await running.writer.decide(set_alias, "#a")
    assert refusal.value.kind is ErrorCode.ALIAS_TAKEN
    assert (running.homeserver.views.digest(), running.writer.head, await entries_of(running)) == before


async def test_decision_without_facts_appends_nothing(running: Running) -> None:
    assert await running.writer.decide(look_up, "#a") is False
    assert (appended(running), running.writer.head) == ([], 0)


async def test_all_that_gathered_shares_one_append(running: Running) -> None:
    names = [f"#{number}" for number in range(50)]
    answers = await decide_at_once(running, *((set_alias, name) for name in names))
    assert answers == [f"made {name}" for name in names]
    assert appended(running) == [50]
    assert aliases_in(await entries_of(running)) == names


async def test_batch_has_a_bound(running: Running) -> None:
    count = BATCH_MAX + 1
    answers = await decide_at_once(running, *((set_alias, f"#{number}") for number in range(count)))
    assert set(map(type, answers)) == {str}
    assert appended(running) == [BATCH_MAX, 1]


async def test_who_comes_during_an_append_shares_the_next(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=GatedLog) as parts:
        log = between(parts, GatedLog)
        first = asyncio.create_task(parts.writer.decide(set_alias, "#first"))
        await wait_all_tasks_blocked()
        later = [asyncio.create_task(parts.writer.decide(set_alias, f"#{number}")) for number in range(5)]
        await wait_all_tasks_blocked()
        log.gate.set()
        await asyncio.gather(first, *later)
        assert log.appended == [1, 5]


async def test_nobody_is_answered_before_the_append_returns(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=GatedLog) as parts:
        log = between(parts, GatedLog)
        heard: list[Position] = []
        parts.writer.listen(lambda position, _: heard.append(position))
        asked = [(set_alias, "#a"), (set_alias, "#a"), (look_up, "#a"), (has_a_bug, "bug")]
        waiting = [asyncio.create_task(decide_at_once(parts, one)) for one in asked]
        await wait_all_tasks_blocked()
        assert await log.head() == 1  # it is on disk already, and still nobody knows
        assert not any(task.done() for task in waiting)
        assert (heard, parts.writer.head, is_alias(parts, "#a")) == ([], 0, False)
        log.gate.set()
        answers = [(await task)[0] for task in waiting]
        assert answers[0::2] == ["made #a", True]
        assert (heard, parts.writer.head, is_alias(parts, "#a")) == ([1], 1, True)


async def test_listeners_hear_each_entry_in_order_when_it_can_be_read(running: Running) -> None:
    heard: list[tuple[Position, str, bool]] = []

    def listener(position: Position, facts: Sequence[Fact]) -> None:
        [alias] = aliases_in([tuple(facts)])
        heard.append((position, alias, is_alias(running, alias)))

    running.writer.listen(listener)
    await decide_at_once(running, *((set_alias, f"#{number}") for number in range(5)))
    assert heard == [(number + 1, f"#{number}", True) for number in range(5)]


async def test_log_that_may_have_failed_is_written_no_more(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        log, writer, views = between(parts, FailingLog), parts.writer, parts.homeserver.views
        await writer.decide(set_alias, "#before")
        before = views.digest(), views.checkpoints()
        log.error = Unknown("injected")
        answers = await decide_at_once(parts, (set_alias, "#a"), (set_alias, "#b"), (look_up, "#before"))
        assert [unavailable(answer) for answer in answers] == [True] * 3
        assert (views.digest(), views.checkpoints(), writer.head) == (*before, 1)
        assert isinstance(writer.failure, Unknown)
        assert writer.failed.is_set()
        later = await decide_at_once(parts, (set_alias, "#later"), (look_up, "#before"))
        assert [unavailable(answer) for answer in later] == [True] * 2
        assert log.appended == [1]


async def test_who_waits_while_the_log_fails_is_not_written_either(tmp_path: Path) -> None:
    """The next batch has gathered by then; an engine that would take it must not be asked."""
    async with local_homeserver(tmp_path, through=SlowlyFailingLog) as parts:
        log = between(parts, SlowlyFailingLog)
        first = asyncio.create_task(decide_at_once(parts, (set_alias, "#a")))
        await wait_all_tasks_blocked()
        second = asyncio.create_task(decide_at_once(parts, (set_alias, "#b"), (look_up, "#b")))
        await wait_all_tasks_blocked()
        log.gate.set()
        answers = [*await first, *await second]
        assert [unavailable(answer) for answer in answers] == [True] * 3
        assert await log.head() == 0


async def test_restart_finds_out_what_became_of_the_batch(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        log = between(parts, FailingLog)
        log.error, log.keeps = Unknown("injected"), True
        [answer] = await decide_at_once(parts, (set_alias, "#a"))
        assert unavailable(answer)
        assert not is_alias(parts, "#a")
    async with local_homeserver(tmp_path) as parts:
        assert (parts.writer.head, is_alias(parts, "#a")) == (1, True)


async def test_views_that_cannot_commit_stop_the_writer(tmp_path: Path) -> None:
    """The log has the batch by then: it is acknowledged, and only the restart can bring the two together."""
    async with local_homeserver(tmp_path, through=ViewsClosingLog) as parts:
        log = between(parts, ViewsClosingLog)
        log.close_views = parts.homeserver.views.abandon
        [answer] = await decide_at_once(parts, (set_alias, "#a"))
        [next_answer] = await decide_at_once(parts, (set_alias, "#b"))
        assert (answer, unavailable(next_answer)) == ("made #a", True)
        assert parts.writer.failure is not None
    async with local_homeserver(tmp_path) as parts:
        assert is_alias(parts, "#a")


async def test_views_follow_the_log_whatever_becomes_of_who_is_told(tmp_path: Path) -> None:
    def settle(_: Sequence[object]) -> None:
        raise RuntimeError("injected")

    async with local_homeserver(tmp_path) as parts:
        with pytest.raises(RuntimeError, match="injected"):
            await parts.writer._commit_in_turn([(set_alias, "#a")], settle)
        assert (parts.writer.head, is_alias(parts, "#a")) == (1, True)
        assert await decide_at_once(parts, (set_alias, "#b")) == ["made #b"]


async def test_full_log_refuses_the_batch_and_goes_on(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        log, views = between(parts, FailingLog), parts.homeserver.views
        before = views.digest()
        log.error = Full("no room")
        answers = await decide_at_once(parts, (set_alias, "#a"), (set_alias, "#b"))
        assert [unavailable(answer) for answer in answers] == [True] * 2
        assert (views.digest(), parts.writer.head, parts.writer.failure) == (before, 0, None)
        assert await parts.writer.decide(set_alias, "#a") == "made #a"
        assert aliases_in(await entries_of(parts)) == ["#a"]


PLACE = "/srv/roomlog/log"


@pytest.mark.parametrize("error", [Full, Unknown])
async def test_clients_do_not_learn_where_the_disk_is(tmp_path: Path, error: type[Exception]) -> None:
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        between(parts, FailingLog).error = error(f"{PLACE}: something is wrong")
        [answer] = await decide_at_once(parts, (set_alias, "#a"))
        [later] = await decide_at_once(parts, (set_alias, "#a"))
    assert unavailable(answer)
    assert PLACE not in f"{answer} {later}"


@pytest.mark.parametrize("is_long_after", [False, True])
async def test_the_operator_is_told_of_a_full_disk_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_long_after: bool
) -> None:
    """Until there was room, and a minute has passed: where there is room now and then, it is not news."""
    if is_long_after:
        monkeypatch.setattr(writer_module, "_SECONDS_BETWEEN_COMPLAINTS", -1)
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        log = between(parts, FailingLog)
        for full, alias in ((True, "#a"), (True, "#b"), (False, "#c"), (True, "#d")):
            log.error = Full(f"{PLACE}: no room") if full else None
            await decide_at_once(parts, (set_alias, alias))
    told = "nothing can be stored: /srv/roomlog/log: no room. Requests are answered 503 until there is room"
    more = [told] if is_long_after else []
    assert [record.message for record in caplog.records] == [told, "there is room on the disk again", *more]


async def test_bug_in_a_decision_fails_its_own_request_only(running: Running) -> None:
    answers = await decide_at_once(running, (set_alias, "#a"), (has_a_bug, "bug"), (set_alias, "#b"))
    assert answers[0::2] == ["made #a", "made #b"]
    assert isinstance(answers[1], ZeroDivisionError)
    assert appended(running) == [2]
    assert running.writer.failure is None


async def test_bug_in_a_fold_fails_the_culprit_only(running: Running) -> None:
    answers = await decide_at_once(
        running, (set_alias, "#a"), (breaks_a_fold, "#broken"), (set_alias, "#b"), (set_alias, "#a")
    )
    assert [type(answer) for answer in answers] == [str, msgspec.DecodeError, str, MatrixError]
    assert aliases_in(await entries_of(running)) == ["#a", "#b"]
    assert [is_alias(running, alias) for alias in ("#a", "#b", "#broken")] == [True, True, False]
    assert running.writer.failure is None


async def test_views_say_how_far_they_are(running: Running) -> None:
    await decide_at_once(running, (set_alias, "#a"), (set_alias, "#b"))
    assert running.homeserver.views.checkpoints() == checkpoints_at(2)


async def test_cancelled_request_is_dropped_or_kept_whole(tmp_path: Path) -> None:
    """A client that hangs up takes nothing along: not its batch, and not those behind it."""
    async with local_homeserver(tmp_path, through=GatedLog) as parts:
        log = between(parts, GatedLog)
        taken = asyncio.create_task(parts.writer.decide(set_alias, "#taken"))
        await wait_all_tasks_blocked()
        dropped = asyncio.create_task(parts.writer.decide(set_alias, "#dropped"))
        behind = asyncio.create_task(parts.writer.decide(set_alias, "#behind"))
        await wait_all_tasks_blocked()
        taken.cancel()
        dropped.cancel()
        log.gate.set()
        assert await behind == "made #behind"
        assert aliases_in(await entries_of(parts)) == ["#taken", "#behind"]


async def test_too_many_who_wait_are_told_to_come_back(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=GatedLog) as parts:
        log = between(parts, GatedLog)
        first = asyncio.create_task(parts.writer.decide(look_up, "#a"))
        held = asyncio.create_task(parts.writer.decide(set_alias, "#a"))
        await wait_all_tasks_blocked()
        waiting = [asyncio.create_task(parts.writer.decide(look_up, "#a")) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        assert (parts.writer.waiting, parts.writer.refused) == (WAITING_MAX, 0)
        [answer] = await decide_at_once(parts, (set_alias, "#b"))
        assert unavailable(answer)
        assert (parts.writer.waiting, parts.writer.refused) == (WAITING_MAX, 1)
        log.gate.set()
        await asyncio.gather(first, held, *waiting)
        assert parts.writer.failure is None


async def test_closing_finishes_who_waits_and_takes_nobody_else(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=GatedLog) as parts:
        log = between(parts, GatedLog)
        waiting = [asyncio.create_task(parts.writer.decide(set_alias, f"#{number}")) for number in range(3)]
        await wait_all_tasks_blocked()
        closing = asyncio.create_task(parts.writer.close())
        await wait_all_tasks_blocked()
        [refused] = await decide_at_once(parts, (set_alias, "#late"))
        assert unavailable(refused)
        log.gate.set()
        await closing
        assert [await task for task in waiting] == ["made #0", "made #1", "made #2"]


def between(parts: Running, kind: type[Between]) -> Between:
    log = parts.homeserver.log
    assert isinstance(log, kind)
    return log


def appended(parts: Running) -> list[int]:
    return between(parts, LogBetween).appended


def unavailable(answer: object) -> bool:
    return isinstance(answer, MatrixError) and answer.kind is ErrorCode.UNAVAILABLE
