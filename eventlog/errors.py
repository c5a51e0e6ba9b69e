"""What can go wrong with a log, as its callers need to tell it apart.

LogError
├── Conflict   someone else appended; nothing of this call was written
├── Unknown    the batch may or may not be on disk; settle it by reading
├── Full       no room left; nothing of this call was written, try again when there is
├── Closed     the log was closed, or stopped accepting writes after an earlier Unknown
├── Damaged    stored bytes are not what was written; says where and what to do
├── Locked     another process owns the log; says which
└── Unsuitable the place cannot keep a log
"""

from eventlog.log import Position


class LogError(Exception):
    """Whatever a log raises on purpose is one of the kinds below; this itself, if it cannot be opened."""


class Conflict(LogError):
    """The head was not where the caller thought it was. Nothing was written."""

    def __init__(self, *, expected: Position, head: Position) -> None:
        super().__init__(f"append expected the head at {expected}, but it is at {head}")
        self.expected = expected
        self.head = head


class Unknown(LogError):
    """The storage failed while making a batch durable: it may or may not be there."""


class Full(LogError):
    """There is no room for the batch. Nothing was written and the log goes on."""


class Closed(LogError):
    """The log no longer accepts this call."""


class Locked(LogError):
    """Another process owns this log; one log has one owner."""


class Unsuitable(LogError):
    """The file system cannot keep a log: what it does with locks and maps is not to be trusted."""


class Damaged(LogError):
    """An entry is missing, or its bytes are not those that were appended."""

    def __init__(self, message: str, *, position: Position | None = None) -> None:
        super().__init__(message)
        self.position = position
