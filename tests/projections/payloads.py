"""As much of a log as views ask for: payloads at positions, and a name."""

from eventlog.log import Position


class Payloads:
    def __init__(self, identity: str = "the log of this test") -> None:
        self.identity = identity
        self.kept: list[bytes] = []

    def payload_at(self, position: Position) -> bytes:
        if not 0 < position <= len(self.kept):
            raise LookupError(f"there is no entry {position}")
        return self.kept[position - 1]
