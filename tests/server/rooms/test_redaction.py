"""Redaction by room version: where its target is named, what is left of that, and what clients are shown."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from projections import state, timeline
from projections.follower import open_views, rebuild
from projections.room_versions import SUPPORTED
from projections.sessions import Session
from projections.timeline import TimelineEvent
from server.app import Running
from server.errors import ErrorCode, MatrixError
from server.rooms.client_format import ClientFormat
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from tests.harness.local_homeserver import fast_directory

pytestmark = pytest.mark.anyio

ALICE = Session("@alice:localhost", "PHONE")

every_version = pytest.mark.parametrize("version", SUPPORTED)
until_10 = pytest.mark.parametrize("version", ["6", "7", "8", "9", "10"])
since_11 = pytest.mark.parametrize("version", ["11", "12"])


class Room(NamedTuple):
    """A room of Alice's, and what she does in it."""

    running: Running
    room_id: str

    async def say(self, text: str = "unsayable") -> str:
        content = {"msgtype": "m.text", "body": text}
        return await self.send("m.room.message", content)

    async def send(self, event_type: str, content: dict[str, Any]) -> str:
        request = SendMessage(ALICE, self.room_id, event_type, content)
        return await self.running.writer.decide(send_message, request)

    async def set_state(self, event_type: str, content: dict[str, Any]) -> str:
        request = SetState(ALICE, self.room_id, event_type, "", content)
        return await self.running.writer.decide(set_state, request)

    async def redact(self, event_id: str, **content: Any) -> str:
        request = Redact(ALICE, self.room_id, event_id, content)
        return await self.running.writer.decide(redact, request)

    def create_event_id(self) -> str:
        with self.running.homeserver.views.read() as view:
            created = state.state_event(view, self.room_id, "m.room.create", "")
        assert created is not None
        return created.event_id

    def found(self, event_id: str) -> TimelineEvent:
        with self.running.homeserver.views.read() as view:
            found = timeline.event_by_id(view, event_id)
        assert found is not None
        return found

    def stored(self, event_id: str) -> dict[str, Any]:
        stored: dict[str, Any] = json.loads(self.found(event_id).stored)
        return stored

    def shown(self, event_id: str) -> Any:
        """As JSON, like a client gets it."""
        with self.running.homeserver.views.read() as view:
            shown = ClientFormat(view, ALICE, self.running.homeserver.now(), legacy=False)
            return msgspec.json.decode(msgspec.json.encode(shown.event(self.found(event_id))))


async def new_room(running: Running, version: str, **request: Any) -> Room:
    asked = CreateRoom(ALICE, RoomRequest(room_version=version, **request))
    return Room(running, await running.writer.decide(create_room, asked))


@until_10
async def test_target_is_named_beside_the_content(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said = await room.say()
    stored = room.stored(await room.redact(said, reason="slip"))
    assert (stored["redacts"], stored["content"]) == (said, {"reason": "slip"})


@since_11
async def test_target_is_named_in_the_content(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said = await room.say()
    stored = room.stored(await room.redact(said, reason="slip"))
    assert stored["content"] == {"reason": "slip", "redacts": said}
    assert "redacts" not in stored


@every_version
async def test_clients_find_the_target_in_both_places(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said = await room.say()
    shown = room.shown(await room.redact(said, reason="slip"))
    assert (shown["redacts"], shown["content"]) == (said, {"reason": "slip", "redacts": said})


@every_version
async def test_redaction_can_be_sent_like_any_event(running: Running, version: str) -> None:
    room = await new_room(running, version)
    first, second = await room.say(), await room.say()
    sent = room.stored(await room.send("m.room.redaction", {"redacts": first, "reason": "slip"}))
    asked = room.stored(await room.redact(second, reason="slip"))
    places = {name: sent.get(name) for name in ("content", "redacts")}
    assert json.loads(json.dumps(places).replace(first, second)) == {
        name: asked.get(name) for name in ("content", "redacts")
    }
    assert room.found(first).redacted_by


@every_version
async def test_target_loses_its_content(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said = await room.say()
    redaction_id = await room.redact(said)
    shown = room.shown(said)
    assert shown["content"] == {}
    assert shown["unsigned"]["redacted_because"]["event_id"] == redaction_id
    assert shown["unsigned"]["redacted_because"]["redacts"] == said


@every_version
async def test_body_names_no_other_target(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said, other = await room.say(), await room.say("sayable")
    redaction_id = await room.redact(said, redacts=other)
    assert other not in json.dumps(room.stored(redaction_id)["content"])
    assert not room.found(other).redacted_by


@until_10
async def test_redacted_redaction_forgets_its_target(running: Running, version: str) -> None:
    room = await new_room(running, version)
    redaction_id = await room.redact(await room.say(), reason="slip")
    await room.redact(redaction_id)
    shown = room.shown(redaction_id)
    assert ("redacts" in shown, shown["content"]) == (False, {})


@since_11
async def test_redacted_redaction_keeps_its_target(running: Running, version: str) -> None:
    room = await new_room(running, version)
    said = await room.say()
    redaction_id = await room.redact(said, reason="slip")
    await room.redact(redaction_id)
    shown = room.shown(redaction_id)
    assert (shown["redacts"], shown["content"]) == (said, {"redacts": said})


@every_version
async def test_redacting_the_unknown_changes_nothing(running: Running, version: str) -> None:
    room = await new_room(running, version)
    head = running.writer.head
    with pytest.raises(MatrixError) as refusal:
        await room.redact("$nothing")
    assert (refusal.value.kind, running.writer.head) == (ErrorCode.NOT_FOUND, head)


@pytest.mark.parametrize(
    ("version", "left"),
    [
        *((name, {"ban": 60, "users": {}}) for name in ("6", "7", "8", "9", "10")),
        *((name, {"ban": 60, "users": {}, "invite": 70}) for name in ("11", "12")),
    ],
)
async def test_redacted_levels_go_on_as_far_as_they_are_left(
    running: Running, version: str, left: dict[str, Any]
) -> None:
    room = await new_room(running, version)
    levels = {"ban": 60, "users": {}, "invite": 70, "notifications": {"room": 0}}
    changed = await room.set_state("m.room.power_levels", levels)
    await room.redact(changed)
    assert room.stored(changed)["content"] == left


@every_version
async def test_room_goes_on_by_its_version_when_its_beginning_is_redacted(
    running: Running, version: str
) -> None:
    room = await new_room(running, version)
    await room.redact(room.create_event_id())
    said = await room.say()
    redaction = room.stored(await room.redact(said))
    assert ("redacts" in redaction["content"]) == SUPPORTED[version].redacts_is_in_content
    assert room.stored(said)["content"] == {}


async def test_rebuilt_views_have_the_redactions_of_all_versions(running: Running) -> None:
    for version in SUPPORTED:
        room = await new_room(running, version)
        await room.redact(await room.redact(await room.say()))
        await room.redact(await room.set_state("m.room.topic", {"topic": "unsayable"}))
    log = running.homeserver.log
    with fast_directory() as path:
        rebuilt = open_views(path, log)
        try:
            await rebuild(log, rebuilt)
            digest = rebuilt.digest()
        finally:
            rebuilt.abandon()
    assert digest == running.homeserver.views.digest()
