"""What an entry looks like in storage, the same in every engine: a header, then the payload.

    offset  size  field       (big endian, 80 bytes in all)
         0     1  version     1
         1     1  flags       bit 0: the payload was erased; bit 1: it stands compressed; the others are 0
         2     2  reserved    0
         4     4  length      of the payload, in bytes
         8     8  position
        16    32  digest      SHA-256 of the payload
        48    32  previous    chain of the entry before; 32 zero bytes for the first
        80     …  payload, or what `compression.py` makes of it; or, if it was erased:
        80     8  ordered by  the position of the entry that says why
        88    32  seal        SHA-256 of the chain, the field before this one and the replacement
       120     …  replacement

An entry's *chain* is the SHA-256 of its header. The header holds the payload's digest and the
chain of the entry before, so one chain stands for the whole log up to its entry. It does not run
over the payload itself: where the law demands it, a payload can be replaced later, its length and
digest staying behind, and every chain after it still holds. The flags say how a payload is kept and
not what the entry says, and may change, so they are hashed as 0: a log has the same chains whether or not
it is compressed. Length and digest are those of the payload as it was appended.

The digest says nothing of a replacement. Against rot that has its seal, which binds it to this one
entry; against forgery the entry that ordered it, which is in the chain and may state a digest of it.
"""

from hashlib import sha256
from struct import Struct

from eventlog.compression import Compression
from eventlog.errors import Damaged
from eventlog.log import Entry, Erased, Position

VERSION = 1
ERASED = 0b0000_0001
COMPRESSED = 0b0000_0010
HEADER = Struct(">BBHIQ32s32s")
ERASURE = Struct(">Q32s")
PAYLOAD_BYTES_MAX = 2**32 - 1 - HEADER.size
"""Both the length field and an LMDB value end at 32 bits."""

NO_PREVIOUS = bytes(32)


def seal(
    position: Position,
    payload: bytes | Erased,
    previous: bytes,
    compression: Compression | None = None,
) -> tuple[bytes, bytes]:
    """The entry as it is stored, and its chain, which is the `previous` of the next one.

    A payload that does not get shorter by compressing is stored as it is, and so is a replacement.
    """
    if isinstance(payload, Erased):
        header = HEADER.pack(VERSION, ERASED, 0, payload.length, position, payload.digest, previous)
        return erase(header, payload.payload, payload.ordered_by), chain_of(header)
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"a payload of {len(payload)} bytes; an entry holds {PAYLOAD_BYTES_MAX} at most")
    header = HEADER.pack(VERSION, 0, 0, len(payload), position, sha256(payload).digest(), previous)
    chain = sha256(header).digest()
    if compression is not None and len(compressed := compression.compress(payload)) < len(payload):
        return b"".join((_COMPRESSED_START, header[2:], compressed)), chain
    return header + payload, chain


_PLAIN_START = bytes((VERSION, 0))
_COMPRESSED_START = bytes((VERSION, COMPRESSED))


def erase(data: bytes, replacement: bytes, ordered_by: Position) -> bytes:
    """A stored entry with another payload, ordered by a later entry, behind the same header."""
    if len(replacement) > PAYLOAD_BYTES_MAX - ERASURE.size:
        raise ValueError(f"{len(replacement)} bytes cannot stand for an erased payload")
    header = data[:1] + bytes((ERASED,)) + data[2 : HEADER.size]
    return header + ERASURE.pack(ordered_by, _seal_of(header, replacement, ordered_by)) + replacement


def _seal_of(header: bytes, replacement: bytes, ordered_by: Position) -> bytes:
    return sha256(chain_of(header) + ordered_by.to_bytes(8) + replacement).digest()


_KNOWN_FLAGS = ERASED | COMPRESSED


def chain_of(data: bytes) -> bytes:
    """The chain of a stored entry, whether or not anything else about it holds."""
    header = data[: HEADER.size]
    if len(header) > 1 and header[1] & _KNOWN_FLAGS:
        header = header[:1] + bytes((header[1] & ~_KNOWN_FLAGS,)) + header[2:]
    return sha256(header).digest()


def unseal(
    data: bytes, position: Position, previous: bytes | None, compression: Compression | None = None
) -> Entry:
    """Verify a stored entry and take it apart.

    `position` is where it was found. `previous` is the chain of the entry before, or None if
    that is unknown, in which case this one link of the chain is not verified. `compression` is that
    of the log; an entry that needs one and finds none is damaged.

    Raises `Damaged` for the first thing that does not hold.
    """
    if len(data) < HEADER.size:
        raise _damaged(position, f"{len(data)} bytes are stored, fewer than a header has")
    version, flags, reserved, length, stored_position, digest, stored_previous = _unpack_header(data)
    if version != VERSION or flags not in _FLAGS or reserved:
        raise _damaged(position, f"cannot decode version {version}, flags {flags:#04x}, reserved {reserved}")
    if stored_position != position:
        raise _damaged(position, f"its header says position {stored_position}")
    payload, erased = data[HEADER.size :], None
    if flags == ERASED:
        erased = _unseal_erased(data, position, digest, length)
        payload = erased.payload
    else:
        if flags == COMPRESSED:
            if compression is None:
                raise _damaged(position, "compressed, in a log without a dictionary")
            try:
                payload = compression.decompress(payload, length)
            except ValueError as error:
                raise _damaged(position, f"cannot be decompressed: {error}") from error
        elif len(payload) != length:
            raise _damaged(position, f"{len(payload)} bytes of payload are stored, its header says {length}")
        if sha256(payload).digest() != digest:
            raise _damaged(position, "wrong digest: the payload is not the one that was appended")
    if previous is not None and stored_previous != previous:
        raise _damaged(position, "broken chain: it does not continue the entry before it")
    # As `chain_of`, whose questions have been answered: all entries of a log pass here.
    chain = sha256(_PLAIN_START + data[2 : HEADER.size]).digest()
    return Entry(position, payload, digest, chain, erased)


_FLAGS = (0, COMPRESSED, ERASED)
_unpack_header = HEADER.unpack_from


def _unseal_erased(data: bytes, position: Position, digest: bytes, length: int) -> Erased:
    if len(data) < HEADER.size + ERASURE.size:
        raise _damaged(position, "marked as erased, but it does not say by which entry")
    ordered_by, stored_seal = ERASURE.unpack_from(data, HEADER.size)
    replacement = data[HEADER.size + ERASURE.size :]
    if _seal_of(data[: HEADER.size], replacement, ordered_by) != stored_seal:
        raise _damaged(position, "wrong seal: what stands for its erased payload is not what was put there")
    if ordered_by <= position:
        raise _damaged(position, f"erased by order of entry {ordered_by}, which is not a later one")
    return Erased(replacement, digest, length, ordered_by)


def _damaged(position: Position, what: str) -> Damaged:
    return Damaged(f"entry {position}: {what}", position=position)
