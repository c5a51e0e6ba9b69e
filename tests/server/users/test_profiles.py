"""Changing a profile: what is on record together, and how very many rooms hear of it."""

import pytest

from projections import profiles, state
from projections.facts import ProfileChanged, RoomEvent, decode_entry
from projections.follower import open_views, rebuild
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.users import profiles as decisions
from server.users.profiles import ChangeProfile, TellRooms, change_profile, tell_rooms
from tests.server.users.conftest import ALICE, Users

pytestmark = pytest.mark.anyio

NAMED = ChangeProfile(ALICE, "displayname", "Alice")


async def make_rooms(users: Users, count: int) -> list[str]:
    return sorted([await users.decide(create_room, CreateRoom(ALICE, RoomRequest())) for _ in range(count)])


def names_in(users: Users, rooms: list[str]) -> list[str | None]:
    """What Alice is called in each of them."""
    with users.view() as view:
        members = [state.state_event(view, room, "m.room.member", ALICE.user_id) for room in rooms]
    return [None if one is None else one.event.content.get("displayname") for one in members]


async def test_the_field_and_its_member_events_are_one_entry(users: Users) -> None:
    await make_rooms(users, 3)
    before = await users.homeserver.log.head()
    await users.decide(change_profile, NAMED)
    [entry] = [entry async for entry in users.homeserver.log.read(after=before)]
    first, *others = decode_entry(entry.payload)
    assert isinstance(first, ProfileChanged)
    assert [type(fact) for fact in others] == [RoomEvent] * 3


async def test_what_stands_already_is_no_entry(users: Users) -> None:
    await make_rooms(users, 2)
    await users.decide(change_profile, NAMED)
    before = await users.homeserver.log.head()
    assert await users.decide(change_profile, NAMED) is None
    assert await users.homeserver.log.head() == before


async def test_very_many_rooms_are_told_in_turns(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "ROOMS_TOLD_MAX", 2)
    rooms = await make_rooms(users, 5)
    assert await users.decide(change_profile, NAMED) == rooms[1]
    assert names_in(users, rooms) == ["Alice", "Alice", None, None, None]
    assert await users.decide(tell_rooms, TellRooms(ALICE, "displayname", rooms[1])) == rooms[3]
    assert await users.decide(tell_rooms, TellRooms(ALICE, "displayname", rooms[3])) is None
    assert names_in(users, rooms) == ["Alice"] * 5


async def test_who_was_cut_off_repeats(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "ROOMS_TOLD_MAX", 2)
    rooms = await make_rooms(users, 4)
    await users.decide(change_profile, NAMED)
    last = await users.decide(change_profile, NAMED)
    while last is not None:
        last = await users.decide(tell_rooms, TellRooms(ALICE, "displayname", last))
    assert names_in(users, rooms) == ["Alice"] * 4


async def test_of_two_changes_at_once_the_last_one_stays(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "ROOMS_TOLD_MAX", 1)
    rooms = await make_rooms(users, 2)
    first = await users.decide(change_profile, NAMED)
    second = await users.decide(change_profile, ChangeProfile(ALICE, "displayname", "Alicia"))
    for last in (second, first):
        assert last is not None
        await users.decide(tell_rooms, TellRooms(ALICE, "displayname", last))
    assert names_in(users, rooms) == ["Alicia"] * 2


async def test_a_profile_too_large_already_can_be_made_smaller(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    await users.decide(change_profile, ChangeProfile(ALICE, "com.example.a", "x" * 100))
    monkeypatch.setattr(decisions, "PROFILE_BYTES_MAX", 50)
    await users.decide(change_profile, ChangeProfile(ALICE, "com.example.a"))
    with users.view() as view:
        assert profiles.profile_of(view, ALICE.user_id) == {}


async def test_a_rebuilt_profile_is_the_same(users: Users) -> None:
    await make_rooms(users, 2)
    await users.decide(change_profile, NAMED)
    await users.decide(change_profile, ChangeProfile(ALICE, "com.example.a", {"b": None, "a": 1.5}))
    await users.decide(change_profile, ChangeProfile(ALICE, "displayname"))
    followed = users.homeserver.views.digest()
    rebuilt = open_views(users.data / "rebuilt", users.homeserver.log)
    try:
        await rebuild(users.homeserver.log, rebuilt)
        assert rebuilt.digest() == followed
    finally:
        rebuilt.close()
