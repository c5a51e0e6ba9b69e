"""What a new room begins with, by room version: what the server adds, and what is not for a client to say."""

import asyncio
import json
from typing import Any

import pytest

from projections import timeline
from projections.room_versions import DEFAULT, SUPPORTED
from projections.sessions import Session
from projections.timeline import TimelineEvent
from server.app import Running
from server.errors import ErrorCode, MatrixError
from server.rooms.creation import CreateRoom, InitialState, RoomRequest, create_room
from server.rooms.sending import SetState, set_state
from tests.harness.local_homeserver import fast_directory, local_homeserver

pytestmark = pytest.mark.anyio

ALICE, BOB, CAROL = "@alice:localhost", "@bob:localhost", "@carol:localhost"
NOON = 1_700_000_000_000

every_version = pytest.mark.parametrize("version", SUPPORTED)
until_10 = pytest.mark.parametrize("version", ["6", "7", "8", "9", "10"])
since_11 = pytest.mark.parametrize("version", ["11", "12"])
until_11 = pytest.mark.parametrize("version", ["6", "7", "8", "9", "10", "11"])


async def make_room(running: Running, **request: Any) -> str:
    asked = CreateRoom(Session(ALICE, "PHONE"), RoomRequest(**request))
    return await running.writer.decide(create_room, asked)


def events_of(running: Running, room_id: str) -> list[TimelineEvent]:
    with running.homeserver.views.read() as view:
        return list(timeline.events_in_room(view, room_id, after=0, before=1 << 62, backwards=False))


async def first_events(running: Running, **request: Any) -> list[TimelineEvent]:
    return events_of(running, await make_room(running, **request))


def content_of(events: list[TimelineEvent], event_type: str) -> dict[str, Any]:
    [content] = [found.event.content for found in events if found.event.type == event_type]
    return content


async def assert_refused(running: Running, kind: ErrorCode, **request: Any) -> None:
    """And nothing of the room is there."""
    head = running.writer.head
    with pytest.raises(MatrixError) as refusal:
        await make_room(running, **request)
    assert (refusal.value.kind, running.writer.head) == (kind, head)


@every_version
async def test_first_events_stand_in_one_order(running: Running, version: str) -> None:
    events = await first_events(
        running,
        room_version=version,
        room_alias_name="tea",
        name="Tea",
        topic="Earl Grey",
        initial_state=[InitialState("org.example.own", {})],
        invite=[BOB],
    )
    assert [found.event.type for found in events] == [
        "m.room.create",
        "m.room.member",
        "m.room.power_levels",
        "m.room.canonical_alias",
        "m.room.join_rules",
        "m.room.history_visibility",
        "m.room.guest_access",
        "org.example.own",
        "m.room.name",
        "m.room.topic",
        "m.room.member",
    ]


async def test_version_is_the_default_unless_asked_for(running: Running) -> None:
    assert content_of(await first_events(running), "m.room.create")["room_version"] == DEFAULT


@pytest.mark.parametrize("version", ["", "0", "1", "2", "3", "4", "5", "13", "v12"])
async def test_other_versions_are_refused(running: Running, version: str) -> None:
    await assert_refused(running, ErrorCode.UNSUPPORTED_ROOM_VERSION, room_version=version)


SAID_OF_THE_ROOM = {"creator": BOB, "room_version": "1", "type": "m.space"}


@until_10
async def test_create_event_names_its_sender(running: Running, version: str) -> None:
    events = await first_events(running, room_version=version, creation_content=SAID_OF_THE_ROOM)
    expected = {"creator": ALICE, "room_version": version, "type": "m.space"}
    assert content_of(events, "m.room.create") == expected


@since_11
async def test_create_event_names_no_creator(running: Running, version: str) -> None:
    events = await first_events(running, room_version=version, creation_content=SAID_OF_THE_ROOM)
    assert content_of(events, "m.room.create") == {"room_version": version, "type": "m.space"}


@until_11
async def test_room_id_is_chosen_on_this_server(running: Running, version: str) -> None:
    events = await first_events(running, room_version=version)
    assert events[0].room_id.endswith(":localhost")
    assert {json.loads(found.stored)["room_id"] for found in events} == {events[0].room_id}


async def test_room_id_is_the_hash_of_the_create_event(running: Running) -> None:
    room_id = await make_room(running, room_version="12", visibility="public", room_alias_name="tea")
    create, *others = events_of(running, room_id)
    assert room_id == "!" + create.event_id.removeprefix("$")
    assert "room_id" not in json.loads(create.stored)
    assert {json.loads(found.stored)["room_id"] for found in others} == {room_id}


@until_11
async def test_create_event_is_named_by_all_others(running: Running, version: str) -> None:
    create, *others = await first_events(running, room_version=version)
    assert all(create.event_id in found.event.auth_events for found in others)


async def test_create_event_is_not_named_where_the_room_id_is(running: Running) -> None:
    create, join, *others = await first_events(running, room_version="12")
    assert join.event.auth_events == ()
    assert all(join.event_id in found.event.auth_events for found in others)
    assert not any(create.event_id in found.event.auth_events for found in others)


async def test_equal_rooms_of_one_millisecond_are_two() -> None:
    with fast_directory() as data:
        async with local_homeserver(data, now=lambda: NOON) as running:
            requests = [make_room(running, room_version="12", name="Tea") for _ in range(3)]
            rooms = await asyncio.gather(*requests)
            counts = [len(events_of(running, room_id)) for room_id in rooms]
            created = [events_of(running, room_id)[0].event.origin_server_ts for room_id in rooms]
    assert len(set(rooms)) == 3
    assert counts == [7, 7, 7]
    assert created == [NOON, NOON + 1, NOON + 2]


@until_11
async def test_creator_is_given_level_100(running: Running, version: str) -> None:
    levels = content_of(await first_events(running, room_version=version), "m.room.power_levels")
    assert levels["users"] == {ALICE: 100}
    assert levels["events"]["m.room.tombstone"] == 100


async def test_creator_is_given_no_level_where_they_outrank_all(running: Running) -> None:
    levels = content_of(await first_events(running, room_version="12"), "m.room.power_levels")
    assert levels["users"] == {}
    assert levels["events"]["m.room.tombstone"] == 150


@every_version
async def test_levels_are_laid_over(running: Running, version: str) -> None:
    override = {"events_default": 10, "users": {BOB: 50, CAROL: 40}, "ban": 60}
    if version != "12":
        override["users"] = {ALICE: 100, BOB: 50}
    events = await first_events(running, room_version=version, power_level_content_override=override)
    levels = content_of(events, "m.room.power_levels")
    assert {name: levels[name] for name in override} == override
    assert levels["kick"] == 50


@until_11
async def test_who_is_trusted_is_given_level_100(running: Running, version: str) -> None:
    events = await first_events(
        running,
        room_version=version,
        preset="trusted_private_chat",
        invite=[BOB],
        creation_content={"additional_creators": ["means nothing"]},
    )
    assert content_of(events, "m.room.power_levels")["users"] == {ALICE: 100, BOB: 100}
    assert content_of(events, "m.room.create")["additional_creators"] == ["means nothing"]


async def test_who_is_trusted_becomes_a_creator(running: Running) -> None:
    events = await first_events(
        running,
        room_version="12",
        preset="trusted_private_chat",
        invite=[BOB, CAROL],
        creation_content={"additional_creators": ["@dan:localhost", BOB]},
    )
    create = content_of(events, "m.room.create")
    assert create["additional_creators"] == ["@dan:localhost", BOB, CAROL]
    assert content_of(events, "m.room.power_levels")["users"] == {}


async def test_who_is_only_invited_becomes_no_creator(running: Running) -> None:
    events = await first_events(running, room_version="12", preset="private_chat", invite=[BOB])
    assert content_of(events, "m.room.create") == {"room_version": "12"}


async def test_additional_creator_may_end_the_room(running: Running) -> None:
    room_id = await make_room(running, room_version="12", preset="trusted_private_chat", invite=[BOB])
    bob = Session(BOB, "PHONE")
    joined = SetState(bob, room_id, "m.room.member", BOB, {"membership": "join"})
    await running.writer.decide(set_state, joined)
    end = SetState(bob, room_id, "m.room.tombstone", "", {"body": "moved", "replacement_room": "!new"})
    event_id = await running.writer.decide(set_state, end)
    assert events_of(running, room_id)[-1].event_id == event_id


@pytest.mark.parametrize("wrong", [None, BOB, {BOB: 1}, [1], ["bob"], [[BOB]], [{"user_id": BOB}]], ids=str)
@pytest.mark.parametrize("preset", ["private_chat", "trusted_private_chat"])
async def test_additional_creators_must_be_users(running: Running, wrong: Any, preset: str) -> None:
    await assert_refused(
        running,
        ErrorCode.INVALID_ROOM_STATE,
        room_version="12",
        preset=preset,
        invite=[CAROL],
        creation_content={"additional_creators": wrong},
    )


async def test_no_level_can_be_given_to_a_creator(running: Running) -> None:
    override = {"users": {ALICE: 100}}
    await assert_refused(
        running, ErrorCode.INVALID_ROOM_STATE, room_version="12", power_level_content_override=override
    )


@until_11
async def test_creator_must_be_left_enough_to_go_on(running: Running, version: str) -> None:
    await assert_refused(
        running,
        ErrorCode.INVALID_ROOM_STATE,
        room_version=version,
        power_level_content_override={"users": {}},
    )


@pytest.mark.parametrize(("version", "ban"), [("6", "50"), ("9", " +050")])
async def test_levels_may_be_text_until_9(running: Running, version: str, ban: str) -> None:
    events = await first_events(
        running, room_version=version, power_level_content_override={"ban": ban, "users": {ALICE: "100"}}
    )
    assert content_of(events, "m.room.power_levels")["ban"] == ban


@pytest.mark.parametrize("version", ["10", "11", "12"])
async def test_levels_must_be_integers_since_10(running: Running, version: str) -> None:
    await assert_refused(
        running,
        ErrorCode.INVALID_ROOM_STATE,
        room_version=version,
        power_level_content_override={"ban": "50"},
    )


@every_version
async def test_nothing_is_there_if_a_later_event_fails(running: Running, version: str) -> None:
    """The create event alone would make a room; the second invite of oneself is refused."""
    await assert_refused(
        running, ErrorCode.INVALID_ROOM_STATE, room_version=version, invite=[BOB, ALICE], name="Tea"
    )
    with running.homeserver.views.read() as view:
        assert list(timeline.rooms(view)) == []
