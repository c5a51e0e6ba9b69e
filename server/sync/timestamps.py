"""The event that was made nearest to a time: GET /rooms/{roomId}/timestamp_to_event."""

import asyncio

from projections import timeline, timestamps
from projections.state import LATEST
from projections.timeline import Moment, TimelineEvent
from projections.view import View
from server.homeserver import Homeserver
from server.rooms.visibility import Visibility

_EVENTS_LOOKED_AT_ONCE_MAX = 1_000


async def event_near(
    homeserver: Homeserver, room_id: str, user_id: str, timestamp: int, *, backwards: bool
) -> TimelineEvent | None:
    """The nearest event that the reader may see, not before the time or not after it.

    However many there are that they may not see, the search goes on, with pauses for the event loop.
    """
    start: Moment | None = Moment(timestamp, LATEST if backwards else 0)
    while start is not None:
        with homeserver.views.read() as view:
            found, start = _look(view, room_id, user_id, start, backwards=backwards)
        if found is not None:
            return found
        await asyncio.sleep(0)
    return None


def _look(
    view: View, room_id: str, user_id: str, start: Moment, *, backwards: bool
) -> tuple[TimelineEvent | None, Moment | None]:
    """The event, or else the place to go on from; neither if there is no more."""
    visibility = Visibility(view, room_id, user_id)
    places = timestamps.moments(view, room_id, start, backwards=backwards)
    for looked_at, place in enumerate(places, 1):
        event = timeline.event_at(view, place.order)
        if visibility.sees(event):
            return event, None
        if looked_at == _EVENTS_LOOKED_AT_ONCE_MAX:
            return None, place
    return None, None
