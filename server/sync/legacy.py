"""The calls that /sync replaced: GET /initialSync and GET /events, of 2015 and still in use.

/initialSync tells everything once, /events whatever comes, in the order of the log, and waits for it.
"""

import asyncio
from typing import Any

import msgspec

from eventlog.log import Position
from projections import directory, memberships, state, timeline
from projections.facts import Order, end_of
from projections.memberships import Membership
from projections.sessions import Session
from projections.timeline import TimelineEvent
from projections.views import View
from server.homeserver import Homeserver
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import Visibility
from server.sync.audience import Audience
from server.sync.filters import EventFilter
from server.sync.room_sections import Span, latest_events
from server.sync.tokens import token_after

_EVENTS_IN_ANSWER_MAX = 100
_EVENTS_WALKED_AT_ONCE_MAX = 1_000
_SECONDS_WITHOUT_A_PAUSE = 0.005


class EventsRequest(msgspec.Struct, frozen=True):
    session: Session
    start: Order
    timeout_ms: int


class _StreamReader:
    """Which events come to a user on the stream: those of rooms that they were in when it happened."""

    def __init__(self, view: View, user_id: str) -> None:
        self._view = view
        self._user_id = user_id
        self._rooms: dict[str, Visibility] = {}

    def hears(self, found: TimelineEvent) -> bool:
        event = found.event
        if event.type == "m.room.member" and event.state_key == self._user_id:
            return True
        if found.room_id not in self._rooms:
            self._rooms[found.room_id] = Visibility(self._view, found.room_id, self._user_id)
        return self._rooms[found.room_id].membership_at(found.order) == "join"


async def initial_sync(
    homeserver: Homeserver, until: Position, session: Session, limit: int, *, archived: bool, is_legacy: bool
) -> dict[str, Any]:
    """Every room of the user with its state and its last events, as of one position."""
    with homeserver.views.read() as view:
        known_rooms = sorted(memberships.rooms_of(view, session.user_id), key=lambda known: known.order)
    rooms = []
    loop = asyncio.get_running_loop()
    pause_at = loop.time() + _SECONDS_WITHOUT_A_PAUSE
    for known in known_rooms:
        if known.membership not in ("join", "invite") and not archived:
            continue
        with homeserver.views.read() as view:
            shown = ClientFormat(view, session, homeserver.now(), legacy=is_legacy)
            rooms.append(initial_room(view, shown, known, end_of(until), limit))
        if loop.time() > pause_at:
            await asyncio.sleep(0)
            pause_at = loop.time() + _SECONDS_WITHOUT_A_PAUSE
    return {"end": token_after(end_of(until)), "rooms": rooms, "presence": []}


def initial_room(
    view: View, shown: ClientFormat, known: Membership, until: Order, limit: int
) -> dict[str, Any]:
    """One room of /initialSync, for whom a membership in it stands."""
    room: dict[str, Any] = {
        "room_id": known.room_id,
        "membership": known.membership,
        "visibility": "public" if directory.is_public(view, known.room_id) else "private",
    }
    if known.membership == "invite":
        invite = timeline.event_at(view, known.order)
        return room | {"invite": shown.event(invite), "inviter": invite.event.sender}
    if known.membership != "join":
        until = known.order
    visibility = Visibility(view, known.room_id, known.user_id)
    latest = latest_events(view, known.room_id, Span(0, until), limit, visibility, EventFilter())
    room["messages"] = {
        "start": token_after(latest.start),
        "end": token_after(until),
        "chunk": shown.events(latest.events),
    }
    room["state"] = shown.events(state.state_of(view, known.room_id, at=until))
    return room


async def events(
    homeserver: Homeserver, audience: Audience, request: EventsRequest, *, is_legacy: bool
) -> dict[str, Any]:
    """What came past a token in the user's rooms; waits for it if there is nothing yet."""
    user_id = request.session.user_id
    audience.follow(user_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout_ms / 1000
    place = request.start
    while True:
        head = audience.head
        chunk, place = await _walk(homeserver, request.session, place, end_of(head), is_legacy=is_legacy)
        remaining = deadline - loop.time()
        if chunk or remaining <= 0 or audience.is_closed:
            return {"start": token_after(request.start), "end": token_after(place), "chunk": chunk}
        await audience.wait(user_id, after=head, seconds=remaining)


async def _walk(
    homeserver: Homeserver, session: Session, after: Order, until: Order, *, is_legacy: bool
) -> tuple[list[dict[str, Any]], Order]:
    """Go through the log up to `until`, or until an answer is full; also the place that was reached."""
    chunk: list[dict[str, Any]] = []
    place = after
    while place < until and not chunk:
        with homeserver.views.read() as view:
            shown = ClientFormat(view, session, homeserver.now(), legacy=is_legacy)
            reader = _StreamReader(view, session.user_id)
            place = _walk_some(view, shown, reader, place, until, chunk)
        await asyncio.sleep(0)
    return chunk, place


def _walk_some(
    view: View,
    shown: ClientFormat,
    reader: _StreamReader,
    after: Order,
    until: Order,
    chunk: list[dict[str, Any]],
) -> Order:
    place = after
    for walked, found in enumerate(timeline.events_after(view, after)):
        if found.order > until:
            break
        if walked == _EVENTS_WALKED_AT_ONCE_MAX or len(chunk) == _EVENTS_IN_ANSWER_MAX:
            return place
        if reader.hears(found):
            chunk.append(shown.event(found))
        place = found.order
    return until
