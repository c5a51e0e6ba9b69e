"""`roomlog check`: is every entry what was written, and are they all still there?"""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from eventlog.check import Ordering, Progress, inspect
from eventlog.log import Position
from eventlog.verifying import Finding, Replaced
from projections.facts import Fact, decode_entry
from projections.vouching import Vouching
from server.cli.data_directory import DATA, Data, existing_log, refuse_if_missing
from server.cli.head import chain_at
from server.cli.outcome import FINDING, Refused, failures_of
from server.cli.progress import progress_shown
from server.cli.signed_head import Head, read_head, verify
from server.config import log_path


def check(
    data: Data = DATA,
    head_file: Annotated[
        Path | None,
        typer.Option("--head", metavar="FILE", help="What roomlog head printed at some time."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key", metavar="PUBLIC", help="The public key, PEM, that the head must be signed by."),
    ] = None,
) -> None:
    """Verify every entry of the log.

    Gaps, digests and the chain, from the first entry to the last, on damaged files too; and of what was
    erased, whether it was ordered. A server may be running. Prints one finding a line; exit status 1 if
    there are any.

    Entries that were cut off the end leave no trace in the log. With --head, the log must hold what it
    held when that line was printed; with --key, the line must be genuine as well.

    \b
    Example:
      roomlog check --data ./data
      roomlog check --head head.json --key head.pub
    """
    with failures_of("check"):
        if key_file is not None and head_file is None:
            raise Refused("there is no head that --key could be for", "Name its file: --head FILE")
        refuse_if_missing(data)
        expected = None if head_file is None else read_head(head_file)
        if expected is not None and key_file is not None:
            verify(expected, key_file)
        findings, head = _walk(log_path(data))
        for finding in findings:
            typer.echo(finding.what)
        if findings:
            typer.echo(
                f"damaged: {len(findings)} findings in {head} entries; restore a copy or an export, "
                "or save what is before the damage: roomlog salvage"
            )
            raise typer.Exit(FINDING)
        if expected is not None and (difference := asyncio.run(_difference(data, expected))):
            typer.echo(difference)
            raise typer.Exit(FINDING)
        typer.echo(f"clean: {head} entries" + (f", with the head at {expected.position}" if expected else ""))


def _walk(log: Path) -> tuple[list[Finding], Position]:
    """All findings, and the head."""
    findings: list[Finding] = []
    vouching, head = Vouching(), 0
    with progress_shown("check") as progress:
        for report in inspect(log, erasures=True):
            match report:
                case Finding():
                    findings.append(report)
                case Replaced():
                    vouching.replaced(report.position, report.ordered_by, report.digest)
                case Ordering():
                    findings += (Finding(*found) for found in vouching.met(report.position, _facts(report)))
                case Progress():
                    head = max(head, report.head)
                    progress(report.position, head)
    findings += (Finding(*found) for found in vouching.unmet())
    return findings, head


def _facts(ordering: Ordering) -> tuple[Fact, ...]:
    """Of an entry that need not be one; then it orders nothing."""
    try:
        return tuple(decode_entry(ordering.payload))
    except ValueError:
        return ()


async def _difference(data: Path, expected: Head) -> str | None:
    """What a log that is whole in itself no longer holds of an earlier head; None if it holds all of it."""
    async with existing_log(data, read_only=True) as log:
        if log.identity != expected.identity:
            return f"another log: this is {log.identity}, the head is of {expected.identity}"
        if (head := await log.head()) < expected.position:
            return f"cut off: the log ends at {head}, and it once held {expected.position} entries"
        if (await chain_at(log, expected.position)).hex() != expected.chain:
            return f"another history: up to {expected.position} the log is not what it was"
    return None
