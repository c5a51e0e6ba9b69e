"""`roomlog salvage`: what is whole in a damaged log, from its first entry to the damage, in a new log.

Only the beginning: what lies behind the damage cannot be shown to be what was written, and what was
decided there was decided on what is lost.
"""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from eventlog.errors import Damaged
from eventlog.extraction import Extraction
from server.cli.copying import copy_entries, copy_of, empty_directory, refuse_if_damaged
from server.cli.data_directory import refuse_if_missing
from server.cli.outcome import FINDING, failures_of
from server.cli.progress import progress_shown
from server.config import log_path


def salvage(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The data directory of the damaged log.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="A new data directory.")],
) -> None:
    """Save the entries before the first damage into a new log.

    SRC stays as it is. A backup, if there is one, may hold more: compare the heads. Exit status 1 if
    anything was lost.

    \b
    Example:
      roomlog salvage ./data --into ./saved
    """
    with failures_of("salvage"):
        refuse_if_missing(source)
        extraction = Extraction(log_path(source))
        with empty_directory(into):
            damage = _save(extraction, into)
        typer.echo(f"saved {extraction.position} entries into {into}, chain {extraction.chain.hex()}")
        if damage is None:
            typer.echo("lost nothing")
        else:
            first, last = extraction.position + 1, max(extraction.head, extraction.position + 1)
            typer.echo(f"lost entries {first} to {last}: {damage}")
            raise typer.Exit(FINDING)


def _save(source: Extraction, into: Path) -> Damaged | None:
    """What ended the saving, if it was not the end of the log."""
    damage = None
    with (
        progress_shown("salvage") as progress,
        closing(copy_of(source, log_path(into))) as target,
    ):
        try:
            copy_entries(source, target, progress)
        except Damaged as error:
            damage = error
    refuse_if_damaged(log_path(into))
    return damage
