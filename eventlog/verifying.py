"""Verifies stretches of a log, each by itself: so that a walk can have two verified at once.

A stretch needs nothing of the one before it but the chain of its last entry, which stands in that entry's
header; whether the header is right is found in its own stretch. So of a long log every other stretch is read
and verified by a second process, the assistant, which ends with who started it. A page that ends the
assistant ends them both, as if the other one had met it.

    python -m eventlog.verifying PATH     what the assistant runs: frames of MessagePack, one in, one out

What that is worth is measured by `python -m bench.rebuild`.
"""

import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import IO, Self, TypeAlias

import msgspec

from eventlog.compression import Compression
from eventlog.envelope import HEADER, NO_PREVIOUS, chain_of, unseal
from eventlog.errors import Damaged
from eventlog.lmdb_file import LmdbTables
from eventlog.log import Position
from eventlog.reading_child import command, environment, leave_no_core

_CHUNK_ENTRIES = 1024
_CHUNK_BYTES = 4 * 1024 * 1024


class Finding(msgspec.Struct, frozen=True, tag="finding"):
    """Something is wrong, at `position` or, if that is 0, with the file as a whole."""

    position: Position
    what: str


class Replaced(msgspec.Struct, frozen=True, tag="replaced"):
    """The payload of an entry was erased, as a later entry is said to have ordered."""

    position: Position
    ordered_by: Position
    digest: bytes
    """SHA-256 of what stands there instead."""


Verdict: TypeAlias = Finding | Replaced


class Verified(msgspec.Struct, frozen=True, array_like=True):
    """What there was between two positions. Nothing is said of what is missing before `first`."""

    first: Position
    last: Position
    entries: int
    verdicts: list[Verdict]


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    after: Position
    until: Position


def verify(
    entries: list[tuple[Position, bytes]],
    expected: Position,
    previous: bytes | None,
    compression: Compression | None,
) -> list[Verdict]:
    """What is wrong in a stretch, and what was erased in it, in the order of the entries.

    The entries are as they are stored, in order; some may be missing. `expected` is where the first of them
    should be. `previous` is the chain of the entry before; if it is `None`, that one link is not verified.
    """
    verdicts: list[Verdict] = []
    for position, data in entries:
        if position != expected:
            verdicts.append(stretched(Finding(expected, "missing"), position - 1))
            previous = None
        try:
            entry = unseal(data, position, previous, compression)
            previous = entry.chain
            if entry.erased is not None:
                digest = sha256(entry.payload).digest()
                verdicts.append(Replaced(position, entry.erased.ordered_by, digest))
        except Damaged as error:
            verdicts.append(Finding(position, str(error)))
            previous = chain_said_by(data)
        expected = position + 1
    return verdicts


def chain_said_by(data: bytes) -> bytes | None:
    """What the header of an entry says, for whoever verifies the next one."""
    return chain_of(data) if len(data) >= HEADER.size else None


def read_and_verify(
    tables: LmdbTables,
    after: Position,
    until: Position,
    compression: Compression | None,
    *,
    is_first: bool = False,
) -> Verified | None:
    """The entries between two positions, `until` among them; `None` if there are none.

    Of the `is_first` of a walk the link to the entry before is not verified, which may be what ended the walk
    before. Raises what `LmdbTables.stored` does.
    """
    previous = NO_PREVIOUS if after == 0 else None if is_first else _chain_at(tables, after)
    first, last, entries = 0, after, 0
    verdicts: list[Verdict] = []
    while last < until:
        # Not even looked at is what stands behind: it may be what ends the process.
        entries_max = min(until - last, _CHUNK_ENTRIES)
        stored = tables.stored(last, until, entries_max=entries_max, bytes_max=_CHUNK_BYTES)
        if not stored:
            break
        begins = stored[0][0]
        if not entries:
            first = begins
            previous = previous if begins == after + 1 else None
        verdicts += verify(stored, last + 1 if entries else begins, previous, compression)
        last, previous = stored[-1][0], chain_said_by(stored[-1][1])
        entries += len(stored)
    return Verified(first, last, entries, verdicts) if entries else None


def _chain_at(tables: LmdbTables, position: Position) -> bytes | None:
    data = tables.get(position)
    return None if data is None else chain_said_by(data)


def stretched(finding: Finding, until: Position) -> Finding:
    """A finding about one entry, said of all entries from there on."""
    entries = f"entry {until}" if until == finding.position else f"entries {finding.position} to {until}"
    return Finding(finding.position, f"{entries}: {finding.what}")


class Assistant:
    """Reads and verifies one stretch while somebody else does another. `begin` and `end` take turns."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            command("eventlog.verifying", path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def begin(self, after: Position, until: Position) -> None:
        """As `read_and_verify`, whose answer is what `end` returns."""
        _write(self._stdin, _encode(_Asked(after, until)))

    def end(self) -> Verified | None:
        """Raises `EOFError` if the assistant is gone."""
        verified: Verified | None = _decode_verified(_read(self._stdout))
        return verified

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


_LENGTH = Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode
_decode_asked = msgspec.msgpack.Decoder(_Asked).decode
_decode_verified = msgspec.msgpack.Decoder(Verified | None).decode


def _write(output: IO[bytes], body: bytes) -> None:
    output.write(_LENGTH.pack(len(body)))
    output.write(body)
    output.flush()


def _read(source: IO[bytes]) -> bytes:
    prefix = source.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        raise EOFError("the process that verified every other stretch is gone")
    (length,) = _LENGTH.unpack(prefix)
    body = source.read(length)
    if len(body) < length:
        raise EOFError("the process that verified every other stretch is gone")
    return body


def main(path: str) -> int:
    leave_no_core()
    source, output = sys.stdin.buffer, sys.stdout.buffer
    with closing(LmdbTables(Path(path), read_only=True)) as tables:
        compression = Compression(tables.dictionary) if tables.dictionary else None
        try:
            while True:
                asked = _decode_asked(_read(source))
                _write(output, _encode(read_and_verify(tables, asked.after, asked.until, compression)))
        except (EOFError, BrokenPipeError):  # who walks has come to the end, or is gone
            return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
