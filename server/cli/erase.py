"""`roomlog erase`: somebody's right to be forgotten, from the shell."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from server import app
from server.cli.data_directory import refuse_if_missing
from server.cli.outcome import FINDING, failures_of
from server.config import load


def erase(
    user: Annotated[str, typer.Argument(metavar="USER", help="The whole user id: @alice:localhost.")],
    data: Annotated[str | None, typer.Option(help="Directory of log and views; ./data unless set.")] = None,
    server_name: Annotated[str | None, typer.Option(help="As for serve, if it is not localhost.")] = None,
    config: Annotated[Path | None, typer.Option(help="The TOML file that serve is given.")] = None,
) -> None:
    """Erase a user: the account is given up, and what they said leaves the log.

    Messages, membership events and profile are overwritten in the files of log and views. Exports and
    backups that were made before still hold them. A running server owns the log, so stop it first; while
    it runs, clients do the same by POST /account/deactivate with `erase`.

    \b
    Example:
      roomlog erase @alice:localhost
    """
    with failures_of("erase"):
        settings = load({"data": data, "server_name": server_name}, os.environ, config)
        refuse_if_missing(settings.data)
        if not asyncio.run(app.erase_user(settings, user)):
            typer.echo(f"{user} is erased, but somebody reads an older state of the files; they are")
            typer.echo("overwritten when the server runs next, or by the same command again")
            raise typer.Exit(FINDING)
        typer.echo(f"erased {user}")
