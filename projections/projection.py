"""The shape of a projection: a fold with a name and a version.

A fold is `apply(view, order, fact)`. It depends on its arguments alone: no clock, no randomness, no
I/O, no configuration. A projection whose version differs from the one that wrote its tables is folded
anew from the first entry; so whoever changes what an `apply` writes raises the version.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from projections.facts import Fact, Order
from projections.tables import Table
from projections.view import WritableView

Apply: TypeAlias = Callable[[WritableView, Order, Any], None]


@dataclass(frozen=True)
class Projection:
    """A fold over the facts of the kinds that it names, into tables that nobody else touches."""

    name: str
    version: int
    facts: tuple[type, ...]
    """Facts of other kinds are not handed to `apply`."""
    tables: tuple[Table[Any], ...]
    apply: Apply


class Fold:
    """Several projections as one: hands every fact to those that asked for its kind."""

    def __init__(self, projections: Iterable[Projection]) -> None:
        self._applies: dict[type, tuple[Apply, ...]] = {}
        for projection in projections:
            for kind in projection.facts:
                self._applies[kind] = (*self._applies.get(kind, ()), projection.apply)

    def apply(self, view: WritableView, first: Order, facts: Sequence[Fact]) -> None:
        """Fold the facts of one entry, in their order."""
        for order, fact in enumerate(facts, first):
            for apply in self._applies.get(type(fact), ()):
                apply(view, order, fact)
