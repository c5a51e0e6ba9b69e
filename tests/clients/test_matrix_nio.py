"""The ordinary life of people in a room, each with an unmodified matrix-nio.

What `tests/test_story.py` tells is not told again: here they follow by callbacks and filters, through a stop
and a kill, administer their rooms, look back, and log out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import nio
import pytest

from tests.harness.client import PASSWORD
from tests.harness.server_process import ServerProcess

pytestmark = pytest.mark.anyio

Answer = TypeVar("Answer")

SECONDS_TO_WAIT = 20
LAZY = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 50}}}


def must(answer: Any, kind: type[Answer]) -> Answer:
    """An answer of the kind that the client library has for success."""
    assert isinstance(answer, kind), answer
    return answer


@asynccontextmanager
async def people(server: ServerProcess, *names: str) -> AsyncIterator[list[nio.AsyncClient]]:
    async with AsyncExitStack() as leaving:
        found = []
        for name in names:
            client = nio.AsyncClient(server.address, name)
            leaving.push_async_callback(client.close)
            must(await client.register(name, PASSWORD), nio.RegisterResponse)
            found.append(client)
        yield found


async def make_room(owner: nio.AsyncClient, *guests: nio.AsyncClient, **wanted: Any) -> str:
    created = must(
        await owner.room_create(preset=nio.RoomPreset.public_chat, **wanted), nio.RoomCreateResponse
    )
    for guest in guests:
        must(await guest.join(created.room_id), nio.JoinResponse)
    room_id: str = created.room_id
    return room_id


async def say(client: nio.AsyncClient, room_id: str, text: str) -> str:
    content = {"msgtype": "m.text", "body": text}
    answer = await client.room_send(room_id, "m.room.message", content, tx_id=f"txn {text}")
    event_id: str = must(answer, nio.RoomSendResponse).event_id
    return event_id


async def state_of(client: nio.AsyncClient, room_id: str, event_type: str) -> Any:
    return must(await client.room_get_state_event(room_id, event_type), nio.RoomGetStateEventResponse).content


def errcode_of(answer: Any) -> str:
    code: str = must(answer, nio.ErrorResponse).status_code
    return code


class Following:
    """Somebody's `sync_forever`, and what its callbacks heard."""

    def __init__(self, client: nio.AsyncClient) -> None:
        self.client = client
        self.messages: list[str] = []
        self.memberships: list[tuple[str, str]] = []
        self.invites: list[str] = []
        client.add_event_callback(self._hear_message, nio.RoomMessageText)
        client.add_event_callback(self._hear_member, nio.RoomMemberEvent)
        client.add_event_callback(self._hear_invite, nio.InviteMemberEvent)

    def memberships_of(self, other: nio.AsyncClient) -> list[str]:
        return [membership for user_id, membership in self.memberships if user_id == other.user_id]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS_TO_WAIT):
            while not is_so():
                await self.client.synced.wait()

    async def _hear_message(self, _: nio.MatrixRoom, event: nio.RoomMessageText) -> None:
        self.messages.append(event.body)

    async def _hear_member(self, _: nio.MatrixRoom, event: nio.RoomMemberEvent) -> None:
        self.memberships.append((event.state_key, event.membership))

    async def _hear_invite(self, room: nio.MatrixInvitedRoom, event: nio.InviteMemberEvent) -> None:
        if event.membership == "invite" and event.state_key == self.client.user_id:
            self.invites.append(room.room_id)


@asynccontextmanager
async def following(client: nio.AsyncClient) -> AsyncIterator[Following]:
    """From the first sync on, with a filter that the server keeps."""
    stored = must(await client.upload_filter(**LAZY), nio.UploadFilterResponse)
    heard = Following(client)
    task = asyncio.create_task(client.sync_forever(timeout=30_000, sync_filter=stored.filter_id))
    try:
        await heard.until(lambda: client.next_batch is not None)
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_callbacks_hear_everything_once_through_a_stop_and_a_kill(server: ServerProcess) -> None:
    def stop_and_start() -> None:
        assert server.stop() == 0
        server.start()

    async with people(server, "alice", "bob") as [alice, bob], following(bob) as heard:
        room_id = await make_room(alice, invite=[bob.user_id])
        await heard.until(lambda: heard.invites == [room_id])
        must(await bob.join(room_id), nio.JoinResponse)
        said = [f"message {number}" for number in range(30)]
        for disturb, texts in ((stop_and_start, said[:15]), (server.restart, said[15:])):
            speaking = [say(alice, room_id, text) for text in texts]
            await asyncio.gather(asyncio.to_thread(disturb), *speaking)
        await heard.until(lambda: len(heard.messages) >= len(said))
        await say(alice, room_id, "That was all.")
        await heard.until(lambda: heard.messages[-1] == "That was all.")
        assert sorted(heard.messages) == sorted([*said, "That was all."])


async def test_who_comes_and_goes_is_heard_by_the_others(server: ServerProcess) -> None:
    async with people(server, "alice", "bob", "carol") as [alice, bob, carol]:
        room_id = await make_room(alice, bob)
        async with following(bob) as heard:
            must(await carol.join(room_id), nio.JoinResponse)
            must(await alice.room_kick(room_id, carol.user_id, "too loud"), nio.RoomKickResponse)
            must(await carol.join(room_id), nio.JoinResponse)
            must(await alice.room_ban(room_id, carol.user_id), nio.RoomBanResponse)
            assert errcode_of(await carol.join(room_id)) == "M_FORBIDDEN"
            must(await alice.room_unban(room_id, carol.user_id), nio.RoomUnbanResponse)
            must(await alice.room_invite(room_id, carol.user_id), nio.RoomInviteResponse)
            must(await carol.join(room_id), nio.JoinResponse)
            must(await carol.room_leave(room_id), nio.RoomLeaveResponse)
            expected = ["join", "leave", "join", "ban", "leave", "invite", "join", "leave"]
            await heard.until(lambda: len(heard.memberships_of(carol)) >= len(expected))
            assert heard.memberships_of(carol) == expected
            assert set(bob.rooms[room_id].users) == {alice.user_id, bob.user_id}

        must(await carol.room_forget(room_id), nio.RoomForgetResponse)
        assert errcode_of(await carol.room_messages(room_id)) == "M_FORBIDDEN"
        assert must(await carol.joined_rooms(), nio.JoinedRoomsResponse).rooms == []
        members = must(await bob.joined_members(room_id), nio.JoinedMembersResponse).members
        assert {member.user_id for member in members} == {alice.user_id, bob.user_id}


async def test_rooms_are_made_as_asked_for(server: ServerProcess) -> None:
    async with people(server, "alice", "bob") as [alice, bob]:
        space = must(await alice.room_create(space=True, name="House"), nio.RoomCreateResponse).room_id
        assert (await state_of(alice, space, "m.room.create"))["type"] == "m.space"

        direct = await alice.room_create(
            is_direct=True,
            preset=nio.RoomPreset.trusted_private_chat,
            invite=[bob.user_id],
            initial_state=[{"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}}],
        )
        room_id = must(direct, nio.RoomCreateResponse).room_id
        assert (await state_of(alice, room_id, "m.room.guest_access"))["guest_access"] == "forbidden"
        invited = must(await bob.sync(), nio.SyncResponse).rooms.invite[room_id].invite_state
        [own] = [
            event
            for event in invited
            if isinstance(event, nio.InviteMemberEvent) and event.content.get("is_direct")
        ]
        assert (own.state_key, own.sender) == (bob.user_id, alice.user_id)


async def test_aliases_lead_to_their_room(server: ServerProcess) -> None:
    async with people(server, "alice", "bob") as [alice, bob]:
        room_id = await make_room(alice, alias="tea", visibility=nio.RoomVisibility.public)
        must(await alice.room_put_alias("#cups:localhost", room_id), nio.RoomPutAliasResponse)
        for alias in ("#tea:localhost", "#cups:localhost"):
            resolved = must(await bob.room_resolve_alias(alias), nio.RoomResolveAliasResponse)
            assert (resolved.room_id, resolved.servers) == (room_id, ["localhost"])
        visibility = must(await bob.room_get_visibility(room_id), nio.RoomGetVisibilityResponse)
        assert visibility.visibility == "public"
        refused = await bob.room_delete_alias("#cups:localhost")
        assert refused.transport_response.status == 403  # the library takes any answer for success
        must(await alice.room_delete_alias("#cups:localhost"), nio.RoomDeleteAliasResponse)
        assert errcode_of(await bob.room_resolve_alias("#cups:localhost")) == "M_NOT_FOUND"
        assert must(await bob.join("#tea:localhost"), nio.JoinResponse).room_id == room_id


async def test_a_room_moves_with_all_that_is_in_it(server: ServerProcess) -> None:
    """The library makes the new room itself, call by call, instead of asking for an upgrade."""
    async with people(server, "alice", "bob") as [alice, bob]:
        old = await make_room(alice, bob, room_version="10", name="Tea", alias="tea")
        must(await alice.room_put_state(old, "m.room.topic", {"topic": "Cups"}), nio.RoomPutStateResponse)
        new = must(await alice.room_upgrade(old, "11"), nio.responses.RoomUpgradeResponse).room_id
        must(await bob.sync(), nio.SyncResponse)
        assert (await state_of(bob, old, "m.room.tombstone"))["replacement_room"] == new
        assert must(await bob.join("#tea:localhost"), nio.JoinResponse).room_id == new
        must(await bob.sync(), nio.SyncResponse)
        moved = bob.rooms[new]
        assert (moved.name, moved.topic, moved.room_version) == ("Tea", "Cups", "11")
        assert (await state_of(bob, new, "m.room.create"))["predecessor"]["room_id"] == old


async def test_what_was_said_is_found_again(server: ServerProcess) -> None:
    async with people(server, "alice", "bob") as [alice, bob]:
        room_id = await make_room(alice, bob)
        said = [await say(alice, room_id, f"leaf {number}") for number in range(9)]
        must(await alice.room_redact(room_id, said[3], reason="spilt"), nio.RoomRedactResponse)

        around = must(await bob.room_context(room_id, said[4], limit=4), nio.RoomContextResponse)
        assert around.event.event_id == said[4]
        assert [event.event_id for event in around.events_before] == [said[3], said[2]]
        assert [event.event_id for event in around.events_after] == said[5:7]
        assert isinstance(around.events_before[0], nio.RedactedEvent)

        onward = must(
            await bob.room_messages(
                room_id,
                around.end,
                direction=nio.MessageDirection.front,
                message_filter={"types": ["m.room.message"]},
            ),
            nio.RoomMessagesResponse,
        )
        assert [event.event_id for event in onward.chunk] == said[7:]
        whole = must(await bob.room_get_state(room_id), nio.RoomGetStateResponse).events
        types = {event["type"] for event in whole}
        assert {"m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.member"} <= types


async def test_a_token_is_void_after_the_logout(server: ServerProcess) -> None:
    async with people(server, "alice") as [alice]:
        stale, first = alice.access_token, alice.device_id
        must(await alice.logout(), nio.LogoutResponse)
        alice.access_token = stale
        assert errcode_of(await alice.whoami()) == "M_UNKNOWN_TOKEN"

        assert errcode_of(await alice.login("a wrong one")) == "M_FORBIDDEN"
        alice.device_id = ""
        must(await alice.login(PASSWORD, device_name="phone"), nio.LoginResponse)
        now = must(await alice.whoami(), nio.WhoamiResponse)
        assert (now.user_id, now.device_id) == ("@alice:localhost", alice.device_id)
        assert alice.device_id != first


async def test_another_device_is_removed_with_the_password(server: ServerProcess) -> None:
    async with people(server, "alice") as [alice]:
        phone = nio.AsyncClient(server.address, "alice")
        try:
            must(await phone.login(PASSWORD), nio.LoginResponse)
            asked = must(await alice.delete_devices([phone.device_id]), nio.DeleteDevicesAuthResponse)
            user = {"type": "m.id.user", "user": alice.user_id}
            proof = {
                "type": "m.login.password",
                "identifier": user,
                "password": PASSWORD,
                "session": asked.session,
            }
            must(await alice.delete_devices([phone.device_id], proof), nio.DeleteDevicesResponse)
            assert errcode_of(await phone.sync()) == "M_UNKNOWN_TOKEN"
        finally:
            await phone.close()
