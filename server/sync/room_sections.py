"""What one room has to say to one user between two places of the log.

The timeline is the last few events; the state is what changed, or all that holds, *before* the first of
them, so that a client that applies first the state and then the timeline has the room as it is.

Where: GET /sync; "Syncing", "Stripped state".
"""

from typing import Any, NamedTuple

from projections import memberships, state, timeline
from projections.facts import Order
from projections.timeline import TimelineEvent
from projections.views import View
from server.rooms.client_format import ClientFormat, stripped_state
from server.rooms.visibility import Visibility
from server.sync.filters import TIMELINE_LIMIT_DEFAULT, EventFilter, RoomFilter
from server.sync.tokens import token_after, token_before

_EVENTS_LOOKED_AT_MAX = 2_000
"""For one timeline; where fewer pass the filter or may be seen, the rest is left to /messages."""
_HEROES_MAX = 5


class Span(NamedTuple):
    """A stretch of the log: past `after`, up to and with `until`."""

    after: Order
    until: Order


class Timeline(NamedTuple):
    events: list[TimelineEvent]
    """Oldest first."""
    is_limited: bool
    """Were events of the span left out before the first one?"""
    start: Order
    """The place just before the first event, or the end of the span if there is none."""


def latest_events(
    view: View, room_id: str, span: Span, limit: int, visibility: Visibility, wanted: EventFilter
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


def joined_room(
    view: View,
    shown: ClientFormat,
    known: memberships.Membership,
    span: Span,
    wanted: RoomFilter,
    *,
    is_first: bool,
    full_state: bool,
) -> dict[str, Any] | None:
    """The section of a room that the user is in; `None` if nothing happened in the span."""
    room_id, user_id = known.room_id, known.user_id
    visibility = Visibility(view, room_id, user_id)
    is_new = is_first or visibility.membership_at(span.after) != "join"
    latest = latest_events(
        view,
        room_id,
        Span(0, span.until) if is_new else span,
        wanted.timeline.limit_or(TIMELINE_LIMIT_DEFAULT),
        visibility,
        wanted.timeline,
    )
    if is_new or full_state:
        before = state.state_of(view, room_id, at=latest.start)
    else:
        before = state.changes(view, room_id, after=span.after, until=latest.start)
    if not (latest.events or before or is_new or full_state):
        return None
    members_changed = any(found.event.type == "m.room.member" for found in (*before, *latest.events))
    is_limited = latest.is_limited or (is_new and not is_first)
    return {
        "timeline": _timeline_section(shown, latest, is_limited=is_limited),
        "state": _state_section(shown, before, wanted.state),
        "account_data": {"events": []},
        "ephemeral": {"events": []},
        "summary": _summary(view, room_id, user_id) if members_changed else {},
        "unread_notifications": {"highlight_count": 0, "notification_count": 0},
    }


def left_room(
    view: View, shown: ClientFormat, known: memberships.Membership, span: Span, wanted: RoomFilter
) -> dict[str, Any]:
    """The section of a room that the user left, was thrown out of, or did not want to enter."""
    room_id, user_id = known.room_id, known.user_id
    visibility = Visibility(view, room_id, user_id)
    until = Span(span.after, min(span.until, known.order))
    latest = latest_events(
        view,
        room_id,
        until,
        wanted.timeline.limit_or(TIMELINE_LIMIT_DEFAULT),
        visibility,
        wanted.timeline,
    )
    before: list[TimelineEvent] = []
    if visibility.joined_between(until.after, until.until):
        before = state.changes(view, room_id, after=until.after, until=latest.start)
    if not latest.events:  # a refused invite: one's own leaving is all there is to see
        latest = Timeline([timeline.event_at(view, known.order)], False, known.order - 1)
    return {
        "timeline": _timeline_section(shown, latest, is_limited=latest.is_limited),
        "state": _state_section(shown, before, wanted.state),
        "account_data": {"events": []},
    }


def invited_room(view: View, known: memberships.Membership) -> dict[str, Any]:
    return {"invite_state": {"events": stripped_state(view, timeline.event_at(view, known.order))}}


def _timeline_section(shown: ClientFormat, latest: Timeline, *, is_limited: bool) -> dict[str, Any]:
    return {
        "events": shown.events(latest.events, with_room_id=False),
        "limited": is_limited,
        "prev_batch": token_before(latest.events[0].order) if latest.events else token_after(latest.start),
    }


def _state_section(shown: ClientFormat, before: list[TimelineEvent], wanted: EventFilter) -> dict[str, Any]:
    admitted = [found for found in before if wanted.admits(found.event)]
    return {"events": shown.events(admitted, with_room_id=False)}


def _summary(view: View, room_id: str, user_id: str) -> dict[str, Any]:
    """Counts, and of whom a room without a name can be named after."""
    counts = memberships.counts(view, room_id)
    summary: dict[str, Any] = {
        "m.joined_member_count": counts.joined,
        "m.invited_member_count": counts.invited,
    }
    if not _is_named(view, room_id):
        summary["m.heroes"] = _heroes(view, room_id, user_id)
    return summary


def _is_named(view: View, room_id: str) -> bool:
    for event_type, name in (("m.room.name", "name"), ("m.room.canonical_alias", "alias")):
        found = state.state_event(view, room_id, event_type, "")
        if found is not None and found.event.content.get(name):
            return True
    return False


def _heroes(view: View, room_id: str, user_id: str) -> list[str]:
    """Up to five others, by when they came; those who left only if nobody else is there."""
    others = [known for known in memberships.members(view, room_id) if known.user_id != user_id]
    present = [known for known in others if known.membership in ("join", "invite")]
    by_order = sorted(present or others, key=lambda known: known.order)
    return [known.user_id for known in by_order[:_HEROES_MAX]]
