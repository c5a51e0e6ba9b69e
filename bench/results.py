"""The lines that earlier runs left in `results.jsonl`, read back as what they are."""

from pathlib import Path

import msgspec

from bench.append import Appends
from bench.growth import Growths
from bench.idle import Idles
from bench.rebuild import Rebuilds
from bench.report import RESULTS, Conditions
from bench.send import Sends
from bench.sync import Syncs


class Results(Conditions, frozen=True):
    """One run: its conditions, and the parts that it had."""

    append: Appends | None = None
    send: Sends | None = None
    rebuild: Rebuilds | None = None
    sync: Syncs | None = None
    growth: Growths | None = None
    idle: Idles | None = None


class NoResults(Exception):
    """There is no line that can be read; says why."""


def last_results(path: Path = RESULTS) -> Results:
    """Those of the last run. Raises `NoResults`."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    if not lines:
        raise NoResults(f"there are no results in {path}: run `make bench`")
    try:
        return msgspec.json.decode(lines[-1], type=Results)
    except msgspec.ValidationError as error:
        raise NoResults(
            f"the last line of {path} was written by another version of the benchmark ({error})"
        ) from None
