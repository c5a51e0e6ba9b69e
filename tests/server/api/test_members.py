"""Who was in a room when: GET /rooms/{roomId}/members."""

from typing import Any

import pytest

from tests.harness.client import V1, Client, Json, error_of, path_of
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement


def members(client: Client, room_id: str, **query: str) -> dict[str, str]:
    chunk: Json = client.must("GET", path_of("rooms", room_id, "members"), **query)["chunk"]
    return {event["state_key"]: event["content"]["membership"] for event in chunk}


@pytest.fixture
def all_kinds(alice: Client, bob: Client, carol: Client, shared_room: str) -> str:
    """A room that Bob has left and that Carol is invited to."""
    bob.leave(shared_room)
    alice.invite(shared_room, carol.user_id)
    return shared_room


@every_prefix
@requirement("G03")
def test_one_membership_or_all_but_one(alice: Client, bob: Client, carol: Client, all_kinds: str) -> None:
    joined = {alice.user_id: "join"}
    left, invited = {bob.user_id: "leave"}, {carol.user_id: "invite"}
    assert members(alice, all_kinds) == joined | left | invited
    assert members(alice, all_kinds, membership="invite") == invited
    assert members(alice, all_kinds, not_membership="invite") == joined | left
    assert members(alice, all_kinds, membership="ban") == {}


@every_prefix
def test_both_together_are_alternatives(alice: Client, bob: Client, carol: Client, all_kinds: str) -> None:
    joined_or_not_left = members(alice, all_kinds, membership="join", not_membership="leave")
    assert joined_or_not_left == {alice.user_id: "join", carol.user_id: "invite"}
    everybody = members(alice, all_kinds, membership="leave", not_membership="leave")
    assert everybody.keys() == {alice.user_id, bob.user_id, carol.user_id}


@every_prefix
def test_a_token_names_a_time(alice: Client, bob: Client, shared_room: str) -> None:
    then = alice.sync()["next_batch"]
    bob.leave(shared_room)
    now = alice.sync()["next_batch"]
    assert members(alice, shared_room, at=then)[bob.user_id] == "join"
    assert members(alice, shared_room, at=now)[bob.user_id] == "leave"
    assert members(alice, shared_room, at=then, not_membership="join") == {}


def test_before_the_room_there_was_nobody(alice: Client) -> None:
    then = alice.sync()["next_batch"]
    assert members(alice, alice.create_room(), at=then) == {}


@requirement("G04")
def test_who_left_sees_nobody_come_after(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    bob.leave(shared_room)
    carol.join(shared_room)
    assert carol.user_id not in members(bob, shared_room, at=bob.sync()["next_batch"])


def test_a_time_that_may_not_be_seen_is_refused(alice: Client, bob: Client, carol: Client) -> None:
    joined_only = {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}
    room = alice.create_room(preset="public_chat", initial_state=[joined_only])
    carol.join(room)
    then = carol.sync()["next_batch"]
    carol.leave(room)
    bob.join(room)
    refused = bob.call("GET", path_of("rooms", room, "members"), at=then)
    assert error_of(refused) == (403, "M_FORBIDDEN")
    assert members(bob, room, at=bob.sync()["next_batch"])[bob.user_id] == "join"


@pytest.mark.parametrize("query", [{"membership": "gone"}, {"not_membership": ""}, {"at": "then"}])
@every_prefix
def test_a_bad_query_is_refused(alice: Client, room: str, query: dict[str, Any]) -> None:
    refused = alice.call("GET", path_of("rooms", room, "members"), **query)
    assert error_of(refused) == (400, "M_INVALID_PARAM")


@every_prefix
def test_member_events_have_the_form_of_their_time(alice: Client, room: str, prefix: str) -> None:
    then = alice.sync()["next_batch"]
    [event] = alice.must("GET", path_of("rooms", room, "members"), at=then)["chunk"]
    assert ("user_id" in event, event.get("membership")) == (
        (True, "join") if prefix == V1 else (False, None)
    )
