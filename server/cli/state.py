"""`roomlog state`: a room as it is, or as it was at any position of the log."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from eventlog.log import Position
from projections import state as room_state
from projections.facts import end_of
from projections.follower import checkpoints_at, open_views
from projections.views import Views
from server.cli.data_directory import DATA, Data, existing_log
from server.cli.outcome import FINDING, Refused, failures_of
from server.cli.plain_text import describe_state
from server.config import views_path


def state(
    room: Annotated[str, typer.Argument(metavar="ROOM", help="A room id; quote its ! in the shell.")],
    at: Annotated[
        int | None, typer.Option(min=1, metavar="POSITION", help="After this entry; the last one unless set.")
    ] = None,
    data: Data = DATA,
) -> None:
    """Print a room's state, now or at a position.

    One event a line, in the order of the log. The content of what has been redacted since is gone, whatever
    the position.

    \b
    Example:
      roomlog state '!ROOM_ID' --at 17
    """
    with failures_of("state"):
        asyncio.run(_state(data, room, at))


async def _state(data: Path, room: str, at: Position | None) -> None:
    async with existing_log(data, read_only=True) as log:
        head = await log.head()
        if at is not None and at > head:
            raise Refused(f"there is no position {at}, the log ends at {head}", "Leave out --at for the end.")
        views = open_views(views_path(data), log, read_only=True)
        try:
            _refuse_if_behind(views, at or head)
            with views.read() as view:
                events = room_state.state_of(view, room, at=end_of(at or head))
        finally:
            views.close()
    for event in events:
        typer.echo(describe_state(event))
    if not events:
        raise Refused(f"there was no room {room} at {at or head}", "See: roomlog show", FINDING)


def _refuse_if_behind(views: Views, position: Position) -> None:
    """Views of another version, or that have not seen the position, would answer wrongly."""
    known = views.checkpoints()
    for name, expected in checkpoints_at(position).items():
        found = known.get(name)
        if found is None or found.version != expected.version or found.position < expected.position:
            raise Refused(f"the views have not come to {position}", "Bring them there: roomlog rebuild")
