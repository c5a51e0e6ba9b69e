"""Looking for a time where much may not be seen; every event is a millisecond later than the one before."""

from collections.abc import AsyncIterator

import pytest

from projections.sessions import Session
from projections.timeline import TimelineEvent
from server.app import Running
from server.rooms.creation import CreateRoom, InitialState, RoomRequest, create_room
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from server.sync import timestamps
from server.sync.timestamps import event_near
from tests.harness.local_homeserver import fast_directory, local_homeserver

pytestmark = pytest.mark.anyio

ALICE, BOB = Session("@alice:localhost", "PHONE"), Session("@bob:localhost", "PHONE")
FAR = 1 << 60


class Room:
    """A room whose history is for those who were in it."""

    def __init__(self, running: Running, room_id: str) -> None:
        self.running = running
        self.room_id = room_id

    async def say(self, text: str, sender: Session = ALICE) -> str:
        content = {"msgtype": "m.text", "body": text}
        message = SendMessage(sender, self.room_id, "m.room.message", content, None)
        return await self.running.writer.decide(send_message, message)

    async def move(self, user: Session, membership: str) -> str:
        content = {"membership": membership}
        change = SetState(user, self.room_id, "m.room.member", user.user_id, content)
        return await self.running.writer.decide(set_state, change)

    async def near(self, timestamp: int, *, backwards: bool, reader: Session = BOB) -> TimelineEvent | None:
        homeserver = self.running.homeserver
        return await event_near(homeserver, self.room_id, reader.user_id, timestamp, backwards=backwards)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    # What stands before this event is for everybody who comes later; the tests look past it.
    joined_only = InitialState("m.room.history_visibility", {"history_visibility": "joined"})
    request = RoomRequest(preset="public_chat", initial_state=[joined_only])
    with fast_directory() as directory:
        async with local_homeserver(directory) as running:
            room_id = await running.writer.decide(create_room, CreateRoom(ALICE, request))
            yield Room(running, room_id)


async def time_of(room: Room, event_id: str) -> int:
    found = await room.near(FAR, backwards=True, reader=ALICE)
    assert found is not None
    assert found.event_id == event_id
    return found.event.origin_server_ts


@pytest.fixture(params=[1, 2, 3, 1_000])
def slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many events are looked at before others have their turn."""
    monkeypatch.setattr(timestamps, "_EVENTS_LOOKED_AT_ONCE_MAX", request.param)


@pytest.mark.usefixtures("slices")
async def test_what_is_hidden_is_passed_over(room: Room) -> None:
    begin = await time_of(room, await room.say("before"))
    for _ in range(5):
        await room.say("before")
    joined = await room.move(BOB, "join")
    said = await room.say("meanwhile")
    left = await room.move(BOB, "leave")
    for _ in range(5):
        await room.say("after")
    first, last = await room.near(begin, backwards=False), await room.near(FAR, backwards=True)
    assert first is not None
    assert last is not None
    assert (first.event_id, last.event_id) == (joined, left)
    before_leave = await room.near(last.event.origin_server_ts - 1, backwards=True)
    assert before_leave is not None
    assert before_leave.event_id == said


@pytest.mark.usefixtures("slices")
async def test_where_everything_is_hidden_there_is_none(room: Room) -> None:
    await room.move(BOB, "join")
    await room.move(BOB, "leave")
    begin = await time_of(room, await room.say("after"))
    for _ in range(5):
        await room.say("after")
    assert await room.near(begin, backwards=False) is None
    assert await room.near(0, backwards=True) is None
