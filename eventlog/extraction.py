"""Takes entries out of a log, however damaged its file is, up to the damage.

A child process reads and this one verifies, so that a page that kills its reader ends neither a backup
nor a salvage: it is `Damaged` like any other, with the entry's position. The child hands them out in their
envelopes, because of an erased payload nothing else is left that a copy could have the same chain by.

Reads beside a live owner, with no read transaction longer than a chunk.

    python -m eventlog.extraction PATH AFTER UNTIL SLOW_UNTIL     what the child runs: frames of MessagePack

Measured (2 cores, busy with other things, 1,000,000 entries of 390 bytes, cached): 320,000 entries/s
out of the log, 110,000 into another one.
"""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from struct import Struct
from typing import IO, TypeAlias

import msgspec

from eventlog.compression import Compression
from eventlog.envelope import NO_PREVIOUS, unseal
from eventlog.errors import Damaged
from eventlog.lmdb_file import DAMAGE, DATA_FILE, LmdbTables
from eventlog.log import Entry, Position
from eventlog.reading_child import ReadingChild, leave_no_core

CHUNK_ENTRIES = 4096
CHUNK_BYTES = 4 * 1024 * 1024

_FRAME_BYTES = Struct(">Q")


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The first frame: which log it is, and how many entries LMDB believes to hold."""

    identity: str
    dictionary: bytes
    head: Position


class Chunk(msgspec.Struct, frozen=True, tag="chunk"):
    entries: list[tuple[Position, bytes]]


_Frame: TypeAlias = Opened | Chunk
_decode = msgspec.msgpack.Decoder(_Frame).decode
_encode = msgspec.msgpack.Encoder().encode


class Extraction:
    """The entries that a log held when this was made, each verified before it is handed out."""

    def __init__(self, path: Path) -> None:
        """Raises `FileNotFoundError` if there is no log at `path`, `Damaged` if it cannot be opened."""
        if not (path / DATA_FILE).exists():
            raise FileNotFoundError(f"there is no log at {path}")
        self._path = path
        self.head: Position = 0
        self.position: Position = 0
        """Up to here everything was handed out."""
        self.chain = NO_PREVIOUS
        """Of the entry at `position`."""
        self.erased: dict[Position, Position] = {}
        """Those among what was handed out whose payload is gone, with the entry that ordered it last."""
        with self._child(0) as child:
            opened = next(_frames(child.output), None)
            if not isinstance(opened, Opened):
                raise Damaged(f"{path} cannot be opened: {child.death()}")
        self.identity, self.head, self.dictionary = opened.identity, opened.head, opened.dictionary
        self._compression = Compression(opened.dictionary) if opened.dictionary else None

    def chunks(self) -> Iterator[list[Entry]]:
        """Entries, in order, up to `head`.

        Raises `Damaged` for the first entry that cannot be read or does not hold; by then everything
        before it was handed out.
        """
        slow_until = 0
        while self.position < self.head:
            with self._child(slow_until) as child:
                for frame in _frames(child.output):
                    if isinstance(frame, Chunk):
                        yield from self._verified(frame.entries)
                death = child.death()
            missing = self.position + 1
            if death is None and missing <= self.head:
                raise Damaged(f"entry {missing}: missing", position=missing)
            if death is not None and self.position < slow_until:
                raise Damaged(f"entry {missing}: cannot be read: {death}", position=missing)
            slow_until = self.position + CHUNK_ENTRIES

    def _verified(self, entries: list[tuple[Position, bytes]]) -> Iterator[list[Entry]]:
        whole: list[Entry] = []
        try:
            for position, data in entries:
                expected = self.position + 1
                if position != expected:
                    raise Damaged(f"entry {expected}: missing", position=expected)
                entry = unseal(data, position, self.chain, self._compression)
                self.chain = entry.chain
                if entry.erased is not None:
                    self.erased[position] = entry.erased.ordered_by
                self.position = position
                whole.append(entry)
        except Damaged:
            if whole:
                yield whole
            raise
        yield whole

    def _child(self, slow_until: Position) -> ReadingChild:
        return ReadingChild("eventlog.extraction", self._path, self.position, self.head, slow_until)


def _frames(output: IO[bytes]) -> Iterator[_Frame]:
    """Until the output ends; half a frame of a child that died is none."""
    while len(prefix := output.read(_FRAME_BYTES.size)) == _FRAME_BYTES.size:
        (length,) = _FRAME_BYTES.unpack(prefix)
        body = output.read(length)
        if len(body) < length:
            return
        yield _decode(body)


def read(path: Path, after: Position, until: Position, slow_until: Position) -> Iterator[_Frame]:
    """What the child does, which whatever is wrong with the file may end, or the process with it."""
    with closing(LmdbTables(path, read_only=True)) as tables:
        yield Opened(tables.identity, tables.dictionary, tables.count())
        while after < until:
            entries_max = 1 if after < slow_until else CHUNK_ENTRIES
            entries = tables.stored(after, until, entries_max=entries_max, bytes_max=CHUNK_BYTES)
            if not entries:
                return
            yield Chunk(entries)
            after = entries[-1][0]


def main(path: str, after: str, until: str, slow_until: str) -> int:
    leave_no_core()
    output = sys.stdout.buffer
    try:
        for frame in read(Path(path), int(after), int(until), int(slow_until)):
            body = _encode(frame)
            output.write(_FRAME_BYTES.pack(len(body)) + body)
            output.flush()  # what is still in a buffer dies with the process
    except (Damaged, *DAMAGE) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
