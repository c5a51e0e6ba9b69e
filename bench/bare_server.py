"""The server with something left out of a send, to see what is left of its speed: `bare.py` says what for.

    python -m bench.bare_server answered serve …     as `server.cli`, and nothing is decided, stored or folded
                                decided              it is decided what to do, and nothing is done
                                unlogged             everything is done but for the log: nothing is durable
                                appended             the same prepared entry is appended for each send
                                least                what the promises demand is done, and nothing else
                                everything           nothing is left out

It makes no log that anybody could use. Run as a process: prints its address, serves until it is killed.
"""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from projections import dedup, timeline
from projections.facts import Fact, Order, RoomEvent, Transaction
from projections.projection import Fold
from projections.tables import Key, Table, event_key, order_key, text_key
from projections.timeline import Moment, Tip
from projections.view import WritableView
from projections.views import Update
from server import writer
from server.api import room_events
from server.cli import main as command_line
from server.rooms import canonical_json
from server.rooms.event_format import MessageForm
from server.rooms.sending import SendMessage, send_message
from server.writer import Decided, Turn, Writer

LEFT = ("answered", "decided", "unlogged", "appended", "least", "everything")
_EVENT_ID = "$" + "c" * 43
_AUTH_EVENTS = ("$" + "a" * 43, "$" + "b" * 43)
_PREVIOUS = ("$" + "p" * 43,)
_DEPTH = 164
_EVENT = {
    "auth_events": _AUTH_EVENTS,
    "content": {"body": "as long as messages are", "msgtype": "m.text"},
    "depth": _DEPTH,
    "hashes": {"sha256": "h" * 43},
    "origin_server_ts": 1_700_003_026_178,
    "prev_events": _PREVIOUS,
    "room_id": "!" + "r" * 43,
    "sender": "@sender10:localhost",
    "type": "m.room.message",
}
_STORED = msgspec.Raw(msgspec.json.encode(_EVENT))
_TABLES: dict[str, Table[Any]] = {
    table.name: table for projection in (timeline.PROJECTION, dedup.PROJECTION) for table in projection.tables
}
_ORDERS, _ORDERS_IN_ROOM = _TABLES["timeline.orders"], _TABLES["timeline.orders_in_room"]
_TIPS, _TRANSACTIONS = _TABLES["timeline.tips"], _TABLES["dedup.facts"]

_forms: dict[tuple[str, str], MessageForm] = {}


def _answered(turn: Turn, request: SendMessage) -> Decided[str]:
    return Decided(_EVENT_ID)


def _decided(turn: Turn, request: SendMessage) -> Decided[str]:
    return Decided(send_message(turn, request).answer)


def _appended(turn: Turn, request: SendMessage) -> Decided[str]:
    return Decided(_EVENT_ID, [RoomEvent(_EVENT_ID, _STORED, request.transaction)])


def _least(turn: Turn, request: SendMessage) -> Decided[str]:
    sender, room_id, transaction = request.session.user_id, request.room_id, request.transaction
    form = _forms.get((sender, room_id))
    if form is None:
        form = _forms[sender, room_id] = MessageForm(request.event_type, sender, room_id, _AUTH_EVENTS)
    if transaction is None or turn.view.get(_TRANSACTIONS, _transaction_key(form, transaction)) is not None:
        raise LookupError("the benchmark sends with transactions and repeats none")
    sealed = form.seal(canonical_json.encode(request.content), _DEPTH, turn.now, _PREVIOUS)
    fact = RoomEvent(sealed.event_id, sealed.stored, transaction)
    fact.__dict__["form"] = form
    return Decided(sealed.event_id, [fact])


def _transaction_key(form: MessageForm, transaction: Transaction) -> Key:
    return text_key(form.sender) + text_key(transaction.request) + transaction.id.encode()


class _FoldOfNothing(Fold):
    def apply(self, view: object, first: Order, facts: Sequence[Fact]) -> None:
        pass


class _FoldOfRows(Fold):
    def apply(self, view: WritableView, first: Order, facts: Sequence[Fact]) -> None:
        for order, fact in enumerate(facts, first):
            if isinstance(fact, RoomEvent) and fact.transaction is not None:
                form: MessageForm = fact.__dict__["form"]
                room = text_key(form.room_id)
                view.put(_ORDERS, event_key(fact.event_id), order)
                view.put(_ORDERS_IN_ROOM, room + order_key(order), None)
                view.put(_TIPS, room, Tip(fact.event_id, _DEPTH, order, Moment(0, order)))
                view.put(_TRANSACTIONS, _transaction_key(form, fact.transaction), order)


async def _append_nothing(self: Writer, update: Update, payloads: Sequence[bytes]) -> None:
    pass


def leave_out(left: str) -> None:
    """From now on, and in this whole process."""
    if left == "answered":
        vars(room_events)["send_message"] = _answered
    elif left == "decided":
        vars(room_events)["send_message"] = _decided
    elif left == "unlogged":
        Writer._append = _append_nothing  # type: ignore[method-assign]
    elif left == "appended":
        vars(room_events)["send_message"] = _appended
        vars(writer)["Fold"] = _FoldOfNothing
    elif left == "least":
        vars(room_events)["send_message"] = _least
        vars(writer)["Fold"] = _FoldOfRows
    elif left != "everything":
        raise SystemExit(f"{', '.join(LEFT)}: one of these, not {left!r}")


if __name__ == "__main__":
    leave_out(sys.argv.pop(1))
    command_line()
