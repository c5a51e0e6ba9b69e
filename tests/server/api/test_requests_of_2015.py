"""The PUT forms of 2015: calls that change a membership or make a room, with an id to repeat them by."""

import pytest

from tests.harness.client import R0, V1, V3, Client, error_of, path_of

requirement = pytest.mark.requirement


@pytest.fixture
def prefix() -> str:
    return V1


def newest(client: Client, room: str) -> object:
    return client.messages(room, limit=1)["chunk"][0]["event_id"]


@requirement("T04")
def test_a_repeat_makes_no_second_room(alice: Client) -> None:
    before = len(alice.must("GET", "/joined_rooms")["joined_rooms"])
    made = [alice.must("PUT", path_of("createRoom", f"make{before}"), {"name": "Tea"}) for _ in range(2)]
    assert made[0] == made[1]
    assert len(alice.must("GET", "/joined_rooms")["joined_rooms"]) == before + 1


@requirement("T04")
def test_a_room_that_was_refused_can_be_tried_again(alice: Client) -> None:
    path = path_of("createRoom", "second attempt")
    assert error_of(alice.call("PUT", path, {"preset": "unheard of"})) == (400, "M_INVALID_PARAM")
    assert alice.must("PUT", path, {}).keys() == {"room_id"}


@pytest.mark.parametrize("by", ["join/", "rooms//join"])
@requirement("T04")
def test_a_repeated_join_does_not_come_back(alice: Client, bob: Client, by: str) -> None:
    """What was done after the first request must not be undone by its repeat."""
    room = alice.create_room(preset="public_chat")
    path = path_of("join", room, "1") if by == "join/" else path_of("rooms", room, "join", "1")
    assert bob.must("PUT", path, {}) == {"room_id": room}
    bob.leave(room)
    assert bob.must("PUT", path, {}) == {"room_id": room}
    assert room not in bob.must("GET", "/joined_rooms")["joined_rooms"]


@requirement("T04")
def test_a_repeat_is_answered_after_the_alias_went(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    alias = f"#repeat-{room[1:8]}:localhost"
    alice.must("PUT", path_of("directory", "room", alias), {"room_id": room})
    answers = [bob.must("PUT", path_of("join", alias, "1"), {})]
    alice.must("DELETE", path_of("directory", "room", alias))
    answers.append(bob.must("PUT", path_of("join", alias, "1"), {}))
    assert answers == [{"room_id": room}] * 2
    assert error_of(bob.call("PUT", path_of("join", alias, "2"), {})) == (404, "M_NOT_FOUND")


@requirement("T04")
def test_a_repeated_invitation_makes_one_event(alice: Client, bob: Client, room: str) -> None:
    path, body = path_of("rooms", room, "invite", "1"), {"user_id": bob.user_id}
    assert alice.must("PUT", path, body) == {}
    first = newest(alice, room)
    assert alice.must("PUT", path, body) == {}
    assert newest(alice, room) == first
    alice.must("PUT", path_of("rooms", room, "invite", "2"), body)
    assert newest(alice, room) != first


@requirement("T04")
def test_a_repeated_leave_does_not_leave_again(bob: Client, shared_room: str) -> None:
    path = path_of("rooms", shared_room, "leave", "1")
    assert bob.must("PUT", path, {}) == {}
    bob.join(shared_room)
    assert bob.must("PUT", path, {}) == {}
    assert shared_room in bob.must("GET", "/joined_rooms")["joined_rooms"]


@requirement("T04")
def test_a_repeated_ban_does_not_ban_again(alice: Client, bob: Client, shared_room: str) -> None:
    path, body = path_of("rooms", shared_room, "ban", "1"), {"user_id": bob.user_id}
    assert alice.must("PUT", path, body) == {}
    alice.must("POST", path_of("rooms", shared_room, "unban"), body)
    assert alice.must("PUT", path, body) == {}
    bob.join(shared_room)


@requirement("T04")
def test_one_id_means_different_things_on_different_paths(alice: Client, bob: Client, room: str) -> None:
    alice.must("PUT", path_of("rooms", room, "invite", "1"), {"user_id": bob.user_id})
    alice.must("PUT", path_of("rooms", room, "ban", "1"), {"user_id": bob.user_id})
    assert error_of(bob.call("PUT", path_of("rooms", room, "join", "1"), {})) == (403, "M_FORBIDDEN")


@requirement("T04")
def test_a_refused_change_can_be_tried_again(alice: Client, bob: Client, room: str) -> None:
    path = path_of("rooms", room, "join", "1")
    assert error_of(bob.call("PUT", path, {})) == (403, "M_FORBIDDEN")
    alice.invite(room, bob.user_id)
    assert bob.must("PUT", path, {}) == {"room_id": room}


@pytest.mark.parametrize("today", [R0, V3])
@pytest.mark.parametrize("call", ["invite", "join", "leave", "ban"])
@requirement("T04", "E13")
def test_today_has_no_such_forms(alice: Client, room: str, today: str, call: str) -> None:
    path = path_of("rooms", room, call, "1")
    assert error_of(alice.under(today).call("PUT", path, {})) == (404, "M_UNRECOGNIZED")
    assert error_of(alice.call("POST", path, {})) == (405, "M_UNRECOGNIZED")
