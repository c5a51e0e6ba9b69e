"""The form that a filter asks for: `event_format` and `event_fields`.

Where: client-server API, "Filtering".
"""

from collections.abc import Iterable
from typing import Any

from projections.timeline import TimelineEvent
from server.rooms.client_format import ClientFormat
from server.sync.event_fields import EventFields
from server.sync.filters import Filter


class SyncFormat:
    """Renders the room events of one sync. Stripped state is no room event and always has its one form."""

    def __init__(self, shown: ClientFormat, wanted: Filter) -> None:
        self._shown = shown
        self._is_as_stored = wanted.event_format == "federation"
        self._fields = EventFields(wanted.event_fields) if wanted.event_fields else None

    def events(self, found: Iterable[TimelineEvent]) -> list[dict[str, Any]]:
        rendered = [self._event(one) for one in found]
        return rendered if self._fields is None else [self._fields.of(one) for one in rendered]

    def _event(self, found: TimelineEvent) -> dict[str, Any]:
        if self._is_as_stored:
            return self._shown.stored_event(found)
        return self._shown.event(found, with_room_id=False)
