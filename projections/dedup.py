"""The transaction index: what a request was answered, so that its repeat does nothing a second time.

The record is part of the same entry as what the request did: of the very fact where that is an event that
was sent, else a fact of its own beside the others. No crash can part them, and the index survives a
restart and a rebuild. Failed requests make no fact and so can be tried again.

Where: client-server API, "Transaction identifiers".
"""

from functools import lru_cache
from typing import Any

import msgspec

from projections.facts import Order, RequestAnswered, RoomEvent, Transaction
from projections.projection import Projection
from projections.tables import Key, Table, key
from projections.view import View, WritableView


class Answered(msgspec.Struct, frozen=True):
    """A request that was carried out before."""

    answer: Any
    """The id of the event that was sent, or what else the decision answered; `None` is an answer too."""


_FACTS: Table[Order] = Table("dedup.facts", int)
"""The fact that says what was answered: the event that was sent, or the record of the answer."""


def apply(view: WritableView, order: Order, fact: RoomEvent | RequestAnswered) -> None:
    if isinstance(fact, RequestAnswered):
        view.put(_FACTS, _key(fact.user_id, fact.transaction), order)
    elif fact.transaction is not None:
        view.put(_FACTS, _key(fact.event.sender, fact.transaction), order)


PROJECTION = Projection(
    name="dedup", version=3, facts=(RoomEvent, RequestAnswered), tables=(_FACTS,), apply=apply
)


def answered(view: View, user_id: str, transaction: Transaction) -> Answered | None:
    """What this very request was answered before; `None` if it is new."""
    order = view.get(_FACTS, _key(user_id, transaction))
    if order is None:
        return None
    fact = view.fact_at(order)
    if isinstance(fact, RoomEvent):
        return Answered(fact.event_id)
    if isinstance(fact, RequestAnswered):
        return Answered(fact.answer)
    raise LookupError(f"no request was answered by the fact with the order {order}")


def event_made_by(view: View, user_id: str, transaction: Transaction) -> str | None:
    """The id of the event that this very request sent before; `None` if it is new."""
    known = answered(view, user_id, transaction)
    return None if known is None else str(known.answer)


def _key(user_id: str, transaction: Transaction) -> Key:
    """Ids as clients count them stand next to each other, so that new rows meet on few pages."""
    scope, name = _scope(user_id, transaction.device_id, transaction.request), transaction.id.encode()
    return scope + (b"=" + name if len(name) <= _ID_BYTES_MAX else b"#" + key((transaction.id,)))


_ID_BYTES_MAX = 64
"""Of ids that stand in keys as they are; of longer ones there is a digest."""


@lru_cache(maxsize=1 << 12)
def _scope(user_id: str, device_id: str, request: str) -> Key:
    return key((user_id, device_id, request))
