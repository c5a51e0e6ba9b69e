"""How a command ends: the exit status, and errors that begin with the verb and say what to do next.

    0    fine
    1    a finding: something is wrong with what is stored, or what was asked for is not there
    2    wrong use: nothing was looked at or changed

A mistake in the program itself is none of these: it shows its traceback.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from eventlog.errors import Damaged, Full, Locked, LogError, Unsuitable
from server.app import WrongServerName
from server.config import ConfigError
from server.errors import MatrixError

FINDING = 1
WRONG_USE = 2

_NEXT_STEPS: tuple[tuple[type[Exception], int, str], ...] = (
    (Locked, WRONG_USE, "Stop that process first, or name another directory with --data."),
    (Unsuitable, WRONG_USE, "Name a directory on a disk of this machine, with --data for a server's log."),
    (Damaged, FINDING, "See what else is damaged with: roomlog check"),
    (Full, FINDING, "Nothing was lost. Make room on the disk and repeat the command."),
    (LogError, FINDING, "Repeat the command; if that does not help, see: roomlog check"),
    (WrongServerName, WRONG_USE, "One log carries one name for ever; another name needs another --data."),
    (MatrixError, WRONG_USE, "Nothing was changed."),
    (OSError, WRONG_USE, "Nothing else can be done before that is put right."),
)
"""By kind of error, the nearest first: exit status and what to do."""


class Refused(Exception):
    """The command cannot do what was asked. `next_step` tells what would help."""

    def __init__(self, message: str, next_step: str, status: int = WRONG_USE) -> None:
        super().__init__(message)
        self.next_step = next_step
        self.status = status


@contextmanager
def failures_of(verb: str) -> Iterator[None]:
    """Turn the errors that people are meant to see into a message on stderr and an exit status."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `roomlog show | head`. Python flushes once more
        # at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except ConfigError as error:
        typer.echo(f"{verb} failed: the configuration cannot be used.", err=True)
        for fault in error.faults:
            typer.echo(f"  {fault}", err=True)
        raise typer.Exit(WRONG_USE) from None
    except Refused as error:
        _tell(verb, error, error.next_step)
        raise typer.Exit(error.status) from None
    except tuple(kind for kind, _, _ in _NEXT_STEPS) as error:
        status, next_step = next((s, step) for kind, s, step in _NEXT_STEPS if isinstance(error, kind))
        _tell(verb, error, next_step)
        raise typer.Exit(status) from None


def _tell(verb: str, error: Exception, next_step: str) -> None:
    typer.echo(f"{verb} failed: {str(error).rstrip('.')}.\n{next_step}", err=True)
