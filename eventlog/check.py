"""Walk a log from end to end, verify every entry, and say what is wrong and where.

The walk runs in a child process. LMDB hands out a flipped bit without a word, which digest and
chain find; but on a page that is zeroed it may abort, and on one that is cut off the kernel ends
the process with SIGBUS. The child's death is then a finding like any other: another child creeps
up to the place entry by entry to find out where it is, and further ones look for the next entry
that can be read, at 1, 2, 4 … entries further on, so that the walk goes on behind the damage. A
stretch that was not read may therefore end in entries that are whole.

What stands in the place of an erased payload is told on request, with the entries that ordered it: whether
the order is one is up to who knows what entries mean. Such an entry is later than what it concerns, so one
walk meets both.

Reads beside a live owner. What it cannot see: entries cut off the end together with every trace
of them. Only somebody who remembers a later chain can.

    python -m eventlog.check PATH [FIRST [SLOW_UNTIL [SHARE [erasures]]]]     what the child runs

prints a line of JSON for each report; with `erasures`, it reads from stdin which entries are known to have
ordered something of what was before FIRST.

How fast: `python -m bench.rebuild`, column check/s.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import TypeAlias

import msgspec

from eventlog.compression import Compression
from eventlog.envelope import unseal
from eventlog.errors import Damaged
from eventlog.lmdb_file import DAMAGE, DATA_FILE, LmdbTables, refuse_if_short
from eventlog.log import Position
from eventlog.reading_child import ReadingChild, leave_no_core
from eventlog.verifying import Assistant, Finding, Replaced, Verified, read_and_verify, stretched

CHUNK_ENTRIES = 4096
POSITION_MAX = 2**64 - 1

ENTRIES_FOR_TWO = 50_000
"""From how many on a second process is worth its start."""

CHILDREN_MAX = 100
"""How many children may die before the walk is given up; one bad page takes about six."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Every entry up to `position` was looked at; the last one is at `head` or past it."""

    position: Position
    head: Position


class Ordering(msgspec.Struct, frozen=True, tag="ordering"):
    """An entry that is said to have ordered one of the erasures before it."""

    position: Position
    payload: bytes


Report: TypeAlias = Progress | Finding | Replaced | Ordering

decode_report = msgspec.json.Decoder(Report).decode
"""Of one line that the child prints."""


def inspect(path: Path, *, erasures: bool = False) -> Iterator[Report]:
    """Check the log in the directory `path`. No `Finding` at all: it is whole.

    `Replaced` and `Ordering` are reported only if `erasures` are asked for.

    Raises `FileNotFoundError` if there is no log.
    """
    if not (path / DATA_FILE).exists():
        raise FileNotFoundError(f"there is no log at {path}")
    first, slow_until, stride = 1, 0, 1
    seen, head = -1, 0
    lost: Finding | None = None  # where the last child ended, until another gets past it
    orders: set[Position] = set()  # that were not met yet
    for _ in range(CHILDREN_MAX):
        arguments = (path, first, slow_until, 1.0, "erasures") if erasures else (path, first, slow_until)
        with ReadingChild("eventlog.check", *arguments, told=msgspec.json.encode(orders)) as child:
            for report in map(decode_report, child.output):
                if lost and report.position >= first:
                    yield stretched(lost, first - 1)
                    lost, stride = None, 1
                if isinstance(report, Progress):
                    seen, head = max(seen, report.position), max(head, report.head)
                    yield Progress(seen, head)
                elif report.position > seen:
                    _follow(orders, report)
                    yield report
            death = child.death()
        if death is None:
            break
        if seen < 0:
            yield Finding(0, death)
            return
        if lost is None and seen >= slow_until:
            first, slow_until = max(seen, 1), seen + CHUNK_ENTRIES
            continue
        lost = lost or Finding(seen + 1, f"not read: {death}")
        first, stride = lost.position + stride, 2 * stride
        seen, slow_until = first - 1, first + CHUNK_ENTRIES
        if first > head:
            break
    else:
        yield Finding(seen + 1, f"given up after {CHILDREN_MAX} pages that could not be read")
    if lost:
        yield stretched(lost, max(head, lost.position))


def _follow(orders: set[Position], report: Report) -> None:
    if isinstance(report, Replaced):
        orders.add(report.ordered_by)
    elif isinstance(report, Ordering):
        orders.discard(report.position)


def walk(
    path: Path,
    first: Position = 1,
    slow_until: Position = 0,
    share: float = 1.0,
    orders: set[Position] | None = None,
) -> Iterator[Report]:
    """The walk itself, which whatever is wrong with the file may end, or the process with it.

    Entries up to `slow_until` are looked at, and reported, one at a time. `share` is the part of the time
    that is spent on reading, for who is in no hurry; the rest is slept. `orders` are entries that are
    already known to have ordered an erasure; without it nothing is said of erasures.
    """
    if first == 1:
        try:
            refuse_if_short(path)
        except Damaged as error:
            yield Finding(0, str(error))
    with closing(LmdbTables(path, read_only=True)) as tables:
        if first == 1 and tables.damaged_dictionaries:
            yield Finding(0, "one of the two copies of the dictionary is damaged; the other one is whole")
        if first == 1 and (finding := tables.page_finding()):
            yield Finding(0, finding)
        yield from _walk(tables, first, slow_until, share, orders)


def _walk(
    tables: LmdbTables, first: Position, slow_until: Position, share: float, orders: set[Position] | None
) -> Iterator[Report]:
    head = tables.count()
    yield Progress(first - 1, head)
    began = time.perf_counter()
    seen, upto = 0, first - 1
    compression = Compression(tables.dictionary) if tables.dictionary else None
    is_long = (
        share == 1 and head - max(first, slow_until) >= ENTRIES_FOR_TWO and len(os.sched_getaffinity(0)) > 1
    )
    with Assistant(tables.path) if is_long else nullcontext() as assistant:
        for verified in _verified(tables, first, slow_until, compression, assistant):
            if verified.first > upto + 1:
                yield stretched(Finding(upto + 1, "missing"), verified.first - 1)
            yield from _told(tables, verified, orders, compression)
            seen, upto = seen + verified.entries, verified.last
            head = max(head, upto)
            yield Progress(upto, head)
            if share < 1:
                time.sleep((time.perf_counter() - began) * (1 / share - 1))
                began = time.perf_counter()
    count = tables.count()
    # Unless there are more by now, because somebody appends, there have to be as many as were seen.
    if first == 1 and seen != count and _next_after(tables, upto) is None:
        yield Finding(upto + 1, f"{count} entries are stored, it says, but {seen} can be found")


def _verified(
    tables: LmdbTables,
    first: Position,
    slow_until: Position,
    compression: Compression | None,
    assistant: Assistant | None,
) -> Iterator[Verified]:
    """What there is from a position on, in order; two stretches at a time if there is somebody to help."""
    after, is_first = first - 1, True
    # Whoever appends meanwhile must not make a hole of what one of the two came too early for.
    settled = tables.count()
    while True:
        verified: Verified | None
        if assistant is not None and slow_until <= after <= settled - 2 * CHUNK_ENTRIES:
            between, until = after + CHUNK_ENTRIES, after + 2 * CHUNK_ENTRIES
            assistant.begin(between, until)
            for verified in (
                read_and_verify(tables, after, between, compression, is_first=is_first),
                assistant.end(),
            ):
                if verified is not None:
                    yield verified
            after = until
        else:
            until = after + (1 if after < slow_until else CHUNK_ENTRIES)
            verified = read_and_verify(tables, after, until, compression, is_first=is_first)
            if verified is not None:
                yield verified
                after = verified.last
            elif (following := _next_after(tables, until)) is not None:
                after = following - 1
            else:
                return
        is_first = False


def _next_after(tables: LmdbTables, position: Position) -> Position | None:
    stored = tables.stored(position, POSITION_MAX, entries_max=1)
    return stored[0][0] if stored else None


def _told(
    tables: LmdbTables,
    verified: Verified,
    orders: set[Position] | None,
    compression: Compression | None,
) -> Iterator[Report]:
    """Findings, and if they are asked for the erasures and what ordered them."""
    if orders is None:
        yield from (verdict for verdict in verified.verdicts if isinstance(verdict, Finding))
        return
    orders.update(verdict.ordered_by for verdict in verified.verdicts if isinstance(verdict, Replaced))
    reports: list[Report] = list(verified.verdicts)
    for position in [order for order in orders if verified.first <= order <= verified.last]:
        with suppress(Damaged):  # which was found already
            if (data := tables.get(position)) is not None:
                reports.append(Ordering(position, unseal(data, position, None, compression).payload))
                orders.remove(position)
    # An order may have been replaced itself.
    yield from sorted(reports, key=lambda report: report.position)


def main(path: str, first: str = "1", slow_until: str = "0", share: str = "1", erasures: str = "") -> int:
    leave_no_core()
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=set[Position]) if erasures else None
    try:
        for report in walk(Path(path), int(first), int(slow_until), float(share), orders):
            sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
            sys.stdout.buffer.flush()  # what is still in a buffer dies with the process
    except (Damaged, EOFError, *DAMAGE) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
