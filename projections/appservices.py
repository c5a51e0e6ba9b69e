"""How far each application service has been told of the log: the newest transaction of each.

Where: application service API, "Pushing events".
"""

import msgspec

from projections.facts import AppserviceTransactionBegun, Order
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class AppserviceTransaction(msgspec.Struct, frozen=True, array_like=True):
    """As in `AppserviceTransactionBegun`."""

    number: int
    orders: tuple[Order, ...]
    upto: Order


_NEWEST: Table[AppserviceTransaction] = Table("appservices.newest", AppserviceTransaction)


def apply(view: WritableView, _: Order, fact: AppserviceTransactionBegun) -> None:
    transaction = AppserviceTransaction(fact.number, fact.orders, fact.upto)
    view.put(_NEWEST, key(fact.appservice_id), transaction)


PROJECTION = Projection(
    name="appservices",
    version=1,
    facts=(AppserviceTransactionBegun,),
    tables=(_NEWEST,),
    apply=apply,
)


def newest_transaction(view: View, appservice_id: str) -> AppserviceTransaction | None:
    """`None` for a service that was never seen."""
    return view.get(_NEWEST, key(appservice_id))
