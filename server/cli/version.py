"""`roomlog version`."""

from importlib.metadata import version as installed_version

import typer


def version() -> None:
    """Print the version.

    \b
    Example:
      roomlog version
    """
    typer.echo(f"roomlog {installed_version('roomlog')}")
