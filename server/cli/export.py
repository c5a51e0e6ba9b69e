"""`roomlog export`: the whole log as text, from which `import` makes the same log again."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from eventlog.log import Log
from server.cli.data_directory import DATA, Data, existing_log
from server.cli.ndjson import line_of
from server.cli.outcome import failures_of
from server.cli.progress import Progress, progress_shown

_PROGRESS_EVERY = 1_000
"""Entries."""


def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write; stdout unless given.")
    ] = None,
    data: Data = DATA,
) -> None:
    """Write the log as NDJSON, one entry a line.

    A server may be running: what it had written when the export began is in it. The file holds everything
    that the log holds: keep it as safe as the log.

    \b
    Example:
      roomlog export backup.ndjson
      roomlog export | gzip > backup.ndjson.gz
    """
    with failures_of("export"):
        asyncio.run(_export(data, file))


async def _export(data: Path, file: Path | None) -> None:
    async with existing_log(data, read_only=True) as log:
        if file is None:
            # No bar: lines and bar might share a terminal.
            await _write(log, sys.stdout.buffer, lambda done, total: None)
            return
        # Whole or not there: half an export must not pass for one.
        partial = file.with_name(file.name + ".partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)  # private messages will be in it
        with partial.open("wb") as output, progress_shown("export") as progress:
            count = await _write(log, output, progress)
        partial.replace(file)
        typer.echo(f"exported {count} entries to {file}")


async def _write(log: Log, output: BinaryIO, progress: Progress) -> int:
    """Returns how many entries were written."""
    count, head = 0, await log.head()
    async for entry in log.read():
        output.write(line_of(entry))
        count += 1
        if count % _PROGRESS_EVERY == 0:
            progress(count, head)
    return count
