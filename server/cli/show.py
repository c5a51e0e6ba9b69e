"""`roomlog show`: the log made readable, one line an entry."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from eventlog.log import Entry, Log
from projections.facts import Fact, RoomEvent, decode_entry
from server.cli.data_directory import DATA, Data, existing_log
from server.cli.ndjson import line_of
from server.cli.outcome import failures_of
from server.cli.plain_text import describe_fact


def show(
    data: Data = DATA,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Begin past this position.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what a running server appends, until Ctrl-C.")
    ] = False,
    room: Annotated[str | None, typer.Option(metavar="ROOM", help="Only what concerns this room id.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Whole entries, as export writes them.")] = False,
) -> None:
    """Print entries, one line each.

    A line has the position, then of each fact its kind and what is essential in it. Password hashes and
    digests of tokens are masked, except with --json.

    \b
    Example:
      roomlog show --after 0
      roomlog show --room '!ROOM_ID' --follow
      roomlog show --json | head -1
    """
    with failures_of("show"):
        try:
            asyncio.run(_show(data, after, follow, room, json))
        except KeyboardInterrupt:
            # The way to end --follow.
            sys.stdout.flush()


async def _show(data: Path, after: int, follow: bool, room: str | None, json: bool) -> None:
    async with existing_log(data, read_only=True) as log:
        after = await _print(log, after, room, json)
        while follow:
            sys.stdout.flush()
            await log.wait(after)
            after = await _print(log, after, room, json)


async def _print(log: Log, after: int, room: str | None, json: bool) -> int:
    """Returns the position of the last entry that was looked at."""
    async for entry in log.read(after=after):
        after = entry.position
        facts = decode_entry(entry.payload)
        concerned = [fact for fact in facts if room is None or _room_of(fact) == room]
        if concerned or room is None:
            _print_entry(entry, concerned, json)
    return after


def _print_entry(entry: Entry, facts: list[Fact], json: bool) -> None:
    if json:
        sys.stdout.buffer.write(line_of(entry))
    else:
        described = "; ".join(describe_fact(fact) for fact in facts)
        erased = f"; erased_by={entry.erased.ordered_by}" if entry.erased else ""
        sys.stdout.write(f"{entry.position} {described}{erased}\n")


def _room_of(fact: Fact) -> str | None:
    room_id: str | None = fact.room_id if isinstance(fact, RoomEvent) else getattr(fact, "room_id", None)
    return room_id
