"""What an entry looks like in storage, the same in every engine: a header, then the payload.

    offset  size  field       (big endian, 80 bytes in all)
         0     1  version     1
         1     1  flags       bit 0: the payload was erased; the other bits are 0
         2     2  reserved    0
         4     4  length      of the payload, in bytes
         8     8  position
        16    32  digest      SHA-256 of the payload
        48    32  previous    chain of the entry before; 32 zero bytes for the first
        80     …  payload

An entry's *chain* is the SHA-256 of its header. The header holds the payload's digest and the
chain of the entry before, so one chain stands for the whole log up to its entry. It does not run
over the payload itself: where the law demands it, a payload can be cut off later, its length and
digest staying behind, and every chain after it still holds. The erased flag is the one thing in
a header that may ever change, so it is hashed as 0.
"""

from hashlib import sha256
from struct import Struct

from eventlog.errors import Damaged
from eventlog.log import Entry, Position

VERSION = 1
ERASED = 0b0000_0001
HEADER = Struct(">BBHIQ32s32s")
PAYLOAD_BYTES_MAX = 2**32 - 1 - HEADER.size
"""Both the length field and an LMDB value end at 32 bits."""

NO_PREVIOUS = bytes(32)


def seal(position: Position, payload: bytes, previous: bytes) -> tuple[bytes, bytes]:
    """The entry as it is stored, and its chain, which is the `previous` of the next one."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        raise ValueError(f"a payload of {len(payload)} bytes; an entry holds {PAYLOAD_BYTES_MAX} at most")
    digest = sha256(payload).digest()
    header = HEADER.pack(VERSION, 0, 0, len(payload), position, digest, previous)
    return header + payload, sha256(header).digest()


def chain_of(data: bytes) -> bytes:
    """The chain of a stored entry, whether or not anything else about it holds."""
    header = data[: HEADER.size]
    if len(header) > 1 and header[1] & ERASED:
        header = header[:1] + bytes((header[1] & ~ERASED,)) + header[2:]
    return sha256(header).digest()


def unseal(data: bytes, position: Position, previous: bytes | None) -> Entry:
    """Verify a stored entry and take it apart. The payload of an erased entry is `b""`.

    `position` is where it was found. `previous` is the chain of the entry before, or None if
    that is unknown, in which case this one link of the chain is not verified.

    Raises `Damaged` for the first thing that does not hold.
    """
    if len(data) < HEADER.size:
        raise _damaged(position, f"{len(data)} bytes are stored, fewer than a header has")
    version, flags, reserved, length, stored_position, digest, stored_previous = HEADER.unpack_from(data)
    if version != VERSION or flags & ~ERASED or reserved:
        raise _damaged(position, f"cannot decode version {version}, flags {flags:#04x}, reserved {reserved}")
    if stored_position != position:
        raise _damaged(position, f"its header says position {stored_position}")
    payload = data[HEADER.size :]
    if flags & ERASED:
        if payload:
            raise _damaged(position, f"marked as erased, but {len(payload)} bytes of payload are stored")
    elif len(payload) != length:
        raise _damaged(position, f"{len(payload)} bytes of payload are stored, its header says {length}")
    elif sha256(payload).digest() != digest:
        raise _damaged(position, "wrong digest: the payload is not the one that was appended")
    if previous is not None and stored_previous != previous:
        raise _damaged(position, "broken chain: it does not continue the entry before it")
    return Entry(position, payload, digest, chain_of(data))


def _damaged(position: Position, what: str) -> Damaged:
    return Damaged(f"entry {position}: {what}", position=position)
