"""What becomes of an account: its password, its devices, its rooms, its end."""

import pytest

from projections import accounts, memberships, sessions
from projections.facts import AccountDeactivated, SessionClosed
from projections.follower import open_views, rebuild
from projections.sessions import Session
from server.errors import ErrorCode, MatrixError
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.users import account
from server.users.account import ChangePassword, Deactivate, change_password, deactivate
from server.users.registration import Register, register
from server.users.sessions import LogIn, NewSession, log_in
from tests.server.users.conftest import ALICE, PASSWORD_HASH, Users

pytestmark = pytest.mark.anyio

BOB = Session("@bob:localhost", "TABLET")


async def open_laptop(users: Users, password_hash: str | None = None) -> None:
    await users.decide(log_in, LogIn(ALICE.user_id, NewSession("LAPTOP", "laptop's"), password_hash))


def device_ids(users: Users) -> set[str]:
    with users.view() as view:
        return {known.device_id for known in sessions.devices(view, ALICE.user_id)}


async def test_a_new_password_takes_the_place_of_the_old(users: Users) -> None:
    await users.decide(change_password, ChangePassword(ALICE, "another hash", logs_others_out=False))
    with users.view() as view:
        known = accounts.account(view, ALICE.user_id)
    assert known is not None
    assert known.password_hash == "another hash"


@pytest.mark.parametrize(("logs_others_out", "left"), [(True, {"PHONE"}), (False, {"PHONE", "LAPTOP"})])
async def test_other_devices_go_with_the_password(
    users: Users, logs_others_out: bool, left: set[str]
) -> None:
    await open_laptop(users)
    await users.decide(change_password, ChangePassword(ALICE, "another hash", logs_others_out))
    assert device_ids(users) == left


async def test_a_password_that_changed_meanwhile_opens_nothing(users: Users) -> None:
    """The slow hash was checked before the change, the login is decided after it."""
    await users.decide(change_password, ChangePassword(ALICE, "another hash", logs_others_out=True))
    with pytest.raises(MatrixError) as refused:
        await open_laptop(users, PASSWORD_HASH)
    assert refused.value.kind is ErrorCode.FORBIDDEN
    await open_laptop(users, "another hash")


async def test_nobody_logs_in_to_a_deactivated_account(users: Users) -> None:
    assert await users.decide(deactivate, Deactivate(ALICE, erase=False))
    with pytest.raises(MatrixError) as refused:
        await open_laptop(users, PASSWORD_HASH)
    assert refused.value.kind is ErrorCode.USER_DEACTIVATED


async def test_its_devices_are_gone(users: Users) -> None:
    await open_laptop(users)
    await users.decide(deactivate, Deactivate(ALICE, erase=False))
    assert device_ids(users) == set()
    with users.view() as view:
        assert sessions.access_token(view, "access 1") is None


async def test_its_name_stays_taken(users: Users) -> None:
    await users.decide(deactivate, Deactivate(ALICE, erase=False))
    with pytest.raises(MatrixError) as refused:
        await users.decide(register, Register("alice", PASSWORD_HASH, None))
    assert refused.value.kind is ErrorCode.USER_IN_USE


async def test_its_rooms_are_left(users: Users) -> None:
    """Those that it is in, and those that it was asked into."""
    await users.decide(register, Register("bob", "", NewSession(BOB.device_id, "bob's")))
    own = await users.decide(create_room, CreateRoom(ALICE, RoomRequest()))
    invited = RoomRequest(invite=[ALICE.user_id])
    bobs = await users.decide(create_room, CreateRoom(BOB, invited))
    await users.decide(deactivate, Deactivate(ALICE, erase=False))
    with users.view() as view:
        left = {known.room_id: known.membership for known in memberships.rooms_of(view, ALICE.user_id)}
    assert left == {own: "leave", bobs: "leave"}


async def test_all_of_it_is_one_entry(users: Users) -> None:
    await users.decide(create_room, CreateRoom(ALICE, RoomRequest()))
    before = await users.homeserver.log.head()
    await users.decide(deactivate, Deactivate(ALICE, erase=True))
    assert await users.homeserver.log.head() == before + 1
    closed, deactivated = (await users.facts())[-2:]
    assert closed == SessionClosed(ALICE.user_id, ALICE.device_id)
    assert isinstance(deactivated, AccountDeactivated)
    assert deactivated.erase


async def test_deactivating_twice_is_once(users: Users) -> None:
    assert await users.decide(deactivate, Deactivate(ALICE, erase=False))
    before = await users.homeserver.log.head()
    assert await users.decide(deactivate, Deactivate(ALICE, erase=False))
    assert await users.homeserver.log.head() == before


async def test_very_many_rooms_are_left_in_turns(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account is there until the last of them: whoever was interrupted can ask again."""
    monkeypatch.setattr(account, "ROOMS_LEFT_MAX", 2)
    for _ in range(5):
        await users.decide(create_room, CreateRoom(ALICE, RoomRequest()))
    done = [await users.decide(deactivate, Deactivate(ALICE, erase=False)) for _ in range(3)]
    assert done == [False, False, True]
    with users.view() as view:
        assert {known.membership for known in memberships.rooms_of(view, ALICE.user_id)} == {"leave"}


async def test_a_rebuilt_account_is_the_same(users: Users) -> None:
    await open_laptop(users)
    await users.decide(change_password, ChangePassword(ALICE, "another hash", logs_others_out=True))
    await users.decide(deactivate, Deactivate(ALICE, erase=False))
    followed = users.homeserver.views.digest()
    rebuilt = open_views(users.data / "rebuilt", users.homeserver.log)
    try:
        await rebuild(users.homeserver.log, rebuilt)
        assert rebuilt.digest() == followed
    finally:
        rebuilt.close()
