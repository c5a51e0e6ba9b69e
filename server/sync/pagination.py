"""Pages of a room's history: GET /rooms/{roomId}/messages, and what stands around one event.

Tokens are exclusive: the event that a token stands at is not repeated. A page may be empty and still
have an `end`, for what lies there may be for others' eyes only; `end` is left out when there is no more.
"""

from typing import Any, NamedTuple

from projections import timeline
from projections.facts import Order
from projections.timeline import TimelineEvent
from projections.view import View
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import Visibility
from server.sync.filters import RoomEventFilter
from server.sync.room_state import member_events, senders_of
from server.sync.tokens import token_after

LIMIT_DEFAULT = 10
LIMIT_MAX = 1_000
_EVENTS_LOOKED_AT_MAX = 2_000


class PageRequest(NamedTuple):
    room_id: str
    start: Order
    """The place that the page begins at."""
    stop: Order | None
    """The place that it goes to at the most."""
    backwards: bool
    limit: int
    wanted: RoomEventFilter


class Walk(NamedTuple):
    events: list[TimelineEvent]
    """In the order in which they were come by."""
    next_place: Order | None
    """Where to go on; `None` if there is no more."""


def walk(view: View, visibility: Visibility, request: PageRequest, head: Order) -> Walk:
    """Up to `limit` events that the reader may see and wants to, looking at a bounded number."""
    found: list[TimelineEvent] = []
    if not request.wanted.admits_room(request.room_id):
        return Walk(found, None)
    after, before = _bounds(request, head)
    events = timeline.events_in_room(
        view, request.room_id, after=after, before=before, backwards=request.backwards
    )
    for looked_at, event in enumerate(events):
        if len(found) == request.limit or looked_at == _EVENTS_LOOKED_AT_MAX:
            # There is more: the next page begins beside this event, so that it comes first there.
            return Walk(found, event.order if request.backwards else event.order - 1)
        if request.wanted.admits(event.event) and visibility.sees(event):
            found.append(event)
    return Walk(found, None)


def page(view: View, shown: ClientFormat, request: PageRequest, head: Order) -> dict[str, Any]:
    """`chunk`; `end` where the next page begins; with lazy loading `state`, the senders of the chunk."""
    events, next_place = walk(view, shown.visibility(request.room_id), request, head)
    found: dict[str, Any] = {"chunk": shown.events(events)}
    if next_place is not None:
        found["end"] = token_after(next_place)
    if request.wanted.lazy_load_members and events:
        newest = max(event.order for event in events)
        found["state"] = shown.events(member_events(view, request.room_id, senders_of(events), at=newest))
    return found


def _bounds(request: PageRequest, head: Order) -> tuple[Order, Order]:
    """Both exclusive, as `events_in_room` takes them. A token stands *after* its order."""
    if request.backwards:
        return (request.stop or 0), request.start + 1
    return request.start, (head if request.stop is None else request.stop) + 1
