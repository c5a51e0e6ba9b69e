"""Verifies stretches of a log, each by itself: so that a walk can have two verified at once.

A stretch needs nothing of the one before it but the chain of its last entry, which stands in that entry's
header; whether the header is right is found in its own stretch. Reading is the smaller part of a walk,
hashing and decompressing the larger one. So of a long log every other stretch is verified by a second
process, the assistant, which sees no file and ends with who started it.

    python -m eventlog.verifying     what the assistant runs: frames of MessagePack, one in, one out

What that is worth is measured in `check.py`.
"""

import subprocess
import sys
from hashlib import sha256
from struct import Struct
from typing import IO, Self, TypeAlias

import msgspec

from eventlog.compression import Compression
from eventlog.envelope import HEADER, chain_of, unseal
from eventlog.errors import Damaged
from eventlog.log import Position
from eventlog.reading_child import command, environment


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


class Stretch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    entries: list[tuple[Position, bytes]]
    """As they are stored, in order; some may be missing."""
    expected: Position
    """Where the first of them should be."""
    previous: bytes | None
    """The chain of the entry before; `None` if it is unknown, and that one link is not verified."""

    @property
    def chain(self) -> bytes | None:
        """What the header of the last entry says, for whoever verifies the next stretch."""
        _, data = self.entries[-1]
        return chain_of(data) if len(data) >= HEADER.size else None


def verify(stretch: Stretch, compression: Compression | None) -> list[Verdict]:
    """What is wrong in a stretch, and what was erased in it, in the order of the entries."""
    verdicts: list[Verdict] = []
    expected, previous = stretch.expected, stretch.previous
    for position, data in stretch.entries:
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
            previous = chain_of(data) if len(data) >= HEADER.size else None
        expected = position + 1
    return verdicts


def stretched(finding: Finding, until: Position) -> Finding:
    """A finding about one entry, said of all entries from there on."""
    entries = f"entry {until}" if until == finding.position else f"entries {finding.position} to {until}"
    return Finding(finding.position, f"{entries}: {finding.what}")


class Assistant:
    """Verifies one stretch while somebody else does something else. `begin` and `end` take turns."""

    def __init__(self, dictionary: bytes) -> None:
        self._process = subprocess.Popen(
            command("eventlog.verifying"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        _write(self._stdin, dictionary)

    def begin(self, stretch: Stretch) -> None:
        _write(self._stdin, _encode(stretch))

    def end(self) -> list[Verdict]:
        """Raises `EOFError` if the assistant is gone."""
        return _decode_verdicts(_read(self._stdout))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


_LENGTH = Struct(">Q")
_encode = msgspec.msgpack.Encoder().encode
_decode_stretch = msgspec.msgpack.Decoder(Stretch).decode
_decode_verdicts = msgspec.msgpack.Decoder(list[Verdict]).decode


def _write(output: IO[bytes], body: bytes) -> None:
    output.write(_LENGTH.pack(len(body)))
    output.write(body)
    output.flush()


def _read(source: IO[bytes]) -> bytes:
    prefix = source.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        raise EOFError("nothing more comes")
    (length,) = _LENGTH.unpack(prefix)
    body = source.read(length)
    if len(body) < length:
        raise EOFError("the rest does not come")
    return body


def main() -> int:
    source, output = sys.stdin.buffer, sys.stdout.buffer
    try:
        dictionary = _read(source)
        compression = Compression(dictionary) if dictionary else None
        while True:
            _write(output, _encode(verify(_decode_stretch(_read(source)), compression)))
    except (EOFError, BrokenPipeError):  # who walks has come to the end, or is gone
        return 0


if __name__ == "__main__":
    sys.exit(main())
