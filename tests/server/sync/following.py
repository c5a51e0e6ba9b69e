"""A client's view of a sync, for tests: one room's section, and the room that a client makes of it."""

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from tests.harness.client import Client

Json: TypeAlias = Any
Key: TypeAlias = tuple[str, str]


def room_filter(room_id: str, *, whole: Json = None, **sections: Json) -> str:
    """A filter for one room; `sections` are `timeline`, `state` and so on, `whole` what is beside them."""
    return json.dumps({**(whole or {}), "room": {"rooms": [room_id], **sections}})


def joined(client: Client, room_id: str, **query: object) -> Json:
    """The section of a joined room; `None` if there is nothing to say about it."""
    return client.sync(**{"filter": room_filter(room_id), **query})["rooms"]["join"].get(room_id)


def ids(events: Iterable[Json]) -> list[str]:
    return [event["event_id"] for event in events]


def state_of(events: Iterable[Json]) -> dict[Key, str]:
    """Event ids by type and state key; the last one of each counts."""
    return {
        (event["type"], event["state_key"]): event["event_id"] for event in events if "state_key" in event
    }


def members_in(events: Iterable[Json]) -> list[str]:
    """Whose member events are among these, in no order that means anything."""
    return sorted(event["state_key"] for event in events if event["type"] == "m.room.member")
