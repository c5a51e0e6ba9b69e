"""Nobody is skipped: whoever follows along sees every event once, in the order of the log.

Several people talk at once in two rooms while others wait on long polls of both kinds. What the order is,
the log itself says: the positions that /messages gives are its order.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.client import V1, V3, path_of
from tests.harness.server_process import ServerProcess, serving

pytestmark = pytest.mark.anyio

SENDERS = 8
MESSAGES_OF_EACH = 24
FOLLOWERS_OF_EACH_KIND = 3
LAST = "com.example.last"
LARGE_TIMELINE = '{"room":{"timeline":{"limit":1000}}}'


class Follower:
    """What one client saw of each room."""

    def __init__(self, address: str, token: str, rooms: list[str]) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=address, headers=headers, timeout=60)
        self.seen: dict[str, list[str]] = {room_id: [] for room_id in rooms}
        self.ended: set[str] = set()

    async def follow_sync(self, since: str) -> None:
        while len(self.ended) < len(self.seen):
            query = {"since": since, "timeout": "30000", "filter": LARGE_TIMELINE}
            answer = (await self.http.get(V3 + "/sync", params=query)).raise_for_status().json()
            since = answer["next_batch"]
            for room_id, room in answer["rooms"]["join"].items():
                assert not room["timeline"]["limited"]
                self._see(room_id, room["timeline"]["events"])

    async def follow_events(self, since: str) -> None:
        while len(self.ended) < len(self.seen):
            query = {"from": since, "timeout": "30000"}
            answer = (await self.http.get(V1 + "/events", params=query)).raise_for_status().json()
            since = answer["end"]
            for event in answer["chunk"]:
                self._see(event["room_id"], [event])

    def _see(self, room_id: str, events: list[dict[str, Any]]) -> None:
        self.seen[room_id] += [event["event_id"] for event in events]
        if any(event["type"] == LAST for event in events):
            self.ended.add(room_id)


async def talk(address: str, token: str, rooms: list[str], name: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=60) as http:
        for number in range(MESSAGES_OF_EACH):
            path = path_of("rooms", rooms[number % 2], "send", "m.room.message", f"{name} {number}")
            body = {"msgtype": "m.text", "body": f"{number} of {name}"}
            (await http.put(V3 + path, json=body)).raise_for_status()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "data", "--rate-limits", "off") as server:
        yield server


async def test_every_follower_sees_every_event_once_in_log_order(server: ServerProcess) -> None:
    """G08, G09."""
    alice, address = server.client().register("alice"), server.address
    rooms = [alice.create_room(preset="public_chat"), alice.create_room(preset="public_chat")]
    since = alice.sync()["next_batch"]
    token = alice.token or ""
    followers = [Follower(address, token, rooms) for _ in range(2 * FOLLOWERS_OF_EACH_KIND)]
    following = [
        asyncio.create_task(one.follow_sync(since) if n % 2 else one.follow_events(since))
        for n, one in enumerate(followers)
    ]
    await asyncio.gather(*(talk(address, token, rooms, f"sender {n}") for n in range(SENDERS)))
    for room_id in rooms:
        alice.send(room_id, {}, event_type=LAST)
    await asyncio.gather(*following)
    for one in followers:
        await one.http.aclose()

    for room_id in rooms:
        page = alice.messages(room_id, dir="f", from_=since, limit=1000)["chunk"]
        in_log_order = [event["event_id"] for event in page]
        assert len(in_log_order) == SENDERS * MESSAGES_OF_EACH // 2 + 1
        for one in followers:
            assert one.seen[room_id] == in_log_order
