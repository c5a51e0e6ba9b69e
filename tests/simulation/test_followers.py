"""Nobody is skipped: whoever follows along sees every event once, in the order of the log.

Several people talk at once in two rooms while others wait on long polls of both kinds. What the order is,
the log itself says.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventlog.engines import open_log
from projections.facts import RoomEvent, decode_entry
from server.config import log_url
from tests.harness.client import V1, V3, Client, path_of
from tests.harness.server_process import ServerProcess, serving

pytestmark = pytest.mark.anyio

SENDERS = 8
MESSAGES_OF_EACH = 24
FOLLOWERS_OF_EACH_KIND = 3
LAST = "com.example.last"
LARGE_TIMELINE = '{"room":{"timeline":{"limit":1000}}}'


class Follower:
    """What one client saw, answer by answer."""

    def __init__(self, server: ServerProcess, client: Client, rooms: list[str]) -> None:
        headers = {"Authorization": f"Bearer {client.token}"}
        self.http = httpx.AsyncClient(base_url=server.address, headers=headers, timeout=60)
        self.answers: list[list[str]] = []
        """Event ids; of a /sync those of one room after those of another."""
        self.seen: dict[str, list[str]] = {room_id: [] for room_id in rooms}
        self.ended: set[str] = set()

    async def follow_sync(self, since: str) -> None:
        while len(self.ended) < len(self.seen):
            query = {"since": since, "timeout": "30000", "filter": LARGE_TIMELINE}
            answer = (await self.http.get(V3 + "/sync", params=query)).raise_for_status().json()
            since = answer["next_batch"]
            self.answers.append([])
            for room_id, room in answer["rooms"]["join"].items():
                assert not room["timeline"]["limited"]
                self._see(room_id, room["timeline"]["events"])

    async def follow_events(self, since: str) -> None:
        while len(self.ended) < len(self.seen):
            query = {"from": since, "timeout": "30000"}
            answer = (await self.http.get(V1 + "/events", params=query)).raise_for_status().json()
            since = answer["end"]
            self.answers.append([])
            for event in answer["chunk"]:
                self._see(event["room_id"], [event])

    def _see(self, room_id: str, events: list[dict[str, Any]]) -> None:
        self.seen[room_id] += [event["event_id"] for event in events]
        self.answers[-1] += [event["event_id"] for event in events]
        if any(event["type"] == LAST for event in events):
            self.ended.add(room_id)


async def events_in_log(data: Path, *, after: str) -> list[str]:
    """In the order of their positions; `after` is an event."""
    async with open_log(log_url(data), read_only=True) as log:
        entries = [decode_entry(entry.payload) async for entry in log.read()]
    found = [fact.event_id for facts in entries for fact in facts if isinstance(fact, RoomEvent)]
    return found[found.index(after) + 1 :]


async def talk(server: ServerProcess, client: Client, rooms: list[str], name: str) -> None:
    headers = {"Authorization": f"Bearer {client.token}"}
    async with httpx.AsyncClient(base_url=server.address, headers=headers, timeout=60) as http:
        for number in range(MESSAGES_OF_EACH):
            path = path_of("rooms", rooms[number % 2], "send", "m.room.message", f"{name} {number}")
            body = {"msgtype": "m.text", "body": f"{number} of {name}"}
            (await http.put(V3 + path, json=body)).raise_for_status()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "data", "--rate-limits", "off") as server:
        yield server


@pytest.mark.requirement("G08", "G09")
async def test_every_follower_sees_every_event_once_in_log_order(
    server: ServerProcess, tmp_path: Path
) -> None:
    alice, bob = server.client().register("alice"), server.client().register("bob")
    rooms = [alice.create_room(preset="public_chat"), alice.create_room(preset="public_chat")]
    for room_id in rooms:
        bob.join(room_id)
    first = alice.say(rooms[0], "From here on.")
    since = bob.sync()["next_batch"]
    by_sync, by_events = ([Follower(server, bob, rooms) for _ in range(FOLLOWERS_OF_EACH_KIND)] for _ in "12")
    following = [asyncio.create_task(one.follow_sync(since)) for one in by_sync]
    following += [asyncio.create_task(one.follow_events(since)) for one in by_events]
    await asyncio.gather(*(talk(server, alice, rooms, f"sender {n}") for n in range(SENDERS)))
    for room_id in rooms:
        alice.send(room_id, {}, event_type=LAST)
    await asyncio.gather(*following)
    for one in (*by_sync, *by_events):
        await one.http.aclose()

    in_log = await events_in_log(tmp_path / "data", after=first)
    assert len(in_log) == SENDERS * MESSAGES_OF_EACH + len(rooms)
    for one in by_events:
        assert [event_id for answer in one.answers for event_id in answer] == in_log
    for one in by_sync:  # each answer goes on where the last one ended
        assert [event_id for answer in one.answers for event_id in sorted(answer, key=in_log.index)] == in_log
    for room_id in rooms:
        page = alice.messages(room_id, dir="f", from_=since, limit=1000)["chunk"]
        in_room = [event["event_id"] for event in page]
        assert in_room == [event_id for event_id in in_log if event_id in in_room]
        assert [one.seen[room_id] for one in by_sync] == [in_room] * FOLLOWERS_OF_EACH_KIND
