"""The shape of a part: something that is done to a server, what has to hold, and the proof that it looks.

A part is a value and not a class to inherit from: two functions and their description. Both get the same
`Trial`. `run` tortures the product as it is shipped, and every finding is a broken promise. `control` does
the same to a product with one safeguard taken away, and has to come back with a finding.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TypeAlias


class Impossible(Exception):
    """This machine does not allow it; says what is missing. The part is skipped, and that is told."""


@dataclass(frozen=True)
class Trial:
    """Where, how, and for how long a part is to torture."""

    directory: Path
    """Empty, on the disk in question, and the part's own; removed by who called."""
    seed: int
    """All that is random follows from it, but for the moments that only the machine decides."""
    seconds: float
    """Begin nothing new after this time; what is under way is finished. At least one cycle is run."""
    says: Callable[[str], None] = field(default=lambda what: None)
    """Told now and then what is being done, for the progress line; cheap enough for every cycle."""
    begun: float = field(default_factory=monotonic)

    @property
    def is_over(self) -> bool:
        return monotonic() - self.begun >= self.seconds


@dataclass(frozen=True)
class Result:
    """A row of the printed table."""

    what: str
    """As it stands in the table: `EIO at fdatasync`."""
    times: int
    """How often it was done. Nothing was shown where this is 0."""
    findings: Sequence[str] = ()
    """What broke a promise, a sentence each; none is what everybody hopes for."""
    note: str = ""
    """A number worth telling, such as how many entries were acknowledged and looked for."""


Torture: TypeAlias = Callable[[Trial], Sequence[Result]]
"""Raises `Impossible` before anything was tried. Leaves no process or mount behind, however it ends."""


@dataclass(frozen=True)
class Part:
    name: str
    """What `--only` takes."""
    method: str
    """The docstring of its module."""
    run: Torture
    control: Torture
    """Has to find something, and ends as soon as it has."""
    safeguard: str
    """What the control does without: `the flush`."""
    share: float = 1.0
    """Of the time that there is, beside the other parts."""

    def reproducer(self, seed: int, minutes: float) -> str:
        """One line for the shell."""
        return f"roomlog torture --only {self.name} --seed {seed} --minutes {minutes:g}"
