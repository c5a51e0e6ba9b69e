"""Decision: take an event's content away.

The auth rules let every redaction of a local user in (they compare servers, and there is one), so the
client API asks for more: one's own event needs the level to send `m.room.redaction`, someone else's the
redact level as well.

Where: client-server API, "Redactions"; room version 3 and later, "Handling redactions".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from projections import dedup, timeline
from projections.facts import Transaction
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import draft_of, levels_in
from server.writer import Decided, Turn


class Redact(msgspec.Struct, frozen=True):
    session: Session
    room_id: str
    event_id: str
    """What is to be redacted."""
    content: Mapping[str, Any]
    """Of the redaction: `reason`, and whatever else the client says."""
    transaction: Transaction | None = None


def redact(turn: Turn, request: Redact) -> Decided[str]:
    """Answers the id of the redaction event. A repeat of a transaction answers the first id."""
    sender = request.session.user_id
    if request.transaction is not None:
        made = dedup.event_made_by(turn.view, sender, request.transaction)
        if made is not None:
            return Decided(made)
    draft = draft_of(turn, request.room_id)
    fact = draft.add(
        "m.room.redaction",
        sender,
        request.content,
        redacts=request.event_id,
        transaction=request.transaction,
    )
    target = timeline.event_by_id(turn.view, request.event_id)
    if target is None or target.room_id != request.room_id:
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such event in this room.")
    if target.event.sender != sender:
        levels = levels_in(draft.state)
        if levels.of(sender) < levels.redact:
            raise MatrixError(
                ErrorCode.FORBIDDEN, f"Redacting other people's events needs power level {levels.redact}."
            )
    return Decided(fact.event_id, draft.facts)
