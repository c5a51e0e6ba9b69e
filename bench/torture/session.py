"""Runs the parts and tells what came of them: a table, a verdict, and a line for the shell for each failure.

A part has failed if it found something, or if its control found nothing: then nobody knows whether it would
have. What was skipped is told with the reason, and is no failure; what was skipped is not shown either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from time import monotonic
from typing import Literal

from rich.markup import escape
from rich.table import Table

from bench import report
from bench.processes import Failed, ended_by_signals, places
from bench.progress import Progress, progress_shown
from bench.session import durable_directory, temporary_directory
from bench.torture.part import Impossible, Part, Result, Torture, Trial

_SHARE_OF_CONTROLS = 0.2
"""Of the time of a part, at most: most controls are found out at once."""
_FINDINGS_TOLD = 5
_CHARACTERS_TOLD = 600

Verdict = Literal["held", "FAILED", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """Of one part."""

    part: Part
    results: Sequence[Result] = ()
    controls: Sequence[Result] = ()
    impossible: str = ""
    """Why it was skipped."""

    @property
    def verdict(self) -> Verdict:
        if self.impossible:
            return "skipped"
        return "FAILED" if self.failures else "held"

    @property
    def failures(self) -> list[str]:
        found = [finding for result in self.results for finding in result.findings]
        blind = [
            f"control: without {self.part.safeguard} nothing was found ({result.what}): this part is blind"
            for result in self.controls
            if not result.findings
        ]
        return found + blind


def run(parts: Sequence[Part], *, data: Path | None, seed: int, minutes: float) -> list[Outcome]:
    """Torture, tell, and leave nothing behind. Raises `KeyboardInterrupt` if somebody ends it."""
    within = durable_directory() if data is None else data
    shares = sum(part.share for part in parts)
    with ended_by_signals(), temporary_directory(within, ".roomlog-torture-") as directory:
        apart = places().are_apart
        stated = report.conditions(directory, seed=seed, are_processes_apart=apart)
        with progress_shown(2 * len(parts)) as progress:
            outcomes = [
                torture(part, directory, seed, 60 * minutes * part.share / shares, progress) for part in parts
            ]
    console = report.console_for_results()
    console.print(report.described(stated), soft_wrap=True, markup=False)
    console.print(_table(outcomes))
    for line in told(outcomes, seed, minutes):
        console.print(line, soft_wrap=True, markup=False)
    return outcomes


def torture(part: Part, directory: Path, seed: int, seconds: float, progress: Progress) -> Outcome:
    """Run one part and its control, each in an empty directory of its own."""

    until = monotonic() + seconds

    def try_out(what: Torture, name: str, seconds: float) -> Sequence[Result]:
        progress.step(name)
        with temporary_directory(directory, f"{part.name}-") as own:
            return what(Trial(own, seed, seconds, progress.now))

    try:
        controls = try_out(part.control, f"{part.name}, control", _SHARE_OF_CONTROLS * seconds)
        results = try_out(part.run, part.name, until - monotonic())
    except Impossible as reason:
        return Outcome(part, impossible=str(reason))
    except (Failed, OSError) as error:
        return Outcome(part, [Result("could not be carried out", 0, [f"{type(error).__name__}: {error}"])])
    return Outcome(part, results, controls)


def told(outcomes: Sequence[Outcome], seed: int, minutes: float) -> list[str]:
    """What stands below the table: each failure with its reproducer, and one verdict at the end."""
    lines: list[str] = []
    for outcome in outcomes:
        failures = outcome.failures
        if failures:
            lines.append(
                f"{outcome.part.name} FAILED. To see it again: {outcome.part.reproducer(seed, minutes)}"
            )
            lines += (f"  {shorten(failure, _CHARACTERS_TOLD)}" for failure in failures[:_FINDINGS_TOLD])
            if len(failures) > _FINDINGS_TOLD:
                lines.append(f"  and {len(failures) - _FINDINGS_TOLD} more")
        elif outcome.impossible:
            lines.append(f"{outcome.part.name} skipped: {shorten(outcome.impossible, _CHARACTERS_TOLD)}")
    verdicts = [outcome.verdict for outcome in outcomes]
    counted = (f"{verdicts.count(verdict)} {verdict}" for verdict in ("held", "FAILED", "skipped"))
    return [*lines, f"verdict: {', '.join(counted)}"]


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = report.table("part", "times", "found")
    table.columns[0].no_wrap = False
    table.add_column("", overflow="fold")
    for outcome in outcomes:
        table.add_row(f"[bold]{outcome.part.name}", "", outcome.verdict, "")
        for result in outcome.results:
            found = str(len(result.findings)) if result.findings else "nothing" if result.times else "-"
            table.add_row(f"  {escape(result.what)}", f"{result.times:,}", found, escape(result.note))
        for control in outcome.controls:
            found = "found out" if control.findings else "NOTHING"
            table.add_row(f"  control: {escape(control.what)}", f"{control.times:,}", found, "")
    return table
