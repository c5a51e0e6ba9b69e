"""The state that goes with events: what a client must know besides them to have the room as it is.

A timeline says how the state changes while it lasts. Beside it stands the state as of its start, to which
the client applies it; or, if the client asks so, the state as of its end, which it takes as it is. What
changed during the timeline and is not in it, because the filter or the history visibility keeps it out, is
given in either case: else the client would never hear of it.

With lazy loading only those member events are given that are needed to show the events, and all that
changed. They are given whether or not they were sent before. The specification lets a server remember what
it sent; but then an answer that was lost on its way takes member events with it that do not come again,
and no answer depends on anything but the log and the request any more.

Where: GET /sync (`state`, `state_after`); client-server API, "Lazy-loading room members".
"""

from collections.abc import Iterable
from typing import NamedTuple

from projections import state
from projections.facts import Order
from projections.timeline import TimelineEvent
from projections.view import View

_MEMBER = "m.room.member"


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


class StateWanted(NamedTuple):
    is_whole: bool
    """All of it, and not only what changed in the span?"""
    is_after: bool
    """As of the end of the timeline?"""
    members: frozenset[str] | None
    """Whose member events are needed even if they did not change; `None` for no lazy loading."""


def senders_of(events: Iterable[TimelineEvent]) -> frozenset[str]:
    return frozenset(found.event.sender for found in events)


def member_events(view: View, room_id: str, user_ids: Iterable[str], *, at: Order) -> list[TimelineEvent]:
    """The member events of these users as of an order, in the order of the log."""
    found = (state.state_event(view, room_id, _MEMBER, user_id, at=at) for user_id in user_ids)
    return sorted((member for member in found if member is not None), key=lambda member: member.order)


def lazy_state(view: View, room_id: str, user_ids: Iterable[str], *, at: Order) -> list[TimelineEvent]:
    """The whole state as of an order, but of the members only these."""
    others = state.state_without_type(view, room_id, _MEMBER, at=at)
    return _in_order([*others, *member_events(view, room_id, user_ids, at=at)])


def state_beside(
    view: View, room_id: str, span: Span, shown: Timeline, wanted: StateWanted
) -> list[TimelineEvent]:
    """The state that goes with the timeline of a span, in the order of the log."""
    at_end = _state_at_end(view, room_id, span, wanted)
    if wanted.is_after:
        return at_end
    changed_in_timeline = {_key_of(found) for found in shown.events if found.event.is_state}
    before = [found for found in at_end if _key_of(found) not in changed_in_timeline]
    for event_type, state_key in changed_in_timeline:
        old = state.state_event(view, room_id, event_type, state_key, at=shown.start)
        if old is not None and _is_needed(old, span, wanted):
            before.append(old)
    return _in_order(before)


def _state_at_end(view: View, room_id: str, span: Span, wanted: StateWanted) -> list[TimelineEvent]:
    if wanted.is_whole:
        if wanted.members is None:
            return state.state_of(view, room_id, at=span.until)
        return lazy_state(view, room_id, wanted.members, at=span.until)
    changed = state.changes(view, room_id, after=span.after, until=span.until)
    if wanted.members is None:
        return changed
    missing = wanted.members - {str(found.event.state_key) for found in changed if _is_member(found)}
    return _in_order([*changed, *member_events(view, room_id, missing, at=span.until)])


def _is_needed(old: TimelineEvent, span: Span, wanted: StateWanted) -> bool:
    """Of something that the timeline goes on to replace."""
    if old.order > span.after and not wanted.is_whole:
        return True
    if wanted.members is not None and _is_member(old):
        return old.event.state_key in wanted.members
    return wanted.is_whole


def _is_member(found: TimelineEvent) -> bool:
    return found.event.type == _MEMBER


def _key_of(found: TimelineEvent) -> tuple[str, str]:
    return found.event.type, str(found.event.state_key)


def _in_order(events: list[TimelineEvent]) -> list[TimelineEvent]:
    return sorted(events, key=lambda found: found.order)
