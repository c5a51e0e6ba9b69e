"""What random clients found, each in the fewest steps: they come by it seldom, and it must not come back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from projections import state, timeline
from projections.sessions import Session
from server.app import Running
from server.errors import ErrorCode, MatrixError
from server.rooms import membership
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.rooms.membership import Entering
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from tests.harness.local_homeserver import fast_directory, local_homeserver

pytestmark = pytest.mark.anyio

ALICE, BOB = Session("@alice:localhost", "PHONE"), Session("@bob:localhost", "PHONE")


class Room:
    """A public room of Alice's in which Bob may set state, but not redact what others said."""

    def __init__(self, parts: Running, room_id: str) -> None:
        self.room_id = room_id
        self._parts = parts

    async def state(self, who: Session, event_type: str, content: dict[str, Any], state_key: str = "") -> str:
        request = SetState(who, self.room_id, event_type, state_key, content)
        return await self._parts.writer.decide(set_state, request)

    async def say(self, who: Session, content: dict[str, Any]) -> str:
        request = SendMessage(who, self.room_id, "m.room.message", content)
        return await self._parts.writer.decide(send_message, request)

    def content_of(self, event_id: str) -> str:
        with self._parts.homeserver.views.read() as view:
            found = timeline.event_by_id(view, event_id)
            assert found is not None
            return bytes(found.event.raw_content).decode()

    def standing(self, event_type: str, state_key: str = "") -> str:
        with self._parts.homeserver.views.read() as view:
            found = state.state_event(view, self.room_id, event_type, state_key)
            assert found is not None
            return found.event_id


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    with fast_directory() as directory:
        async with local_homeserver(directory) as parts:
            request = RoomRequest(preset="public_chat", power_level_content_override={"state_default": 0})
            room_id = await parts.writer.decide(create_room, CreateRoom(ALICE, request))
            await parts.writer.decide(membership.join, Entering(BOB, room_id))
            yield Room(parts, room_id)


async def test_state_becomes_true_that_was_one(room: Room) -> None:
    """Python takes the two for equal, and so the change was taken for a repeat and dropped."""
    one = await room.state(ALICE, "com.example.own", {"on": 1})
    true = await room.state(ALICE, "com.example.own", {"on": True})
    assert room.standing("com.example.own") == true != one
    assert room.content_of(true) == '{"on":true}'
    assert await room.state(ALICE, "com.example.own", {"on": True}) == true


async def test_profile_becomes_true_that_was_one(room: Room) -> None:
    """The same, of one's own member event."""
    for value in (1, True):
        await room.state(BOB, "m.room.member", {"membership": "join", "com.example.own": value}, BOB.user_id)
    standing = room.standing("m.room.member", BOB.user_id)
    assert room.content_of(standing) == '{"com.example.own":true,"membership":"join"}'


async def test_redaction_set_as_state_redacts_nothing(room: Room) -> None:
    """Whoever might set state could take away what others had said, whatever the level for redacting."""
    said = await room.say(ALICE, {"msgtype": "m.text", "body": "still here"})
    with pytest.raises(MatrixError) as refusal:
        await room.state(BOB, "m.room.redaction", {"redacts": said})
    assert refusal.value.kind is ErrorCode.INVALID_PARAM
    assert room.content_of(said) == '{"body":"still here","msgtype":"m.text"}'
