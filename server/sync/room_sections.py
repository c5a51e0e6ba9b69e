"""What one room has to say to one user between two places of the log.

The timeline is the last few events that the reader may see and wants to; what state goes with them is
`room_state.py`'s matter, and who is in the room, as far as it is needed for a name, that of `summaries.py`.

Where: GET /sync; client-server API, "Syncing", "Stripped state".
"""

from typing import Any, NamedTuple

from projections import timeline
from projections.facts import Order
from projections.memberships import Membership
from projections.timeline import TimelineEvent
from projections.view import View
from server.rooms.client_format import stripped_state
from server.rooms.visibility import Visibility
from server.sync.filters import TIMELINE_LIMIT_DEFAULT, RoomEventFilter, RoomFilter
from server.sync.room_state import Span, StateWanted, Timeline, senders_of, state_beside
from server.sync.summaries import changed_summary, whole_summary
from server.sync.sync_format import SyncFormat
from server.sync.tokens import token_after, token_before

_EVENTS_LOOKED_AT_MAX = 2_000
"""For one timeline; where fewer pass the filter or may be seen, the rest is left to /messages."""


class RoomReader(NamedTuple):
    """Who reads a room, and what they want to hear of it."""

    view: View
    shown: SyncFormat
    visibility: Visibility
    known: Membership
    """What the reader is to the room."""
    wanted: RoomFilter
    is_first: bool
    """Is it a sync without `since`?"""
    full_state: bool
    use_state_after: bool


def latest_events(
    view: View, room_id: str, span: Span, limit: int, visibility: Visibility, wanted: RoomEventFilter
) -> Timeline:
    """The last events of the span that the reader may see and wants to."""
    found: list[TimelineEvent] = []
    backwards = timeline.events_in_room(
        view, room_id, after=span.after, before=span.until + 1, backwards=True
    )
    is_limited = False
    for looked_at, event in enumerate(backwards):
        if looked_at >= _EVENTS_LOOKED_AT_MAX:
            is_limited = True
            break
        if not (wanted.admits(event.event) and visibility.sees(event)):
            continue
        if len(found) == limit:
            is_limited = True
            break
        found.append(event)
    found.reverse()
    return Timeline(found, is_limited, found[0].order - 1 if found else span.until)


def joined_room(reader: RoomReader, span: Span) -> dict[str, Any] | None:
    """The section of a room that the user is in; `None` if nothing happened in the span."""
    view, room_id, user_id = reader.view, reader.known.room_id, reader.known.user_id
    is_new = _is_new(reader, span)
    latest = _timeline(reader, span, span.until)
    is_whole = is_new or reader.full_state
    if is_whole:
        summary = whole_summary(view, room_id, user_id)
    else:
        summary = changed_summary(view, room_id, user_id, span.after)
    also_needed = {*summary.get("m.heroes", ()), *([user_id] if is_whole else ())}
    known_state = _state(reader, span, latest, is_whole=is_whole, also_needed=frozenset(also_needed))
    if not (is_whole or latest.events or latest.is_limited or known_state or summary):
        return None
    return {
        "timeline": _timeline_section(reader, latest),
        _state_name(reader): {"events": reader.shown.events(known_state)},
        "account_data": {"events": []},
        "ephemeral": {"events": []},
        "summary": summary,
        "unread_notifications": {"highlight_count": 0, "notification_count": 0},
    }


def left_room(reader: RoomReader, span: Span) -> dict[str, Any]:
    """The section of a room that the user left, was thrown out of, or did not want to enter."""
    known, visibility = reader.known, reader.visibility
    own = timeline.event_at(reader.view, known.order)
    own_events = [own] if own.order > span.after and _admits(reader, own) else []
    was_in = visibility.joined_between(span.after, span.until)
    if was_in:
        latest = _timeline(reader, span, min(span.until, known.order))
        if not visibility.sees(own):  # thrown out once more after having left
            latest = latest._replace(events=[*latest.events, *own_events])
    else:
        # Not in the room meanwhile: that an invite ended, or that a ban came after, is all there is to tell.
        latest = Timeline(own_events, False, own.order - 1)
    left_at = visibility.left_at(known.order)
    known_state: list[TimelineEvent] = []
    if left_at is not None and (was_in or reader.full_state):
        is_whole = _is_new(reader, span) or reader.full_state
        known_state = _state(reader, Span(span.after, left_at), latest, is_whole=is_whole)
    return {
        "timeline": _timeline_section(reader, latest),
        _state_name(reader): {"events": reader.shown.events(known_state)},
        "account_data": {"events": []},
    }


def invited_room(view: View, known: Membership) -> dict[str, Any]:
    return {"invite_state": {"events": stripped_state(view, timeline.event_at(view, known.order))}}


def knocked_room(view: View, known: Membership) -> dict[str, Any]:
    return {"knock_state": {"events": stripped_state(view, timeline.event_at(view, known.order))}}


def _is_new(reader: RoomReader, span: Span) -> bool:
    """Does the client begin with this room, since it was not in it when it heard of it last?"""
    return reader.is_first or reader.visibility.membership_at(span.after) != "join"


def _timeline(reader: RoomReader, span: Span, until: Order) -> Timeline:
    room_id, wanted = reader.known.room_id, reader.wanted.timeline
    if not wanted.admits_room(room_id):
        return Timeline([], False, until)
    is_new = _is_new(reader, span)
    latest = latest_events(
        reader.view,
        room_id,
        Span(0 if is_new else span.after, until),
        wanted.limit_or(TIMELINE_LIMIT_DEFAULT),
        reader.visibility,
        wanted,
    )
    # Who has just come in is told that there is more before, even where nothing of it may be seen.
    return latest._replace(is_limited=latest.is_limited or (is_new and not reader.is_first))


def _state(
    reader: RoomReader,
    span: Span,
    latest: Timeline,
    *,
    is_whole: bool,
    also_needed: frozenset[str] = frozenset(),
) -> list[TimelineEvent]:
    room_id, wanted = reader.known.room_id, reader.wanted.state
    if not wanted.admits_room(room_id):
        return []
    members = senders_of(latest.events) | also_needed if wanted.lazy_load_members else None
    found = state_beside(
        reader.view, room_id, span, latest, StateWanted(is_whole, reader.use_state_after, members)
    )
    return [one for one in found if wanted.admits(one.event)]


def _state_name(reader: RoomReader) -> str:
    return "state_after" if reader.use_state_after else "state"


def _admits(reader: RoomReader, found: TimelineEvent) -> bool:
    wanted = reader.wanted.timeline
    return wanted.admits_room(found.room_id) and wanted.admits(found.event)


def _timeline_section(reader: RoomReader, latest: Timeline) -> dict[str, Any]:
    return {
        "events": reader.shown.events(latest.events),
        "limited": latest.is_limited,
        "prev_batch": token_before(latest.events[0].order) if latest.events else token_after(latest.start),
    }
