"""The filters that users put on the server, so that a sync names one instead of spelling it out.

Where: client-server API, "Filtering".
"""

from collections.abc import Iterator

from projections.facts import FilterStored, Order
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView

_FILTERS: Table[bytes] = Table("filters.filters", bytes)


def apply(view: WritableView, _: Order, fact: FilterStored) -> None:
    view.put(_FILTERS, key(fact.user_id, fact.filter_id), bytes(fact.definition))


PROJECTION = Projection(name="filters", version=1, facts=(FilterStored,), tables=(_FILTERS,), apply=apply)


def filter_of(view: View, user_id: str, filter_id: str) -> bytes | None:
    """The JSON of a filter; `None` if the user has none of this id."""
    return view.get(_FILTERS, key(user_id, filter_id))


def filters_of(view: View, user_id: str) -> Iterator[bytes]:
    """All filters of a user, in no order that means anything."""
    for _, definition in view.scan(_FILTERS, key(user_id)):
        yield definition
