"""`roomlog user add`: accounts from the shell, for servers whose registration is closed."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from server import app
from server.cli.outcome import Refused, failures_of
from server.config import load


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The part before the colon: alice.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
    ] = False,
    data: Annotated[str | None, typer.Option(help="Directory of log and views; ./data unless set.")] = None,
    server_name: Annotated[str | None, typer.Option(help="As for serve, if the log is new.")] = None,
    config: Annotated[Path | None, typer.Option(help="The TOML file that serve is given.")] = None,
) -> None:
    """Make an account. Asks for a password unless one comes in by stdin.

    A running server owns the log, so stop it first.

    \b
    Example:
      roomlog user add alice
      echo 'correct horse' | roomlog user add bob --password-stdin
    """
    with failures_of("user add"):
        settings = load({"data": data, "server_name": server_name}, os.environ, config)
        password = _from_stdin() if password_stdin else _asked_for()
        typer.echo(f"added {asyncio.run(app.add_user(settings, name, password))}")


def _from_stdin() -> str:
    password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not password:
        raise Refused("stdin holds no password", "Give it by a pipe; its first line is the password.")
    return password


def _asked_for() -> str:
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask for a password", "Use --password-stdin.")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    return password


user = typer.Typer(help="Make accounts.", no_args_is_help=True)
user.command("add")(add)
