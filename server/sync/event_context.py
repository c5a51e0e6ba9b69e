"""What stood around one event: GET /rooms/{roomId}/context/{eventId}."""

from typing import Any

from projections import state
from projections.facts import Order
from projections.timeline import TimelineEvent
from projections.view import View
from server.rooms.client_format import ClientFormat
from server.sync.filters import RoomEventFilter
from server.sync.pagination import PageRequest, walk
from server.sync.room_state import lazy_state, senders_of
from server.sync.tokens import token_after, token_before


def event_context(
    view: View, shown: ClientFormat, found: TimelineEvent, limit: int, wanted: RoomEventFilter, head: Order
) -> dict[str, Any]:
    """The events beside one that the reader may see, half of them on each side, and the state at the last.

    The filter is for everything but the event itself. `start` and `end` are the outermost places.
    """
    visibility = shown.visibility(found.room_id)
    earlier = PageRequest(found.room_id, found.order - 1, None, True, limit // 2, wanted)
    later = PageRequest(found.room_id, found.order, None, False, limit - limit // 2, wanted)
    before = walk(view, visibility, earlier, head).events
    after = walk(view, visibility, later, head).events
    all_events = [*reversed(before), found, *after]
    first, last = all_events[0], all_events[-1]
    if wanted.lazy_load_members:
        known = lazy_state(view, found.room_id, senders_of(all_events), at=last.order)
    else:
        known = state.state_of(view, found.room_id, at=last.order)
    return {
        "start": token_before(first.order),
        "end": token_after(last.order),
        "events_before": shown.events(before),
        "event": shown.event(found),
        "events_after": shown.events(after),
        "state": shown.events(one for one in known if wanted.admits(one.event)),
    }
