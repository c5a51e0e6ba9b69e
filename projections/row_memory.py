"""Rows that were read or written lately, decoded: so that what every request asks for is decoded once.

A send looks at its sender's token and membership, at the room's last event, its create event and its
power levels. Each took LMDB, MessagePack and often JSON; from here it takes a look into a dictionary.

What is remembered is what was committed last. An update collects what it writes and hands it over when it
has been committed, so nobody sees a row too early, and an aborted update leaves nothing behind. A reader
that was begun before the last commit (none should be) is not answered from here.
"""

from collections.abc import Hashable, Mapping
from itertools import islice
from typing import Any, Final

ROW_BYTES_MAX: Final = 4_096
"""What is longer in the table is not remembered; with the number of rows, this bounds the memory."""
_SHARE_TO_FORGET: Final = 8


class RowMemory:
    """The rows of one table; when there are too many, those that came first are forgotten."""

    __slots__ = ("_most", "rows")

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows: dict[Any, Any] = {}

    def remember(self, at: Hashable, value: Any) -> None:
        self.rows[at] = value
        if len(self.rows) > self._most:
            for oldest in list(islice(self.rows, self._most // _SHARE_TO_FORGET + 1)):
                del self.rows[oldest]

    def forget(self, at: Hashable) -> None:
        self.rows.pop(at, None)


class RowMemories:
    """Those of all tables that have one."""

    def __init__(self, most_by_table: Mapping[str, int]) -> None:
        """How many rows of each table are remembered at most."""
        self.of_table = {name: RowMemory(most) for name, most in most_by_table.items() if most}
        self.commits = 0
        """Who looks at another state than that after this many commits must not look here."""
