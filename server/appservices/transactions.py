"""A transaction to an application service: put on record by a decision, rendered when it is sent.

On record before it is sent, so that after a crash the same events go out under the same id, and no event is
left out or goes out under two. A service drops what comes again by its id.

Where: application service API, "Pushing events".
"""

from typing import Any

import msgspec

from projections import appservices, timeline
from projections.appservices import AppserviceTransaction
from projections.facts import AppserviceTransactionBegun, Order
from projections.sessions import Session
from projections.view import View
from server.rooms.client_format import ClientFormat, stripped_state
from server.writer import Decided, Turn

EVENTS_MAX = 100


class BeginTransaction(msgspec.Struct, frozen=True):
    """The next transaction of a service, once it has acknowledged the one before."""

    appservice_id: str
    orders: tuple[Order, ...]
    upto: Order


def begin_transaction(turn: Turn, request: BeginTransaction) -> Decided[AppserviceTransaction]:
    newest = appservices.newest_transaction(turn.view, request.appservice_id)
    number = 0 if newest is None else newest.number + 1
    begun = AppserviceTransactionBegun(request.appservice_id, number, request.orders, request.upto, turn.now)
    return Decided(AppserviceTransaction(number, request.orders, request.upto), [begun])


def content_of(view: View, transaction: AppserviceTransaction, now: int) -> bytes:
    """The body of the request. What was redacted since the transaction was begun is not shown any more."""
    formats: dict[str, ClientFormat] = {}
    events = [_shown(view, order, now, formats) for order in transaction.orders]
    return msgspec.json.encode({"events": events})


def _shown(view: View, order: Order, now: int, formats: dict[str, ClientFormat]) -> dict[str, Any]:
    """Through the eyes of the sender, who sees what they replaced; less what is only their business."""
    found = timeline.event_at(view, order)
    event = found.event
    if event.sender not in formats:
        formats[event.sender] = ClientFormat(view, Session(event.sender, ""), now, legacy=False)
    shown = formats[event.sender].event(found)
    unsigned = shown["unsigned"]
    for part in (unsigned, unsigned.get("redacted_because", {}).get("unsigned", {})):
        part.pop("membership", None)
        part.pop("transaction_id", None)
    if event.type == "m.room.member" and event.content.get("membership") == "invite":
        unsigned["invite_room_state"] = stripped_state(view, found)
    return shown
