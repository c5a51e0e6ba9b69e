"""`roomlog torture`: does a 200 mean "on disk", on this machine?"""

from pathlib import Path
from typing import Annotated

import typer

from bench.torture.registry import PARTS
from bench.torture.session import run
from server.cli.outcome import FINDING, Refused, failures_of

INTERRUPTED = 130
"""The exit status that shells expect after Ctrl-C."""


def torture(
    minutes: Annotated[float, typer.Option(min=0.0, help="How long, for all parts together.")] = 5.0,
    seed: Annotated[int, typer.Option(min=0, help="Another torture of the same kind.")] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help=f"{', '.join(part.name for part in PARTS)}; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            writable=True,
            help="Work in a temporary directory within this one, which says on which disk; ./ unless set.",
        ),
    ] = None,
) -> None:
    """Torture a scratch server on this disk, and tell what was lost.

    Servers are killed, the power is cut, system calls fail, the disk is full, bits rot, clocks jump, clients
    misbehave. Each part is tried on a server
    without one safeguard as well, which has to be found out. Some parts need root and say so; no log that
    exists is touched. Exit status 1 if a promise was broken.

    \b
    Example:
      roomlog torture --minutes 10
    """
    with failures_of("torture"):
        known = {part.name: part for part in PARTS}
        unknown = [name for name in only or () if name not in known]
        if unknown:
            raise Refused(f"there is no part {unknown[0]!r}", f"The parts are: {', '.join(known)}")
        try:
            outcomes = run([known[name] for name in only or known], data=data, seed=seed, minutes=minutes)
        except KeyboardInterrupt:
            typer.echo("interrupted: nothing was shown, nothing is left behind", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if any(outcome.failures for outcome in outcomes):
            raise typer.Exit(FINDING)
