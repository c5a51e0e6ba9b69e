"""GET /sync: what is new for a user since a token, at once if there is something, else when there is.

Which rooms have news is found without looking at the others: who is told of all entries remembers for a
while which rooms they were in. Only after a long absence, or a restart, each room of the user is asked for
its last event. So the cost grows with what changed, and the number of rooms is an upper bound to it.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from eventlog.log import Position
from projections import memberships, timeline
from projections.facts import Order, end_of
from projections.memberships import Membership
from projections.sessions import Session
from projections.view import View
from server.homeserver import Homeserver
from server.rooms.client_format import ClientFormat
from server.sync import room_sections
from server.sync.audience import Audience
from server.sync.filters import Filter
from server.sync.room_sections import RoomReader
from server.sync.room_state import Span
from server.sync.sync_format import SyncFormat
from server.sync.tokens import last_whole_entry, token_after

_SECONDS_WITHOUT_A_PAUSE = 0.005
"""How long the event loop is kept from other requests while a long answer is put together."""


class SyncRequest(msgspec.Struct, frozen=True):
    session: Session
    since: Order | None
    timeout_ms: int
    full_state: bool
    use_state_after: bool
    filter: Filter


async def sync(homeserver: Homeserver, audience: Audience, request: SyncRequest) -> dict[str, Any]:
    """The answer, when there is something to say or the time is up."""
    user_id = request.session.user_id
    audience.follow(user_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout_ms / 1000
    since = request.since
    while True:
        until = audience.head
        rooms = await _rooms(homeserver, audience, request, since, until)
        remaining = deadline - loop.time()
        if any(rooms.values()) or since is None or request.full_state or remaining <= 0 or audience.is_closed:
            return _answer(rooms, until)
        # Nothing up to here was for this user, so it need not be looked at again.
        since = end_of(until)
        await audience.wait(user_id, after=until, seconds=remaining)


def _answer(rooms: dict[str, dict[str, Any]], until: Position) -> dict[str, Any]:
    return {
        "next_batch": token_after(end_of(until)),
        "rooms": rooms,
        "account_data": {"events": []},
        "presence": {"events": []},
        "to_device": {"events": []},
        "device_lists": {"changed": [], "left": []},
        "device_one_time_keys_count": {"signed_curve25519": 0},
        "device_unused_fallback_key_types": [],
    }


async def _rooms(
    homeserver: Homeserver,
    audience: Audience,
    request: SyncRequest,
    since: Order | None,
    until: Position,
) -> dict[str, dict[str, Any]]:
    """The room sections, each read on its own, with pauses for the event loop between them."""
    session, wanted = request.session, request.filter.room
    with homeserver.views.read() as view:
        if since is None or request.full_state:
            concerned = _by_age(memberships.rooms_of(view, session.user_id))
        else:
            concerned = _by_age(_rooms_concerned(view, audience, session.user_id, since))
    sections: dict[str, dict[str, Any]] = {"join": {}, "invite": {}, "knock": {}, "leave": {}}
    span = Span(since or 0, end_of(until))
    loop = asyncio.get_running_loop()
    pause_at = loop.time() + _SECONDS_WITHOUT_A_PAUSE
    for known in concerned:
        if not wanted.admits_room(known.room_id):
            continue
        with homeserver.views.read() as view:
            client_format = ClientFormat(view, session, homeserver.now(), legacy=False)
            reader = RoomReader(
                view=view,
                shown=SyncFormat(client_format, request.filter),
                visibility=client_format.visibility(known.room_id),
                known=known,
                wanted=wanted,
                is_first=since is None,
                full_state=request.full_state,
                use_state_after=request.use_state_after,
            )
            _add_section(sections, reader, span)
        if loop.time() > pause_at:
            await asyncio.sleep(0)
            pause_at = loop.time() + _SECONDS_WITHOUT_A_PAUSE
    return sections


def _add_section(sections: dict[str, dict[str, Any]], reader: RoomReader, span: Span) -> None:
    view, known = reader.view, reader.known
    # In a first sync everything is new.
    is_told = known.order > span.after or reader.full_state
    if known.membership == "join":
        section = room_sections.joined_room(reader, span)
        if section is not None:
            sections["join"][known.room_id] = section
    elif known.membership == "invite" and is_told:
        sections["invite"][known.room_id] = room_sections.invited_room(view, known)
    elif known.membership == "knock" and is_told:
        sections["knock"][known.room_id] = room_sections.knocked_room(view, known)
    elif known.membership in ("leave", "ban") and is_told and not _is_over(reader, span):
        sections["leave"][known.room_id] = room_sections.left_room(reader, span)


def _is_over(reader: RoomReader, span: Span) -> bool:
    """Is it a room that the user is out of since before the span, and asks no more for?"""
    return not reader.wanted.include_leave and (reader.is_first or reader.known.order <= span.after)


def _by_age(found: Iterable[Membership]) -> list[Membership]:
    """Oldest membership first."""
    return sorted(found, key=lambda one: one.order)


def _rooms_concerned(view: View, audience: Audience, user_id: str, since: Order) -> Iterator[Membership]:
    """The user's rooms in which there may be news."""
    told = last_whole_entry(since)
    if not audience.may_have_news(user_id, told):
        return
    concerned = _active_rooms(view, audience, user_id, since)
    if audience.may_have_moved(user_id, told):
        concerned |= memberships.rooms_changed(view, user_id, after=since)
    for room_id in concerned:
        known = memberships.membership_of(view, room_id, user_id)
        if known is not None and not known.is_forgotten:
            yield known


def _active_rooms(view: View, audience: Audience, user_id: str, since: Order) -> set[str]:
    """Joined rooms with events past `since`."""
    active = audience.rooms_with_news(user_id, last_whole_entry(since))
    if active is None:
        rooms_of_user = memberships.rooms_of(view, user_id)
        active = {known.room_id for known in rooms_of_user if known.membership == "join"}
    return {room_id for room_id in active if _has_events_after(view, room_id, since)}


def _has_events_after(view: View, room_id: str, order: Order) -> bool:
    last = timeline.tip(view, room_id)
    return last is not None and last.order > order
