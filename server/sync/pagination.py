"""Pages of a room's history: GET /rooms/{roomId}/messages.

Tokens are exclusive: the event that a token stands at is not repeated. A page may be empty and still
have an `end`, for what lies there may be for others' eyes only; `end` is left out when there is no more.
"""

from typing import Any, NamedTuple

from projections import timeline
from projections.facts import Order
from projections.views import View
from server.rooms.client_format import ClientFormat
from server.rooms.visibility import Visibility
from server.sync.filters import EventFilter
from server.sync.tokens import token_after

LIMIT_DEFAULT = 10
LIMIT_MAX = 1_000
_EVENTS_LOOKED_AT_MAX = 2_000


class PageRequest(NamedTuple):
    room_id: str
    user_id: str
    start: Order
    """The place that the page begins at."""
    stop: Order | None
    """The place that it goes to at the most."""
    backwards: bool
    limit: int
    wanted: EventFilter


class Page(NamedTuple):
    chunk: list[dict[str, Any]]
    end: str | None
    """Where the next page begins; `None` if there is none."""


def page(view: View, shown: ClientFormat, request: PageRequest, head: Order) -> Page:
    """Up to `limit` events that the reader may see, looking at a bounded number."""
    visibility = Visibility(view, request.room_id, request.user_id)
    after, before = _bounds(request, head)
    found: list[dict[str, Any]] = []
    events = timeline.events_in_room(
        view, request.room_id, after=after, before=before, backwards=request.backwards
    )
    for looked_at, event in enumerate(events):
        if len(found) == request.limit or looked_at == _EVENTS_LOOKED_AT_MAX:
            # There is more: the next page begins beside this event, so that it comes first there.
            return Page(found, token_after(event.order if request.backwards else event.order - 1))
        if request.wanted.admits(event.event) and visibility.sees(event):
            found.append(shown.event(event))
    return Page(found, None)


def _bounds(request: PageRequest, head: Order) -> tuple[Order, Order]:
    """Both exclusive, as `events_in_room` takes them. A token stands *after* its order."""
    if request.backwards:
        return (request.stop or 0), request.start + 1
    return request.start, (head if request.stop is None else request.stop) + 1
