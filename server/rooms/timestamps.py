"""Any decision, made as if it were another time: for events whose sender says when they were sent.

Only application services may say so. The event's place in its room and in the log is the one of now.
Where: application service API, "Timestamp massaging".
"""

from copy import copy
from typing import TypeVar

from server.writer import Decided, Decision, Turn

Arguments = TypeVar("Arguments")
Answer = TypeVar("Answer")


def dated(decision: Decision[Arguments, Answer], timestamp: int | None) -> Decision[Arguments, Answer]:
    """The decision whose events carry this time, in milliseconds. Without one it is the decision itself."""
    if timestamp is None:
        return decision

    def decide_dated(turn: Turn, arguments: Arguments) -> Decided[Answer]:
        then = copy(turn)
        then.now = timestamp
        return decision(then, arguments)

    return decide_dated
