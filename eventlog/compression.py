"""Payloads made short: each by itself, with the help of a dictionary of what the entries of a log repeat.

An entry of a few hundred bytes repeats little of itself, but nearly all of its form is that of every other
one. A dictionary is some kilobytes of such forms, trained once and shipped; it must hold nothing that
anybody said, for it can never be erased. Each payload stands by itself, so that any one can be read, and
erased, without its neighbours.

    the frame, as zstd writes it    then its CRC-32, 4 bytes little endian

The envelope's digest speaks of the payload. There are bits in a frame that zstd does not look at, so that one
of them could be flipped and the payload still be whole; the checksum is there so that none goes unnoticed.

Measured (2 cores, `python -m bench.dictionary`), bytes that are left of entries of JSON and the time to
compress and to decompress, checksum included:

    level -7    368 bytes    1.7 µs    0.9 µs
          -3    360          1.9       0.9
           1    288          2.7       1.8
           3    288          3.8       1.8

Levels below 1 do without the coding of single letters, which takes the time of whoever reads. A log is
written once and read again and again: by each rebuild, check and backup, all of them as fast as this is. What
is left is mostly hashes, of which an entry has six or seven; larger dictionaries do not help.
"""

from zlib import crc32

import zstandard
from zstandard import frame_content_size

LEVEL = -3
_CHECKSUM_BYTES = 4
_CHECKSUM_OF_WHOLE = 0x2144DF1C
"""The CRC-32 of anything with its own CRC-32 behind it."""


class Compression:
    """By one dictionary. For one thread at a time: it keeps the state of the last call."""

    def __init__(self, dictionary: bytes, level: int = LEVEL) -> None:
        """Raises `ValueError` if it is none."""
        try:
            prepared = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_FULLDICT)
            prepared.precompute_compress(level=level)
            # With its size a frame is decompressed in half the time.
            self._compress = zstandard.ZstdCompressor(
                level=level,
                dict_data=prepared,
                write_checksum=False,
                write_content_size=True,
                write_dict_id=False,
            ).compress
            self._decompress = zstandard.ZstdDecompressor(dict_data=prepared).decompress
        except zstandard.ZstdError as error:
            raise ValueError(f"no dictionary: {error}") from error

    def compress(self, payload: bytes) -> bytes:
        frame = self._compress(payload)
        return frame + crc32(frame).to_bytes(_CHECKSUM_BYTES, "little")

    def decompress(self, data: bytes, length: int) -> bytes:
        """The payload of `length` bytes that becomes `data` by compressing; `ValueError` if there is none."""
        if crc32(data) != _CHECKSUM_OF_WHOLE:
            raise ValueError("wrong checksum")
        try:
            # So that a frame that somebody forged takes no more memory than its envelope says.
            if frame_content_size(data) != length:
                raise ValueError("a frame of another length")
            return self._decompress(data)
        except (zstandard.ZstdError, MemoryError) as error:
            raise ValueError(str(error)) from error
