"""Makes true facts without a server: ids that are the hashes of their events, events that are allowed.

The server's own decisions read the views for what a room's state is. A draft that has seen its room
from the first event knows that by itself, so here every room is kept open as a draft, over views in
which there is nothing, and nothing has to be folded along the way: 50,000 events take 2 seconds. Sealing
and auth rules are the server's.

Time and random text come from the seed. Of Python's generator only calls are used whose results are the
same in every version and on every machine.
"""

import string
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from urllib.parse import quote

from eventlog.memory_log import MemoryLog
from projections.facts import AccountRegistered, Fact, RoomEvent, ServerNamed, SessionOpened, Transaction
from projections.follower import open_views
from projections.room_versions import DEFAULT, SUPPORTED
from projections.sessions import Session
from projections.timeline import Moment, Tip
from projections.view import View
from projections.views import Views
from server.homeserver import Homeserver
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.rooms.drafting import RoomDraft
from server.rooms.membership import member_content
from server.users.tokens import digest_of
from server.writer import Turn

Facts: TypeAlias = Sequence[Fact]
"""Of one entry."""

SERVER_NAME = "localhost"

FIRST_MS = 1_700_000_000_000
AFTER_HISTORY_MS = FIRST_MS + 20_000_000_000
"""Later than the last of 10,000,000 events, and still in the past: when people come to a log with history."""

_LETTERS_AND_DIGITS = string.ascii_letters + string.digits
_RECENT_MAX = 50


def token_of(user_id: str) -> str:
    """The access token of a user of a generated log. Everybody may know it: the log is thrown away."""
    return f"token-of-{localpart_of(user_id)}"


def localpart_of(user_id: str) -> str:
    return user_id[1:].partition(":")[0]


class Room:
    """A room that is kept open, and what one has to know of it to go on."""

    def __init__(self, draft: RoomDraft, creator: Session, *, is_public: bool) -> None:
        self.draft = draft
        self.is_public = is_public
        self.members = [creator]
        self.known_user_ids = {creator.user_id}
        """Everybody who is or was a member, or was invited."""
        self.invited: list[Session] = []
        self.recent: deque[tuple[str, Session]] = deque(maxlen=_RECENT_MAX)
        """The last messages that were not redacted, with their senders."""

    @property
    def room_id(self) -> str:
        return self.draft.room_id


class Author:
    """Makes entries in the order in which they are to be appended. Use `authoring`."""

    def __init__(self, seed: int, views: Views, view: View, first_ms: int) -> None:
        self.random = Random(seed)
        self._view = view
        self._homeserver = Homeserver(SERVER_NAME, MemoryLog(), views, self._next_ms, self._random_text)
        self._now_ms = first_ms
        self._transactions = 0

    def name_server(self) -> Facts:
        return [ServerNamed(SERVER_NAME, self._next_ms())]

    def register(self, localpart: str) -> tuple[Session, Facts]:
        """A user with a device, for which `token_of` is the token, and without a password."""
        session = Session(f"@{localpart}:{SERVER_NAME}", f"DEVICE-{localpart}")
        digest, now = digest_of(token_of(session.user_id)), self._next_ms()
        return session, [
            AccountRegistered(session.user_id, "", now),
            SessionOpened(session.user_id, session.device_id, digest, now),
        ]

    def create_room(
        self, creator: Session, *, is_public: bool = True, name: str = "Room", topic: str = "Benchmark"
    ) -> tuple[Room, Facts]:
        """Eight events."""
        preset = "public_chat" if is_public else "private_chat"
        turn = self._turn()
        request = CreateRoom(creator, RoomRequest(preset=preset, name=name, topic=topic))
        facts = create_room(turn, request).facts
        events = [fact for fact in facts if isinstance(fact, RoomEvent)]
        tip = Tip(events[-1].event_id, events[-1].event.depth, order=0, latest=Moment(0, 0))
        draft = RoomDraft(turn, events[-1].room_id, SUPPORTED[DEFAULT], tip)
        for event in events:
            draft.state.lay_over(event)
        return Room(draft, creator, is_public=is_public), facts

    def join(self, room: Room, user: Session) -> Facts:
        room.members.append(user)
        room.known_user_ids.add(user.user_id)
        content = member_content("join") | {"displayname": localpart_of(user.user_id).title()}
        return self.add(room, user, "m.room.member", content, state_key=user.user_id)

    def send(self, room: Room, sender: Session, event_type: str, content: dict[str, Any]) -> Facts:
        """As a client does it, with a transaction id."""
        self._transactions += 1
        request = f"PUT /rooms/{quote(room.room_id, safe='')}/send/{event_type}"
        transaction = Transaction(sender.device_id, request, f"m{self._now_ms}.{self._transactions}")
        return self.add(room, sender, event_type, content, transaction=transaction)

    def add(
        self,
        room: Room,
        sender: Session,
        event_type: str,
        content: dict[str, Any],
        *,
        state_key: str | None = None,
        transaction: Transaction | None = None,
    ) -> Facts:
        """Any event. Raises `MatrixError` if the sender may not."""
        room.draft.turn = self._turn()
        fact = room.draft.add(
            event_type, sender.user_id, content, state_key=state_key, transaction=transaction
        )
        room.draft.facts.clear()
        if event_type == "m.room.message":
            room.recent.append((fact.event_id, sender))
        return [fact]

    def _turn(self) -> Turn:
        return Turn(self._homeserver, self._view)

    def _next_ms(self) -> int:
        self._now_ms += 1 + int(self.random.random() * 2_000)
        return self._now_ms

    def _random_text(self, length: int) -> str:
        return "".join(self.random.choices(_LETTERS_AND_DIGITS, k=length))


@contextmanager
def authoring(seed: int, *, first_ms: int = FIRST_MS) -> Iterator[Author]:
    """`first_ms`: when it all begins."""
    with TemporaryDirectory(prefix="roomlog-bench-") as scratch:
        views = open_views(Path(scratch), MemoryLog())
        try:
            with views.read() as view:
                yield Author(seed, views, view, first_ms)
        finally:
            views.abandon()
