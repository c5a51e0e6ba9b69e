"""`roomlog check`: is every entry what was written?"""

from pathlib import Path

import typer

from eventlog.check import Finding, inspect
from eventlog.log import Position
from server.cli.data_directory import DATA, Data, refuse_if_missing
from server.cli.outcome import FINDING, failures_of
from server.cli.progress import progress_shown
from server.config import log_path


def check(data: Data = DATA) -> None:
    """Verify every entry of the log.

    Gaps, digests and the chain, from the first entry to the last, on damaged files too. A server may be
    running. Prints one finding a line; exit status 1 if there are any.

    \b
    Example:
      roomlog check --data ./data
    """
    with failures_of("check"):
        refuse_if_missing(data)
        findings, head = _walk(log_path(data))
        for finding in findings:
            typer.echo(finding.what)
        if findings:
            typer.echo(f"damaged: {len(findings)} findings in {head} entries; restore a copy or an export")
            raise typer.Exit(FINDING)
        typer.echo(f"clean: {head} entries")


def _walk(log: Path) -> tuple[list[Finding], Position]:
    """All findings, and the head."""
    findings: list[Finding] = []
    head = 0
    with progress_shown("check") as progress:
        for report in inspect(log):
            if isinstance(report, Finding):
                findings.append(report)
            else:
                head = max(head, report.head)
                progress(report.position, head)
    return findings, head
