"""Holds what stands in the place of erased payloads against the entries that ordered it.

The log seals a replacement, so that rot in it is found; but a seal is easily made, and who can write to the
file could put there what they like. The order is in the chain, and has a digest of what it ordered. It says
so in a `PayloadErased`, of which the log knows nothing: hence this module.

The order that counts is the one that the entry names. Of several for one entry that is the last which was
carried out; one that has yet to be carried out concerns nobody here.

Where: `check`, `import`.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from eventlog.log import Position
from projections.facts import Fact, PayloadErased

_CLAIM = Struct(">Q32s")
"""Of all of a large log as little as possible is kept until the order is met."""


class Unordered(NamedTuple):
    position: Position
    what: str
    """A whole sentence, which names the entry."""


class Vouching:
    """For one pass over a log, from its first entry to the last."""

    def __init__(self) -> None:
        self._claims: dict[Position, bytearray] = {}

    def replaced(self, position: Position, ordered_by: Position, digest: bytes) -> None:
        """Something with this SHA-256 stands in the place of an erased payload."""
        self._claims.setdefault(ordered_by, bytearray()).extend(_CLAIM.pack(position, digest))

    def met(self, position: Position, facts: Iterable[Fact]) -> Iterator[Unordered]:
        """This entry was met. Yields what it is said to have ordered and has not."""
        claims = self._claims.pop(position, b"")
        if not claims:
            return
        ordered: dict[Position, set[str]] = {}
        for fact in facts:
            if isinstance(fact, PayloadErased):
                ordered.setdefault(fact.position, set()).add(fact.digest)
        for erased, digest in _CLAIM.iter_unpack(claims):
            if erased not in ordered:
                yield _unordered(erased, f"erased by order of entry {position}, which orders no such thing")
            elif digest.hex() not in ordered[erased]:
                yield _unordered(
                    erased, f"what stands for its erased payload is not what entry {position} ordered"
                )

    def unmet(self) -> Iterator[Unordered]:
        """What is said to have been ordered by an entry that was not met."""
        for ordered_by, claims in sorted(self._claims.items()):
            for erased, _ in _CLAIM.iter_unpack(claims):
                yield _unordered(erased, f"erased by order of entry {ordered_by}, which cannot be found")


def _unordered(position: Position, what: str) -> Unordered:
    return Unordered(position, f"entry {position}: {what}")
