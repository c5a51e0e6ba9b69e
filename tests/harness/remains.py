"""Looks for what was said in the raw bytes of files, as somebody would who got hold of them.

Entries of the log are compressed one by one, and the dictionary lies beside them: so wherever a frame begins,
in an entry or in what is left of one, it is decompressed as far as it goes.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import zstandard

from projections.dictionary import entry_dictionary

_FRAME_BEGINS = b"\x28\xb5\x2f\xfd"
_FRAME_BYTES_MAX = 1 << 20


def is_found(text: str, file: Path) -> bool:
    try:
        raw = bytes_on_disk(file)
    except FileNotFoundError:  # a server is at work, and it has just gone
        return False
    return text.encode() in raw or bool(_frames_with(text, raw))


def damage(text: str, file: Path) -> None:
    """Flip a bit in the middle of every compressed entry that holds a text, wherever a copy of it is left."""
    raw = bytearray(file.read_bytes())
    for start, length in _frames_with(text, bytes(raw)):
        raw[start + length // 2] ^= 0b100
    file.write_bytes(raw)


def bytes_on_disk(file: Path) -> bytes:
    """All that has blocks: the views' file is as long as its map, and most of it is a hole."""
    found, length = [], file.stat().st_size
    with file.open("rb") as opened:
        end = 0
        while end < length:
            try:
                start = os.lseek(opened.fileno(), end, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            end = os.lseek(opened.fileno(), start, os.SEEK_HOLE)
            found.append(os.pread(opened.fileno(), end - start, start))
    return b"".join(found)


def _frames_with(text: str, raw: bytes) -> list[tuple[int, int]]:
    """Where they begin, and how long they are."""
    return [(start, length) for start, length, said in _frames(raw) if text.encode() in said]


def _frames(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    dictionary = zstandard.ZstdCompressionDict(entry_dictionary())
    at = raw.find(_FRAME_BEGINS)
    while at >= 0:
        frame = zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()
        # It may be the beginning of something else, or of what is not whole any more.
        with suppress(zstandard.ZstdError):
            data = raw[at : at + _FRAME_BYTES_MAX]
            said = frame.decompress(data)
            yield at, len(data) - len(frame.unused_data), said
        at = raw.find(_FRAME_BEGINS, at + 1)
