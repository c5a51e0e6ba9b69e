"""Facts in, views out: the folds without a log, a writer or a rule between them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from eventlog.log import Position
from projections.facts import Fact, Order, RoomEvent, Transaction, encode_entry, order_of
from projections.follower import checkpoints_at, open_views
from projections.projection import Fold
from projections.registry import PROJECTIONS
from projections.view import View
from tests.projections.payloads import Payloads

ALICE, BOB = "@alice:localhost", "@bob:localhost"
ROOM, OTHER_ROOM = "!room:localhost", "!other:localhost"
MADE_AT = 1_700_000_000_000


class Folding:
    """Views of a log that is nowhere: each `entry` is the next one of it."""

    def __init__(self, path: Path) -> None:
        self._payloads = Payloads()
        self.views = open_views(path, self._payloads)
        self.head: Position = 0
        self._fold = Fold(PROJECTIONS)

    def entry(self, *facts: Fact) -> Order:
        """Fold an entry; returns the order of its first fact."""
        self.head += 1
        self._payloads.kept.append(encode_entry(facts))
        update = self.views.update()
        self._fold.apply(update.view, order_of(self.head), facts)
        update.commit(checkpoints_at(self.head))
        return order_of(self.head)

    @contextmanager
    def view(self) -> Iterator[View]:
        with self.views.read() as view:
            yield view


def room_event(
    event_id: str,
    event_type: str = "m.room.message",
    content: Any = None,
    state_key: str | None = None,
    *,
    room_id: str = ROOM,
    sender: str = ALICE,
    transaction: Transaction | None = None,
    is_first: bool = False,
    depth: int = 1,
) -> RoomEvent:
    """An event that nobody has checked; its id is whatever the test calls it."""
    fields = {
        "content": content or {},
        "depth": depth,
        "origin_server_ts": MADE_AT,
        "prev_events": [] if is_first else ["$before"],
        "room_id": room_id,
        "sender": sender,
        "type": event_type,
    } | ({} if state_key is None else {"state_key": state_key})
    stored = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return RoomEvent(event_id, msgspec.Raw(stored), transaction)


def created(room_id: str = ROOM, *, event_id: str = "$create", version: str = "11") -> RoomEvent:
    return room_event(
        event_id, "m.room.create", {"room_version": version}, "", room_id=room_id, is_first=True
    )


def member(event_id: str, user_id: str, membership: str, *, room_id: str = ROOM) -> RoomEvent:
    content = {"membership": membership}
    return room_event(event_id, "m.room.member", content, user_id, room_id=room_id, sender=user_id)


def redaction(event_id: str, target: str, *, room_id: str = ROOM) -> RoomEvent:
    return room_event(event_id, "m.room.redaction", {"redacts": target, "reason": "spam"}, room_id=room_id)
