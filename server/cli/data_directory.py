"""The data directory as the commands see it: one option, and the log in it.

Commands that only read open the log beside a running server. Those that write own the log, and say so if
another process does.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from eventlog.engines import open_log
from eventlog.lmdb_file import DATA_FILE
from eventlog.log import Log
from server.cli.outcome import Refused
from server.config import DEFAULT_DATA, log_path, log_url

Data: TypeAlias = Annotated[
    Path, typer.Option("--data", envvar="ROOMLOG_DATA", help="The directory of the log and its views.")
]
DATA = DEFAULT_DATA


@asynccontextmanager
async def existing_log(data: Path, *, read_only: bool) -> AsyncIterator[Log]:
    """The log in a data directory. Raises `Refused` if there is none, rather than making one."""
    refuse_if_missing(data)
    async with open_log(log_url(data), read_only=read_only) as log:
        yield log


def refuse_if_missing(data: Path) -> None:
    if not (log_path(data) / DATA_FILE).exists():
        raise Refused(
            f"there is no log in {data}",
            f"Name its directory with --data, or begin a log: roomlog serve --data {data}",
        )
