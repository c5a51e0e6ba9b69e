"""The transaction index: which event a request made, so that its repeat makes no second one.

The record is part of the same fact as the event. No crash can part them, and the index survives a
restart and a rebuild. Failed requests make no fact and so can be tried again.

Where: client-server API, "Transaction identifiers". Keys of one device are neighbours.
"""

from projections.facts import Order, RoomEvent, Transaction
from projections.projection import Projection
from projections.views import Key, Table, View, WritableView, key

_EVENT_IDS: Table[str] = Table("dedup.event_ids", str)


def apply(view: WritableView, _: Order, fact: RoomEvent) -> None:
    if fact.transaction is not None:
        view.put(_EVENT_IDS, _key(fact.event.sender, fact.transaction), fact.event_id)


PROJECTION = Projection(name="dedup", version=1, facts=(RoomEvent,), tables=(_EVENT_IDS,), apply=apply)


def event_made_by(view: View, user_id: str, transaction: Transaction) -> str | None:
    """The id of the event that this very request made before; `None` if it is new."""
    return view.get(_EVENT_IDS, _key(user_id, transaction))


def _key(user_id: str, transaction: Transaction) -> Key:
    return key((user_id, transaction.device_id), (transaction.request, transaction.id))
