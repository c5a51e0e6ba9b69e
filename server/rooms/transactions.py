"""Any decision, made once for each transaction: a repeat is answered what the first request was answered.

Sending an event needs none of this, for the event itself keeps its transaction. Where: client-server API,
"Transaction identifiers"; of 2015, the `PUT …/{txnId}` forms of the calls that change a membership or make
a room.
"""

from typing import TypeVar

from projections import dedup
from projections.facts import RequestAnswered, Transaction
from server.writer import Decided, Decision, Turn

Arguments = TypeVar("Arguments")
Answer = TypeVar("Answer")


def once(
    decision: Decision[Arguments, Answer], user_id: str, transaction: Transaction | None
) -> Decision[Arguments, Answer]:
    """The answer of the decision has to be JSON. Without a transaction it is the decision itself."""
    if transaction is None:
        return decision

    def decide_once(turn: Turn, arguments: Arguments) -> Decided[Answer]:
        known = dedup.answered(turn.view, user_id, transaction)
        if known is not None:
            return Decided(known.answer)
        decided = decision(turn, arguments)
        # Also where nothing changed: what would change later must not change by the repeat.
        record = RequestAnswered(user_id, transaction, decided.answer)
        return Decided(decided.answer, [*decided.facts, record])

    return decide_once
