"""What a sync costs: reads of the views, counted, not timed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from projections.tables import Key, Table
from projections.view import View
from server.app import ROUTES
from server.config import Config
from server.http.application import Application
from server.http.context import Context
from server.http.limits import RateLimits
from server.rate_limits import Limits
from server.sync import legacy
from server.sync.audience import Audience
from tests.harness.client import PASSWORD, V3, path_of
from tests.harness.local_homeserver import fast_directory, local_homeserver

pytestmark = pytest.mark.anyio

ROOMS = 50


class Reads:
    """Values got and rows scanned while somebody counts."""

    def __init__(self) -> None:
        self.count = 0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    reads, get, scan = Reads(), View.get, View.scan

    def counting_get(view: View, table: Table[Any], at: Key) -> Any:
        reads.count += 1
        return get(view, table, at)

    def counting_scan(view: View, *arguments: Any, **more: Any) -> Iterator[tuple[Key, Any]]:
        reads.count += 1
        for row in scan(view, *arguments, **more):
            reads.count += 1
            yield row

    with monkeypatch.context() as patched:
        patched.setattr(View, "get", counting_get)
        patched.setattr(View, "scan", counting_scan)
        yield reads


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The whole application, in this process."""
    with fast_directory() as directory:
        async with local_homeserver(directory) as parts:
            audience = Audience(parts.homeserver.views, parts.writer.head)
            parts.writer.listen(audience.hear)
            limits = RateLimits(Limits(is_on=False))
            context = Context(Config(), parts.homeserver, parts.writer, audience, limits)
            transport = httpx.ASGITransport(Application(ROUTES, {"context": context}))
            async with httpx.AsyncClient(transport=transport, base_url="http://test" + V3) as http:
                yield http


class User:
    """As much of a client as these tests need, on the event loop of the server."""

    def __init__(self, http: httpx.AsyncClient, localpart: str) -> None:
        self._http = http
        self._localpart = localpart
        self._headers: dict[str, str] = {}

    async def register(self) -> "User":
        body = {"username": self._localpart, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        token = (await self.call("POST", "/register", body))["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        return self

    async def call(self, method: str, path: str, body: object = None, **query: str) -> Any:
        answer = await self._http.request(method, path, json=body, params=query, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def make_rooms(self, count: int) -> str:
        """The last one of them."""
        made = [str((await self.call("POST", "/createRoom", {}))["room_id"]) for _ in range(count)]
        return made[-1]

    async def say(self, room: str) -> None:
        await self.call("POST", path_of("rooms", room, "send", "m.room.message"), {"body": "news"})


async def cost_of_news(user: User, room: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of one sync with one new event in one room."""
    since = (await user.call("GET", "/sync"))["next_batch"]
    await user.say(room)
    with counted(monkeypatch) as reads:
        answer = await user.call("GET", "/sync", since=since)
    assert list(answer["rooms"]["join"]) == [room]
    return reads.count


async def cost_of_no_news(user: User, monkeypatch: pytest.MonkeyPatch) -> int:
    since = (await user.call("GET", "/sync"))["next_batch"]
    with counted(monkeypatch) as reads:
        answer = await user.call("GET", "/sync", since=since)
    assert not any(answer["rooms"].values())
    return reads.count


async def test_news_costs_the_same_in_fifty_rooms(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = await User(http, "few").register(), await User(http, "many").register()
    one_room, last_room = await few.make_rooms(1), await many.make_rooms(ROOMS)
    cost = await cost_of_news(few, one_room, monkeypatch)
    assert 0 < cost < ROOMS
    assert await cost_of_news(many, last_room, monkeypatch) == cost


async def test_no_news_cost_the_same_in_fifty_rooms(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = await User(http, "few").register(), await User(http, "many").register()
    await few.make_rooms(1)
    await many.make_rooms(ROOMS)
    cost = await cost_of_no_news(few, monkeypatch)
    assert 0 < cost < ROOMS
    assert await cost_of_no_news(many, monkeypatch) == cost


async def test_a_first_sync_costs_more_in_fifty_rooms(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what does grow with the rooms is seen to grow."""
    user = await User(http, "many").register()
    costs = []
    for rooms in (1, ROOMS - 1):
        await user.make_rooms(rooms)
        with counted(monkeypatch) as reads:
            await user.call("GET", "/sync")
        costs.append(reads.count)
    assert costs[1] > ROOMS / 2 * costs[0]


async def cost_of_events(
    user: User, room: str, strangers: list[User], monkeypatch: pytest.MonkeyPatch
) -> int:
    """Of one answer on the stream of events with one event, after what the strangers said elsewhere."""
    begin = (await user.call("GET", "/events"))["end"]
    for stranger in strangers:
        await stranger.say(await stranger.make_rooms(1))
    await user.say(room)
    with counted(monkeypatch) as reads:
        answer = await user.call("GET", "/events", **{"from": begin})
    assert [event["room_id"] for event in answer["chunk"]] == [room]
    return reads.count


async def test_events_elsewhere_cost_nothing_on_the_stream(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await User(http, "user").register()
    strangers = [await User(http, f"stranger{number}").register() for number in range(5)]
    room = await user.make_rooms(1)
    cost = await cost_of_events(user, room, [], monkeypatch)
    assert 0 < cost < ROOMS
    assert await cost_of_events(user, room, strangers, monkeypatch) == cost


async def test_who_was_away_for_long_hears_the_same_on_the_stream(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is found: by the rooms that had news, by all entries, or room by room up to a number."""
    user, guest = await User(http, "user").register(), await User(http, "guest").register()
    await user.call("GET", "/events")
    begin = (await user.call("GET", "/events"))["end"]
    rooms = [await user.make_rooms(1) for _ in range(3)]
    for room in (*rooms, *rooms):
        await user.say(room)
    await user.call("POST", path_of("rooms", rooms[0], "invite"), {"user_id": "@guest:localhost"})
    await user.call("POST", path_of("rooms", rooms[1], "leave"), {})
    await guest.say(await guest.make_rooms(1))

    async def heard() -> list[str]:
        chunk = (await user.call("GET", "/events", **{"from": begin}))["chunk"]
        return [event["event_id"] for event in chunk]

    by_rooms = await heard()
    assert len(by_rooms) > 3 * 2
    monkeypatch.setattr(legacy, "_ROOMS_READ_AT_ONCE_MAX", 2)
    assert await heard() == by_rooms
    monkeypatch.undo()
    monkeypatch.setattr(Audience, "rooms_with_news", lambda *_: None)
    assert await heard() == by_rooms
