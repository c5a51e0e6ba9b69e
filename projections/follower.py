"""Brings views to the head of the log: at start, after a change of a fold, or from nothing.

While the server runs, its writer applies each entry as it appends it; the follower is for everything
that happened when no writer was looking. Both use the same `Fold`, so that rebuilt views equal followed
ones.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from eventlog.log import Log, Position
from projections.entries import Source
from projections.facts import decode_entry, order_of
from projections.projection import Fold, Projection
from projections.registry import PROJECTIONS
from projections.views import Checkpoint, Views

Progress: TypeAlias = Callable[[Position, Position], None]
"""Called now and then with the position that was reached and the head."""

_ENTRIES_PER_UPDATE = 5_000
"""Large enough that commits do not count, small enough that what is dirty fits in memory."""
BYTES_PER_UPDATE = 2 << 20
"""Of payload. The map under the views grows only between two updates: one must not fill it."""


def open_views(
    path: Path,
    log: Source,
    *,
    read_only: bool = False,
    projections: Sequence[Projection] = PROJECTIONS,
) -> Views:
    """What these projections have made of a log, as it was left; `catch_up` brings it to the head."""
    tables = [table for projection in projections for table in projection.tables]
    return Views(path, tables, log, read_only=read_only)


def checkpoints_at(
    position: Position, projections: Sequence[Projection] = PROJECTIONS
) -> dict[str, Checkpoint]:
    """What the checkpoints are once all projections have folded everything up to `position`."""
    return {projection.name: Checkpoint(projection.version, position) for projection in projections}


async def catch_up(
    log: Log,
    views: Views,
    progress: Progress = lambda position, head: None,
    *,
    projections: Sequence[Projection] = PROJECTIONS,
) -> Position:
    """Fold what the views have not seen, and return the head that they are at now.

    From then on the views remember what they are asked for.

    Projections that are at the same position are folded together. One whose version is not the one
    that wrote its tables begins again from nothing.
    """
    head = await log.head()
    for position, group in _groups(views, projections, head).items():
        if position < head:
            await _fold(log, views, group, position, head, progress)
    update = views.update()
    update.commit(checkpoints_at(head, projections))
    views.remember()
    return head


async def rebuild(
    log: Log,
    views: Views,
    progress: Progress = lambda position, head: None,
    *,
    projections: Sequence[Projection] = PROJECTIONS,
) -> Position:
    """Drop all views and fold the whole log anew."""
    update = views.update()
    for projection in projections:
        for table in projection.tables:
            update.view.clear(table)
    update.commit({})
    return await catch_up(log, views, progress, projections=projections)


def _groups(
    views: Views, projections: Sequence[Projection], head: Position
) -> dict[Position, list[Projection]]:
    """The projections by the position from which each has to be folded; stale ones are emptied."""
    known = views.checkpoints()
    groups: dict[Position, list[Projection]] = {}
    stale: list[Projection] = []
    for projection in projections:
        checkpoint = known.get(projection.name)
        if checkpoint is None or checkpoint.version != projection.version or checkpoint.position > head:
            stale.append(projection)
        else:
            groups.setdefault(checkpoint.position, []).append(projection)
    if stale:
        update = views.update()
        for projection in stale:
            for table in projection.tables:
                update.view.clear(table)
            known.pop(projection.name, None)
        update.commit(known)
        groups.setdefault(0, []).extend(stale)
    return groups


async def _fold(
    log: Log,
    views: Views,
    projections: Sequence[Projection],
    after: Position,
    head: Position,
    progress: Progress,
) -> None:
    fold = Fold(projections)
    update, folded_bytes = views.update(), 0
    try:
        async for entry in log.read(after=after):
            fold.apply(update.view, order_of(entry.position), decode_entry(entry.payload))
            folded_bytes += len(entry.payload)
            if entry.position % _ENTRIES_PER_UPDATE == 0 or folded_bytes >= BYTES_PER_UPDATE:
                update.commit(update.checkpoints() | checkpoints_at(entry.position, projections))
                update, folded_bytes = views.update(), 0
                progress(entry.position, head)
            if entry.position == head:
                break
        update.commit(update.checkpoints() | checkpoints_at(head, projections))
    except BaseException:
        update.abort()
        raise
    progress(head, head)
