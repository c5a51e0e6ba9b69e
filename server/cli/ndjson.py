"""An entry as one line of JSON: what `export` and `show --json` print and `import` reads.

The payload stands in the line as the very bytes that are in the log, because its digest is of those
bytes. They are compact JSON, so they hold no line break. Where a payload was erased, its digest is still
there and what stands instead of it is in the line.
"""

from hashlib import sha256

import msgspec

from eventlog.log import Entry, Erased, Position


class Erasure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What else the header of an erased entry says; as in `eventlog.log.Erased`."""

    length: int
    ordered_by: Position


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    position: Position
    digest: str
    """SHA-256 of the payload as it was appended, hexadecimal."""
    chain: str
    """Stands for the whole log up to this entry, hexadecimal."""
    facts: msgspec.Raw
    """The payload, or what stands there instead."""
    erased: Erasure | None = None


encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(Line).decode


def line_of(entry: Entry) -> bytes:
    """The line, with its line break."""
    erased = None if entry.erased is None else Erasure(entry.erased.length, entry.erased.ordered_by)
    facts = msgspec.Raw(entry.payload)
    return encode_line(Line(entry.position, entry.digest.hex(), entry.chain.hex(), facts, erased)) + b"\n"


def payload_of(line: Line) -> bytes | Erased:
    """What a log appends to have the line's entry. Raises `ValueError` if the digest cannot be one."""
    payload = bytes(line.facts)
    if line.erased is None:
        return payload
    digest = bytes.fromhex(line.digest)
    if len(digest) != sha256().digest_size or not 0 <= line.erased.length < 1 << 32:
        raise ValueError("what it says of its erased payload cannot be")
    return Erased(payload, digest, line.erased.length, line.erased.ordered_by)
