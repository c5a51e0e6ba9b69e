"""What people do in rooms, as decisions: no HTTP between the test and the log."""

from collections.abc import Mapping
from typing import Any

from projections.sessions import Session
from server.app import Running
from server.rooms import membership
from server.rooms.creation import CreateRoom, InitialState, RoomRequest, create_room
from server.rooms.membership import Entering, MemberChange, member_content
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state

ALICE, GHOST = Session("@alice:localhost", "PHONE"), Session("@_irc_bob:localhost", "")


class Room:
    """Of Alice's, which anybody may join."""

    def __init__(self, parts: Running, room_id: str) -> None:
        self.room_id = room_id
        self._decide = parts.writer.decide

    async def say(self, body: str, who: Session = ALICE) -> str:
        """Returns the event's id."""
        content = {"msgtype": "m.text", "body": body}
        return await self._decide(
            send_message, SendMessage(who, self.room_id, "m.room.message", content, None)
        )

    async def set(self, event_type: str, content: Mapping[str, Any], state_key: str = "") -> str:
        return await self._decide(
            set_state, SetState(ALICE, self.room_id, event_type, state_key, dict(content))
        )

    async def redact(self, event_id: str) -> str:
        return await self._decide(redact, Redact(ALICE, self.room_id, event_id, {}, None))

    async def join(self, who: Session = GHOST) -> None:
        await self._decide(membership.join, Entering(who, self.room_id))

    async def invite(self, who: Session = GHOST) -> None:
        change = MemberChange(ALICE, self.room_id, who.user_id, member_content("invite"))
        await self._decide(membership.invite, change)


async def new_room(parts: Running, *, states: int = 0) -> Room:
    """`states` says how many events of initial state it has."""
    initial = [InitialState("org.example.n", {"n": n}, str(n)) for n in range(states)]
    request = RoomRequest(preset="public_chat", initial_state=initial)
    return Room(parts, await parts.writer.decide(create_room, CreateRoom(ALICE, request)))


async def bridged_room(parts: Running) -> Room:
    """One that a user of the service is in."""
    room = await new_room(parts)
    await room.join()
    return room
