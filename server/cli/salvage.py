"""`roomlog salvage`: what is whole in a damaged log, from its first entry to the damage, in a new log.

Only the beginning: what lies behind the damage cannot be shown to be what was written, and what was
decided there was decided on what is lost.

With one exception. What was erased is vouched for by a later entry, the one that ordered it, and that may be
among what is lost. So an entry is added that orders it anew, just as it stands; without it `check` and
`import` could not tell the saved log from one in which something was forged.
"""

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from eventlog.errors import Damaged
from eventlog.extraction import Extraction
from eventlog.lmdb_log import LmdbStore
from eventlog.log import Position
from projections.facts import PayloadErased, encode_entry
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
            damage, ordered_anew = _save(extraction, into)
        typer.echo(f"saved {extraction.position} entries into {into}, chain {extraction.chain.hex()}")
        if ordered_anew:
            typer.echo(f"ordered {ordered_anew} erasures anew, as the entries that ordered them are lost")
        if damage is None:
            typer.echo("lost nothing")
        else:
            first, last = extraction.position + 1, max(extraction.head, extraction.position + 1)
            typer.echo(f"lost entries {first} to {last}: {damage}")
            raise typer.Exit(FINDING)


def _save(source: Extraction, into: Path) -> tuple[Damaged | None, int]:
    """What ended the saving, if it was not the end of the log, and how many erasures were ordered anew."""
    damage = None
    with (
        progress_shown("salvage") as progress,
        closing(copy_of(source, log_path(into))) as target,
    ):
        try:
            copy_entries(source, target, progress)
        except Damaged as error:
            damage = error
        orphans = [at for at, ordered_by in source.erased.items() if ordered_by > target.head]
        if orphans:
            _order_anew(target, orphans)
    refuse_if_damaged(log_path(into))
    return damage, len(orphans)


def _order_anew(log: LmdbStore, positions: list[Position]) -> None:
    """Nothing is left to be taken out of any of their facts."""
    replacements = dict(_payloads(log, positions))
    orders = [
        PayloadErased(position, (), sha256(payload).hexdigest()) for position, payload in replacements.items()
    ]
    ordered_by = log.append([encode_entry(orders)], log.head)
    log.erase(replacements, ordered_by)


def _payloads(log: LmdbStore, positions: list[Position]) -> Iterator[tuple[Position, bytes]]:
    for position in positions:
        [entry] = log.read(position - 1, position, None)
        yield position, entry.payload
