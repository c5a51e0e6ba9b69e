"""The server with something left out of a send, to see what is left of its speed: `bare.py` says what for.

    python -m bench.bare_server answered serve …     as `server.cli`, and nothing is decided, stored or folded
                                appended             the same prepared entry is appended for each send
                                unlogged             everything is done but for the log: nothing is durable

It makes no log that anybody could use. Run as a process: prints its address, serves until it is killed.
"""

import sys
from collections.abc import Sequence

import msgspec

from projections.facts import Fact, Order, RoomEvent
from projections.projection import Fold
from projections.views import Update
from server import writer
from server.api import room_events
from server.cli import main as command_line
from server.rooms.sending import SendMessage
from server.writer import Decided, Turn, Writer

_EVENT_ID = "$" + "c" * 43
_EVENT = {
    "auth_events": ["$" + "a" * 43, "$" + "b" * 43],
    "content": {"body": "as long as messages are", "msgtype": "m.text"},
    "depth": 164,
    "hashes": {"sha256": "h" * 43},
    "origin_server_ts": 1_700_003_026_178,
    "prev_events": ["$" + "p" * 43],
    "room_id": "!" + "r" * 43,
    "sender": "@sender10:localhost",
    "type": "m.room.message",
}
_STORED = msgspec.Raw(msgspec.json.encode(_EVENT))


def _answered(turn: Turn, request: SendMessage) -> Decided[str]:
    return Decided(_EVENT_ID)


def _appended(turn: Turn, request: SendMessage) -> Decided[str]:
    return Decided(_EVENT_ID, [RoomEvent(_EVENT_ID, _STORED, request.transaction)])


class _FoldOfNothing(Fold):
    def apply(self, view: object, first: Order, facts: Sequence[Fact]) -> None:
        pass


async def _append_nothing(self: Writer, update: Update, payloads: Sequence[bytes]) -> None:
    pass


def leave_out(left: str) -> None:
    """From now on, and in this whole process."""
    if left == "answered":
        vars(room_events)["send_message"] = _answered
    elif left == "appended":
        vars(room_events)["send_message"] = _appended
        vars(writer)["Fold"] = _FoldOfNothing
    elif left == "unlogged":
        Writer._append = _append_nothing  # type: ignore[method-assign]
    else:
        raise SystemExit(f"answered, appended or unlogged, not {left!r}")


if __name__ == "__main__":
    leave_out(sys.argv.pop(1))
    command_line()
