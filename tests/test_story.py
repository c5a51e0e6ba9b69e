"""The whole story, told by an unmodified Matrix client (matrix-nio) against a real server on a real disk.

Two people register, one makes a room, both talk in it; the server is killed in the middle of it and comes
back; nothing that was acknowledged is missing and nothing is doubled; the views are thrown away and what is
folded anew equals what was there, byte for byte.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import nio
import pytest

from eventlog.engines import open_log
from projections.follower import open_views, rebuild
from server.config import log_url, views_path
from tests.harness.client import PASSWORD
from tests.harness.server_process import ServerProcess, serving

pytestmark = pytest.mark.anyio

Answer = TypeVar("Answer")

MESSAGES = 120
ACKNOWLEDGED_BEFORE_THE_KILL = 40


def must(answer: Any, kind: type[Answer]) -> Answer:
    """An answer of the kind that the client library has for success."""
    assert isinstance(answer, kind), answer
    return answer


@asynccontextmanager
async def person(server: ServerProcess, name: str) -> AsyncIterator[nio.AsyncClient]:
    client = nio.AsyncClient(server.address, f"@{name}:localhost")
    try:
        must(await client.register(name, PASSWORD), nio.RegisterResponse)
        yield client
    finally:
        await client.close()


async def bodies_in(client: nio.AsyncClient, room_id: str) -> list[str]:
    """Every message of a room, oldest first, page by page from its end."""
    found: list[str] = []
    start: str | None = None
    while True:
        page = must(await client.room_messages(room_id, start, limit=25), nio.RoomMessagesResponse)
        found += [event.body for event in page.chunk if isinstance(event, nio.RoomMessageText)]
        if page.end is None:
            return found[::-1]
        start = page.end


async def say(client: nio.AsyncClient, room_id: str, text: str) -> str:
    """Say it under a transaction id of its own. The library itself repeats what got no answer."""
    content = {"msgtype": "m.text", "body": text}
    answer = await client.room_send(room_id, "m.room.message", content, tx_id=f"txn {text}")
    event_id: str = must(answer, nio.RoomSendResponse).event_id
    return event_id


@pytest.mark.requirement("S02", "S20", "M03", "M08", "G06", "V03", "T01")
async def test_a_stock_client_lives_here_through_a_kill_and_a_rebuild(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        async with person(server, "alice") as alice, person(server, "bob") as bob:
            room_id = await they_meet(alice, bob)
            await they_follow_along(alice, bob, room_id)
            acknowledged = await they_talk_through_a_kill(server, alice, bob, room_id)
            assert_nothing_is_missing_or_doubled(acknowledged, await bodies_in(alice, room_id))

            before = await what_bob_sees(bob, room_id)
            assert server.stop() == 0
            followed = await digest_of_views(data)
            shutil.rmtree(views_path(data))
            assert await digest_of_rebuilt_views(data, tmp_path / "scratch") == followed
            server.start()
            bob.homeserver = server.address
            assert await what_bob_sees(bob, room_id) == before
    assert await digest_of_views(data) == followed


async def they_meet(alice: nio.AsyncClient, bob: nio.AsyncClient) -> str:
    created = must(await alice.room_create(name="Tea", invite=[bob.user_id]), nio.RoomCreateResponse)
    synced = must(await bob.sync(), nio.SyncResponse)
    room_id: str = created.room_id
    assert list(synced.rooms.invite) == [room_id]
    must(await bob.join(room_id), nio.JoinResponse)
    return room_id


async def they_follow_along(alice: nio.AsyncClient, bob: nio.AsyncClient, room_id: str) -> None:
    must(await alice.sync(), nio.SyncResponse)
    assert set(alice.rooms[room_id].users) == {alice.user_id, bob.user_id}
    assert alice.rooms[room_id].name == "Tea"

    waiting = asyncio.create_task(alice.sync(timeout=20_000))
    sent = must(
        await bob.room_send(room_id, "m.room.message", {"msgtype": "m.text", "body": "Is it hot?"}),
        nio.RoomSendResponse,
    )
    came = must(await waiting, nio.SyncResponse).rooms.join[room_id].timeline.events
    assert [event.event_id for event in came] == [sent.event_id]

    must(await alice.room_put_state(room_id, "m.room.topic", {"topic": "Cups"}), nio.RoomPutStateResponse)
    must(await bob.sync(), nio.SyncResponse)
    assert bob.rooms[room_id].topic == "Cups"

    must(await alice.room_redact(room_id, sent.event_id, reason="spilt"), nio.RoomRedactResponse)
    redacted = must(await bob.room_get_event(room_id, sent.event_id), nio.RoomGetEventResponse).event
    assert isinstance(redacted, nio.RedactedEvent)
    assert (redacted.redacter, redacted.reason) == (alice.user_id, "spilt")


async def they_talk_through_a_kill(
    server: ServerProcess, alice: nio.AsyncClient, bob: nio.AsyncClient, room_id: str
) -> dict[str, str]:
    """Event ids by what was said; the server dies while it is being said."""
    acknowledged: dict[str, str] = {}
    enough = asyncio.Event()

    async def talk(client: nio.AsyncClient, texts: Iterator[str]) -> None:
        for text in texts:
            acknowledged[text] = await say(client, room_id, text)
            if len(acknowledged) == ACKNOWLEDGED_BEFORE_THE_KILL:
                enough.set()

    speakers = (alice, bob)
    texts = iter([f"message {number}" for number in range(MESSAGES)])
    talking = [asyncio.create_task(talk(client, texts)) for client in speakers for _ in range(4)]
    await enough.wait()
    await asyncio.to_thread(server.restart)
    for client in speakers:
        client.homeserver = server.address
    await asyncio.gather(*talking)
    return acknowledged


def assert_nothing_is_missing_or_doubled(acknowledged: dict[str, str], found: list[str]) -> None:
    assert len(acknowledged) == MESSAGES
    assert len(set(acknowledged.values())) == MESSAGES
    assert sorted(found) == sorted(acknowledged)


async def what_bob_sees(bob: nio.AsyncClient, room_id: str) -> tuple[list[str], Any, Any]:
    members = must(await bob.joined_members(room_id), nio.JoinedMembersResponse).members
    topic = must(await bob.room_get_state_event(room_id, "m.room.topic"), nio.RoomGetStateEventResponse)
    return await bodies_in(bob, room_id), sorted(member.user_id for member in members), topic.content


async def digest_of_views(data: Path) -> str:
    async with open_log(log_url(data)) as log:
        views = open_views(views_path(data), log)
        try:
            return views.digest()
        finally:
            views.close()


async def digest_of_rebuilt_views(data: Path, scratch: Path) -> str:
    async with open_log(log_url(data)) as log:
        views = open_views(scratch, log)
        try:
            await rebuild(log, views)
            return views.digest()
        finally:
            views.close()
