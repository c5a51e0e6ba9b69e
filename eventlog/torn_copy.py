"""Tells a torn copy of a log from a whole one, before anything is written to it.

Who copies the file of a log in use with `cp` gets its first pages as they were when the copying began
and its last as they were when it ended. LMDB would open it, and might write over pages that are in use.
So a file of which nobody can say that it was at rest when it came here is looked at from end to end:
how its pages hang together, the free ones included, and then every entry. If all holds it is as good
as any other. That takes somewhat longer than `check` does, and is done once: from then on it has an owner.
"""

from pathlib import Path

from eventlog.check import walk
from eventlog.errors import Damaged
from eventlog.lmdb_file import DATA_FILE, page_problems, refuse_if_short
from eventlog.verifying import Finding

IF_COPIED = (
    "If the file was copied while a server used it, the copy is torn: `roomlog backup` makes whole ones"
)


def refuse_if_torn(path: Path) -> None:
    """Raises `Damaged` if the log in this directory, which nobody has open, is not whole."""
    refuse_if_short(path)
    problems = page_problems(path / DATA_FILE)
    # Only now, as it would end the process on pages that do not hold together.
    problems = problems or [report.what for report in walk(path) if isinstance(report, Finding)]
    if problems:
        raise Damaged(f"{path}: {problems[0]}. {IF_COPIED}")
