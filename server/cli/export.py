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
from server.cli.progress import progress_shown

_PROGRESS_EVERY = 1_000
"""Entries."""


def export(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write; stdout unless given.")
    ] = None,
    data: Data = DATA,
) -> None:
    """Write the log as NDJSON, one entry a line, as far as it has come. A server may be running.

    The file holds everything that the log holds: keep it as safe as the log.

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
            await _write(log, sys.stdout.buffer)
            return
        # Whole or not there: half an export must not pass for one.
        partial = file.with_name(file.name + ".partial")
        with partial.open("wb") as output:
            count = await _write(log, output)
        partial.replace(file)
        typer.echo(f"exported {count} entries to {file}")


async def _write(log: Log, output: BinaryIO) -> int:
    count, head = 0, await log.head()
    with progress_shown("export") as progress:
        async for entry in log.read():
            output.write(line_of(entry))
            count += 1
            if count % _PROGRESS_EVERY == 0:
                progress(count, head)
    return count
