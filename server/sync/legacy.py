"""The calls that /sync replaced: GET /initialSync and GET /events, of 2015 and still in use.

/initialSync tells everything once, /events whatever comes, in the order of the log, and waits for it. Which
rooms have news is known to who hears of every entry; only after a long absence, or for very many rooms,
/events goes through all entries itself.
"""

import asyncio
from collections.abc import Collection, Iterator
from heapq import merge
from typing import Any, NamedTuple

import msgspec

from eventlog.log import Position
from projections import directory, memberships, state, timeline
from projections.facts import Order, end_of, position_of
from projections.memberships import Membership
from projections.sessions import Session
from projections.timeline import TimelineEvent
from projections.view import View
from server.homeserver import Homeserver
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import Visibility
from server.sync.audience import Audience
from server.sync.filters import RoomEventFilter
from server.sync.room_sections import latest_events
from server.sync.room_state import Span, Timeline
from server.sync.tokens import last_whole_entry, token_after

_EVENTS_IN_ANSWER_MAX = 100
_EVENTS_WALKED_AT_ONCE_MAX = 1_000
_ENTRIES_WALKED_AT_ONCE_MAX = 1_000
"""Where all entries are looked at, also those without events."""
_ROOMS_READ_AT_ONCE_MAX = 100
_SECONDS_WITHOUT_A_PAUSE = 0.005


class EventsRequest(msgspec.Struct, frozen=True):
    session: Session
    start: Order
    timeout_ms: int
    room_id: str | None = None
    """Only of this room, and then also if the user only looks at it from outside."""


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
        if known.membership not in (("join", "invite", "leave", "ban") if archived else ("join", "invite")):
            continue
        with homeserver.views.read() as view:
            shown = ClientFormat(view, session, homeserver.now(), legacy=is_legacy)
            rooms.append(_initial_room(view, shown, known, end_of(until), limit))
        if loop.time() > pause_at:
            await asyncio.sleep(0)
            pause_at = loop.time() + _SECONDS_WITHOUT_A_PAUSE
    return {"end": token_after(end_of(until)), "rooms": rooms, "presence": []}


def _initial_room(
    view: View, shown: ClientFormat, known: Membership, until: Order, limit: int
) -> dict[str, Any]:
    if known.membership != "invite":
        return {"membership": known.membership} | room_snapshot(view, shown, known.room_id, until, limit)
    invite = timeline.event_at(view, known.order)
    room = {"membership": "invite", "invite": shown.event(invite), "inviter": invite.event.sender}
    return room | _listing(view, known.room_id)


def room_snapshot(view: View, shown: ClientFormat, room_id: str, until: Order, limit: int) -> dict[str, Any]:
    """A room with its last events and its state, as far as the reader may see it."""
    visibility = shown.visibility(room_id)
    seen_until = _seen_until(visibility, until)
    if seen_until is None:
        latest, known = Timeline([], False, until), []
    else:
        latest = latest_events(view, room_id, Span(0, seen_until), limit, visibility, RoomEventFilter())
        known = state.state_of(view, room_id, at=seen_until)
    messages = {
        "start": token_after(latest.start),
        "end": token_after(until if seen_until is None else seen_until),
        "chunk": shown.events(latest.events),
    }
    room = {"messages": messages, "state": shown.events(known)}
    return room | _listing(view, room_id)


def _listing(view: View, room_id: str) -> dict[str, Any]:
    is_public = directory.is_public(view, room_id)
    return {"room_id": room_id, "visibility": "public" if is_public else "private"}


def _seen_until(visibility: Visibility, until: Order) -> Order | None:
    """Who left sees the room as it was then, who never was in it only one that anybody may read."""
    if visibility.membership_at(until) == "join":
        return until
    left_at = visibility.left_at(until)
    if left_at is None and visibility.setting_at(until) == "world_readable":
        return until
    return left_at


async def events(
    homeserver: Homeserver, audience: Audience, request: EventsRequest, *, is_legacy: bool
) -> dict[str, Any]:
    """What came past a token in the user's rooms, or in one; waits for it if there is nothing yet."""
    user_id = request.session.user_id
    audience.follow(user_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout_ms / 1000
    place = request.start
    chunk: list[dict[str, Any]] = []
    while True:
        head = audience.head
        if request.room_id is None and not audience.may_have_news(user_id, last_whole_entry(place)):
            place = end_of(head)
        else:
            place = await _walk(
                homeserver, audience, request, place, end_of(head), chunk, is_legacy=is_legacy
            )
        remaining = deadline - loop.time()
        if chunk or remaining <= 0 or audience.is_closed:
            return {"start": token_after(request.start), "end": token_after(place), "chunk": chunk}
        if request.room_id is None:
            await audience.wait(user_id, after=head, seconds=remaining)
        else:
            await audience.wait_for_room(request.room_id, after=head, seconds=remaining)


async def _walk(
    homeserver: Homeserver,
    audience: Audience,
    request: EventsRequest,
    after: Order,
    until: Order,
    chunk: list[dict[str, Any]],
    *,
    is_legacy: bool,
) -> Order:
    """Go on up to `until`, or until the answer has something in it; the place that was reached."""
    place = after
    while True:
        with homeserver.views.read() as view:
            shown = ClientFormat(view, request.session, homeserver.now(), legacy=is_legacy)
            place = _walk_some(view, shown, audience, request, place, until, chunk)
        if place >= until or chunk:
            return place
        await asyncio.sleep(0)


class _Stretch(NamedTuple):
    events: Iterator[TimelineEvent]
    """In the order of the log; some may be of no interest."""
    until: Order


def _stretch(view: View, audience: Audience, request: EventsRequest, after: Order, until: Order) -> _Stretch:
    """Where to look for what comes past a place, and how far that goes."""
    rooms = _rooms_concerned(view, audience, request, after)
    if rooms is None:
        near = min(until, end_of(position_of(after) + _ENTRIES_WALKED_AT_ONCE_MAX))
        return _Stretch(timeline.events_between(view, after, position_of(near)), near)
    streams = [
        timeline.events_in_room(view, room_id, after=after, before=until + 1, backwards=False)
        for room_id in rooms
    ]
    return _Stretch(merge(*streams, key=lambda found: found.order), until)


def _rooms_concerned(
    view: View, audience: Audience, request: EventsRequest, after: Order
) -> Collection[str] | None:
    """The rooms in which there may be something past a place; `None` to look at all entries for it."""
    if request.room_id is not None:
        return (request.room_id,)
    user_id, told = request.session.user_id, last_whole_entry(after)
    concerned = audience.rooms_with_news(user_id, told)
    if concerned is None:
        return None
    if audience.may_have_moved(user_id, told):
        concerned |= memberships.rooms_changed(view, user_id, after=after)
    return concerned if len(concerned) <= _ROOMS_READ_AT_ONCE_MAX else None


def _walk_some(
    view: View,
    shown: ClientFormat,
    audience: Audience,
    request: EventsRequest,
    after: Order,
    until: Order,
    chunk: list[dict[str, Any]],
) -> Order:
    place, stretch = after, _stretch(view, audience, request, after, until)
    for walked, found in enumerate(stretch.events):
        if walked == _EVENTS_WALKED_AT_ONCE_MAX or len(chunk) == _EVENTS_IN_ANSWER_MAX:
            return place
        if _hears(shown, request, found):
            chunk.append(shown.event(found))
        place = found.order
    return stretch.until


def _hears(shown: ClientFormat, request: EventsRequest, found: TimelineEvent) -> bool:
    """Of their rooms users hear what happened while they were in; of a room that they name, what they see."""
    visibility = shown.visibility(found.room_id)
    if request.room_id is not None:
        return visibility.sees(found)
    is_own = found.event.type == "m.room.member" and found.event.state_key == request.session.user_id
    return is_own or visibility.membership_at(found.order) == "join"
