"""`roomlog restore`: a backup becomes a data directory that a server starts on."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.copying import empty_directory, restore_log
from server.cli.data_directory import DATA, Data
from server.cli.outcome import failures_of


def restore(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="What backup wrote.")],
    data: Data = DATA,
) -> None:
    """Make a data directory of a backup.

    Into an empty directory only; all of it or nothing. Every entry is verified as it is read and again as
    it was written, and the views are folded, so that a server answers at once. The log stays the log that
    it was: further backups of it continue the one that it was restored from.

    \b
    Example:
      roomlog restore ./copy --data ./restored
    """
    with failures_of("restore"):
        with empty_directory(data):
            restored = restore_log(source, data, "restore")
        typer.echo(f"OK head={restored.head} chain={restored.chain} views={restored.views}")
