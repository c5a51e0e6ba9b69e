"""An entry as one line of JSON: what `export` and `show --json` print and `import` reads.

The payload stands in the line as the very bytes that are in the log, because its digest is of those
bytes. They are compact JSON, so they hold no line break.
"""

import msgspec

from eventlog.log import Entry, Position


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    position: Position
    digest: str
    """SHA-256 of the payload, hexadecimal."""
    chain: str
    """Stands for the whole log up to this entry, hexadecimal."""
    facts: msgspec.Raw
    """The payload; `null` where it was erased."""


encode_line = msgspec.json.Encoder().encode
decode_line = msgspec.json.Decoder(Line).decode


def line_of(entry: Entry) -> bytes:
    """The line, with its line break."""
    facts = msgspec.Raw(entry.payload or b"null")
    return encode_line(Line(entry.position, entry.digest.hex(), entry.chain.hex(), facts)) + b"\n"
