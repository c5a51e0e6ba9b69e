"""What people took back leaves the log itself: a task beside the requests, which looks for what is due.

Redacted content is due once it has been redacted for as long as redactions are retained, what an erased
user said at once. Three steps, each of which finds out what the one before it has left undone, so that a
crash between them costs nothing but time:

1. An entry orders it: which entries are overwritten, and the digest of what will stand there. With the same
   entry the views lose the content.
2. The log overwrites the payloads, durably.
3. Log and views overwrite what their files still have of it in pages that are no longer used; then it is
   put on record that all of this was done.

The last step reads both files from end to end (some 600 MB a second, cached), so what falls due within a
minute is erased together. Decisions wait for the half of it that concerns the views, appends for the other.
Who looks at an older state from another process, as `roomlog check` does for moments, puts it off.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import msgspec

from eventlog.errors import Full
from eventlog.log import Entry, Position
from projections import erasures, timeline
from projections.erasing import indexes_about, without_content
from projections.facts import (
    AccountDeactivated,
    ErasureCompleted,
    Fact,
    PayloadErased,
    RoomEvent,
    decode_entry,
    encode_entry,
    index_of,
    position_of,
)
from server.errors import MatrixError
from server.homeserver import Homeserver
from server.writer import Decided, Turn, Writer

ENTRIES_MAX = 256
"""Ordered by one entry, and overwritten by one commit."""
_SECONDS_BETWEEN = 60.0
_SECONDS_WITHOUT_LOOKING_MAX = 3_600.0
"""Clocks are set."""

_log = logging.getLogger("roomlog.erasing")


class _Replaced(NamedTuple):
    position: Position
    indexes: tuple[int, ...]
    payload: bytes

    @property
    def digest(self) -> str:
        return sha256(self.payload).hexdigest()


class Eraser:
    """One for each log, beside its writer."""

    def __init__(self, homeserver: Homeserver, writer: Writer, retention: int) -> None:
        """`retention` is how many milliseconds a redacted content stays in the log."""
        self._homeserver = homeserver
        self._writer = writer
        self._retention = retention
        self._news = asyncio.Event()
        self._scrubbing: asyncio.Task[bool] | None = None

    def hear(self, _: Position, facts: Sequence[Fact]) -> None:
        """There may be something to do earlier than was thought."""
        for fact in facts:
            is_redaction = isinstance(fact, RoomEvent) and fact.event.type == "m.room.redaction"
            if is_redaction or (isinstance(fact, AccountDeactivated) and fact.erase):
                self._news.set()

    async def run(self) -> None:
        """Erase what falls due, until cancelled."""
        while True:
            while (seconds := self._seconds_until_due()) > 0:
                self._news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._news.wait()
            try:
                await self.erase_what_is_due()
            except (MatrixError, Full) as error:  # too much waits to be written, or nothing can be
                _log.warning("nothing can be erased at present: %s", error)
            await asyncio.sleep(_SECONDS_BETWEEN)

    async def erase_what_is_due(self) -> bool:
        """Answers whether that was possible; who looks at an older state of log or views puts it off."""
        await self._overwrite_what_was_ordered()
        with self._homeserver.views.read() as view:
            user_ids = tuple(erasures.unerased_users(view))
        for user_id in user_ids:
            await self._erase_user(user_id)
        while replaced := await self._redacted():
            await self._erase(replaced)
        return await self._complete(user_ids)

    async def settle(self) -> None:
        """Return once no file is being overwritten; it must not go on beside a writer."""
        if self._scrubbing is not None:
            await asyncio.wait([self._scrubbing])

    async def _erase_user(self, user_id: str) -> None:
        """All entries are looked at, because an index of who said what would cost every event."""
        with self._homeserver.views.read() as view:
            until = position_of(erasures.erased_at(view, user_id) or 0)
        quoted = msgspec.json.encode(user_id)[1:-1]
        found: list[_Replaced] = []
        async for entry in self._homeserver.log.read():
            if entry.position > until:
                break
            if quoted not in entry.payload:
                continue
            replaced = self._replace(entry, indexes_about(user_id, decode_entry(entry.payload)))
            if replaced.payload != entry.payload:
                found.append(replaced)
            if len(found) == ENTRIES_MAX:
                await self._erase(found)
                found = []
        await self._erase(found)

    async def _redacted(self) -> list[_Replaced]:
        """What stands for the next redacted contents that are due."""
        indexes: dict[Position, list[int]] = {}
        with self._homeserver.views.read() as view:
            until = self._homeserver.now() - self._retention
            for order in islice(timeline.unerased(view, until=until), ENTRIES_MAX):
                indexes.setdefault(position_of(order), []).append(index_of(order))
        return [self._replace(await self._entry(at), indexes[at]) for at in sorted(indexes)]

    async def _erase(self, replaced: Sequence[_Replaced]) -> None:
        if replaced:
            facts = [PayloadErased(one.position, one.indexes, one.digest) for one in replaced]
            await self._writer.decide(_state, facts)
            with self._homeserver.views.read() as view:
                ordered_by = position_of(erasures.newest_order(view))
            payloads = {one.position: one.payload for one in replaced}
            await self._overwrite(payloads, ordered_by)

    async def _overwrite(self, payloads: Mapping[Position, bytes], ordered_by: Position) -> None:
        await self._homeserver.log.erase(payloads, ordered_by=ordered_by)
        for position in payloads:
            self._homeserver.views.forget_entry(position)

    async def _overwrite_what_was_ordered(self) -> None:
        """There is some after a crash, or if scrubbing was put off. Of one entry the last order holds."""
        with self._homeserver.views.read() as view:
            pending = {ordered.position: ordered for ordered in erasures.pending(view)}
        outdated: list[_Replaced] = []
        for position, ordered in pending.items():
            entry, ordered_by = await self._entry(position), position_of(ordered.order)
            if entry.erased is not None and entry.erased.ordered_by >= ordered_by:
                continue
            replaced = self._replace(entry, ordered.indexes)
            if replaced.digest == ordered.digest:
                await self._overwrite({position: replaced.payload}, ordered_by)
            else:  # ordered by a version of this program that had other rules
                outdated.append(replaced)
        await self._erase(outdated)

    async def _complete(self, user_ids: tuple[str, ...]) -> bool:
        with self._homeserver.views.read() as view:
            upto = erasures.newest_order(view)
        if not upto and not user_ids:
            return True
        self._scrubbing = asyncio.create_task(self._scrub())
        # Who is cancelled leaves the files to it, and must `settle` before anybody closes them.
        if not await asyncio.shield(self._scrubbing):
            return False
        await self._writer.decide(_state, [ErasureCompleted(upto, user_ids)])
        return True

    async def _scrub(self) -> bool:
        if not await self._homeserver.log.scrub():
            return False
        async with self._writer.resting():
            return await asyncio.to_thread(self._homeserver.views.scrub)

    def _replace(self, entry: Entry, indexes: Iterable[int]) -> _Replaced:
        facts = list(decode_entry(entry.payload))
        erased = tuple(sorted(indexes))
        with self._homeserver.views.read() as view:
            for index in erased:
                facts[index] = without_content(view, facts[index])
        return _Replaced(entry.position, erased, encode_entry(facts))

    async def _entry(self, position: Position) -> Entry:
        return await anext(self._homeserver.log.read(after=position - 1))

    def _seconds_until_due(self) -> float:
        with self._homeserver.views.read() as view:
            if erasures.unerased_users(view) or erasures.newest_order(view):
                return 0.0
            first = timeline.first_unerased(view)
        if first is None:
            return _SECONDS_WITHOUT_LOOKING_MAX
        milliseconds = first + self._retention - self._homeserver.now()
        return min(max(0.0, milliseconds / 1000), _SECONDS_WITHOUT_LOOKING_MAX)


@asynccontextmanager
async def erasing(homeserver: Homeserver, writer: Writer, retention: int) -> AsyncIterator[None]:
    """Erase what falls due for as long as the context lasts."""
    eraser = Eraser(homeserver, writer, retention)
    writer.listen(eraser.hear)
    task = asyncio.create_task(eraser.run())
    task.add_done_callback(_complain)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await eraser.settle()


def _state(_: Turn, facts: Sequence[Fact]) -> Decided[None]:
    return Decided(None, facts)


def _complain(task: asyncio.Task[None]) -> None:
    """It ends only when it is cancelled; otherwise it met a bug or the storage failed."""
    if not task.cancelled():
        _log.critical("nothing will be erased any more", exc_info=task.exception())
