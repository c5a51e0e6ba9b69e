"""`roomlog serve`: every option may also stand in the environment or in a file, see `server/config.py`."""

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
import uvloop

from server import app
from server.cli.outcome import Refused, failures_of
from server.cli.progress import progress_shown
from server.config import Config, load

Setting: TypeAlias = str | None
"""Options are taken as text, so that all faults of all sources are found in one place and told at once."""


def serve(
    host: Annotated[Setting, typer.Option(help="Address to listen on; 127.0.0.1 unless set.")] = None,
    port: Annotated[Setting, typer.Option(help="Port; 8008 unless set, 0 picks a free one.")] = None,
    metrics_port: Annotated[
        Setting, typer.Option(help="Port of metrics for Prometheus; none unless set, 0 picks a free one.")
    ] = None,
    metrics_host: Annotated[Setting, typer.Option(help="Address of that port; 127.0.0.1 unless set.")] = None,
    data: Annotated[Setting, typer.Option(help="Directory of log and views; ./data unless set.")] = None,
    server_name: Annotated[
        Setting, typer.Option(help="The name in all identifiers; localhost unless set.")
    ] = None,
    registration: Annotated[
        Setting, typer.Option(help="open or closed: may anybody register? Unless set: open on loopback.")
    ] = None,
    rate_limits: Annotated[Setting, typer.Option(help="on or off; on unless set.")] = None,
    default_room_version: Annotated[
        Setting, typer.Option(help="Of rooms whose creators ask for none; 12 unless set.")
    ] = None,
    query_tokens: Annotated[
        Setting, typer.Option(help="on or off: is ?access_token= heard under /v3 too? on unless set.")
    ] = None,
    redaction_retention: Annotated[
        Setting, typer.Option(help="How long the log keeps what was redacted; 7d unless set.")
    ] = None,
    appservice: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Registration of an application service; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with any of these settings, and with rate limits.")
    ] = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C.

    Every option can also be set in the environment, as ROOMLOG_PORT and so on, or in a TOML file, as
    `port = 8008`. The command line overrides the environment, the environment overrides the file.

    \b
    Example:
      roomlog serve --port 8008 --data ./data
      ROOMLOG_PORT=0 roomlog serve
    """
    with failures_of("serve"):
        options = {
            "host": host,
            "port": port,
            "metrics_port": metrics_port,
            "metrics_host": metrics_host,
            "data": data,
            "server_name": server_name,
            "registration": registration,
            "rate_limits": rate_limits,
            "default_room_version": default_room_version,
            "query_tokens": query_tokens,
            "redaction_retention": redaction_retention,
            "appservices": appservice or None,
        }
        raise typer.Exit(_serve(load(options, os.environ, config)))


def _serve(config: Config) -> int:
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("roomlog.patrol").setLevel(logging.INFO)  # one line a day that says that all is well
    try:
        with ExitStack() as starting:
            progress = starting.enter_context(progress_shown("fold"))

            def announce(address: str) -> None:
                """The one line on stdout; whoever started the server may wait for it."""
                starting.close()
                typer.echo(f"roomlog answers at {address}")

            return uvloop.run(app.serve(config, progress, announce))
    except app.CannotListen as error:
        host, port = (f"--{error.prefix}{name}" for name in ("host", "port"))
        next_step = f"Name another address by {host} and {port}; {port} 0 picks a free port."
        raise Refused(str(error), next_step) from None
