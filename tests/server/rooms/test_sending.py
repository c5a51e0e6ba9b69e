"""A message that is sent like the one before it is made of less work, and is the same event."""

import pytest

from projections.events import decode_event
from projections.facts import RoomEvent, Transaction
from projections.room_versions import SUPPORTED
from projections.sessions import Session
from server.app import Running
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.rooms.sending import SendMessage, send_message

pytestmark = pytest.mark.anyio

ALICE = Session("@alice:localhost", "PHONE")


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("event_type", ["m.room.message", "m.room.topic", "m.room.history_visibility"])
async def test_what_is_known_of_a_sent_event_is_what_is_stored(
    running: Running, version: str, event_type: str
) -> None:
    room = await running.writer.decide(create_room, CreateRoom(ALICE, RoomRequest(room_version=version)))
    facts: list[RoomEvent] = []
    running.writer.listen(lambda _, sent: facts.extend(fact for fact in sent if isinstance(fact, RoomEvent)))
    for number in range(3):
        content = {"body": f"number {number}", "history_visibility": "joined"}
        request = SendMessage(ALICE, room, event_type, content, Transaction("PHONE", "PUT", f"{number}"))
        await running.writer.decide(send_message, request)
    assert [fact.event for fact in facts] == [decode_event(fact.stored) for fact in facts]
    assert [fact.event.content["body"] for fact in facts] == ["number 0", "number 1", "number 2"]
