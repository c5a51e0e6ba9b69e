"""`roomlog import`: an exported log becomes a log again, the same to the last digest.

All or nothing. The entries go into a log beside the real one, which takes its place by one rename when
every line has been verified; whatever goes wrong before leaves the data directory as it was.
"""

import asyncio
import os
import shutil
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from eventlog.engines import open_log
from eventlog.envelope import NO_PREVIOUS, seal
from eventlog.log import Erased
from projections.dictionary import entry_dictionary
from projections.events import decode_event
from projections.facts import RoomEvent, decode_entry
from projections.vouching import Vouching
from server.cli.data_directory import DATA, Data
from server.cli.ndjson import decode_line, payload_of
from server.cli.outcome import FINDING, Refused, failures_of
from server.cli.progress import progress_shown
from server.config import log_path, log_url

_BATCH_BYTES = 1 << 20
"""What is appended by one flush."""


def import_log(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote; /dev/stdin for a pipe.")],
    data: Data = DATA,
) -> None:
    """Make a log from an export.

    Into an empty log only; with the same positions, ids and digests; all of it or nothing.

    \b
    Example:
      roomlog import backup.ndjson --data ./restored
    """
    with failures_of("import"):
        count = asyncio.run(_import(data, file))
        typer.echo(f"imported {count} entries into {data}")


async def _import(data: Path, file: Path) -> int:
    # Owned until the end, so that no server begins a log here meanwhile.
    async with open_log(log_url(data), dictionary=entry_dictionary()) as present:
        if await present.head() > 0:
            raise Refused(
                f"the log in {data} is not empty", "Import into a directory of its own, named by --data."
            )
        incoming = data / "import"
        # One may be left of an import that was killed.
        shutil.rmtree(incoming, ignore_errors=True)
        try:
            count = await _fill(log_url(incoming), file)
            _replace(log_path(data), log_path(incoming), discarded=incoming / "empty")
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return count


async def _fill(url: str, file: Path) -> int:
    """Make a log of the file's lines; returns how many there were."""
    with file.open("rb") as lines, progress_shown("import") as progress:
        async with open_log(url, dictionary=entry_dictionary()) as log:
            head, batch, batch_bytes = 0, list[bytes | Erased](), 0
            for payload in verified(lines):
                batch.append(payload)
                batch_bytes += len(payload.payload if isinstance(payload, Erased) else payload)
                if batch_bytes >= _BATCH_BYTES:
                    head = await log.append(batch, after=head)
                    batch, batch_bytes = [], 0
                    progress(head, None)
            return await log.append(batch, after=head)


def verified(lines: Iterable[bytes]) -> Iterator[bytes | Erased]:
    """The payload of each line. Raises `Refused` with its number for the first that does not hold."""
    previous = NO_PREVIOUS
    vouching = Vouching()
    for number, text in enumerate(lines, 1):
        try:
            line = decode_line(text)
            payload = payload_of(line)
            if line.position != number:
                raise ValueError(f"it has position {line.position}; positions begin at 1 and have no gaps")
            _, previous = seal(number, payload, previous)
            if isinstance(payload, Erased):
                replacement = sha256(payload.payload).digest()
                vouching.replaced(number, payload.ordered_by, replacement)
            elif sha256(payload).hexdigest() != line.digest:
                raise ValueError("its digest is not that of its facts")
            if previous.hex() != line.chain:
                raise ValueError("its chain does not continue the line before it")
            facts = decode_entry(bytes(line.facts))
            for fact in facts:
                if isinstance(fact, RoomEvent):
                    decode_event(fact.stored)
        except (ValueError, RecursionError) as error:  # among them all decoding errors
            raise _refused(number, str(error)) from error
        for unordered in vouching.met(number, facts):
            raise _refused(*unordered)
        yield payload
    for unordered in vouching.unmet():
        raise _refused(*unordered)


def _refused(number: int, why: str) -> Refused:
    return Refused(
        f"line {number} cannot be taken: {why}",
        "Nothing was imported. Make the export anew, or take another copy of it.",
        FINDING,
    )


def _replace(present: Path, incoming: Path, *, discarded: Path) -> None:
    """Put one log into the place of another, which is empty and owned by this process.

    If another process begins a log in the moment between, the second rename fails and its log stays.
    """
    present.rename(discarded)
    incoming.rename(present)
    descriptor = os.open(present.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
