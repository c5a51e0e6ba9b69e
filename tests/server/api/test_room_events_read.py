"""Reading single events, the state of a room, and who is in it."""

import pytest

from tests.harness.client import V1, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement


def state_path(room_id: str, *type_and_key: str) -> str:
    return path_of("rooms", room_id, "state", *type_and_key)


@every_prefix
@requirement("V01", "V02")
def test_the_form_of_an_event_is_that_of_its_time(alice: Client, room: str, prefix: str) -> None:
    event = alice.event(room, alice.say(room, "hello"))
    assert isinstance(event["unsigned"]["age"], int)
    assert 0 <= event["unsigned"]["age"] < 60_000
    today = {"content", "event_id", "origin_server_ts", "room_id", "sender", "type", "unsigned"}
    assert event.keys() == today | ({"user_id", "age"} if prefix == V1 else set())
    if prefix == V1:
        assert event["user_id"] == event["sender"]
        assert event["age"] == event["unsigned"]["age"]


@every_prefix
@requirement("V01", "V02")
def test_the_form_of_a_member_event_is_that_of_its_time(alice: Client, room: str, prefix: str) -> None:
    [event] = alice.must("GET", path_of("rooms", room, "members"))["chunk"]
    assert (event["type"], event["state_key"]) == ("m.room.member", alice.user_id)
    assert event.get("membership") == ("join" if prefix == V1 else None)


@every_prefix
@requirement("G01")
def test_state_is_read_as_its_bare_content(alice: Client, room: str) -> None:
    event_id = alice.set_state(room, "com.example.own", {"n": 1}, "key")
    path = state_path(room, "com.example.own", "key")
    assert alice.must("GET", path) == {"n": 1}
    assert alice.must("GET", path, format="content") == {"n": 1}
    assert alice.must("GET", path, format="event")["event_id"] == event_id
    assert error_of(alice.call("GET", path, format="yaml")) == (400, "M_INVALID_PARAM")


@every_prefix
@requirement("G01")
def test_state_that_is_not_there_is_not_found(alice: Client, room: str) -> None:
    for path in (state_path(room, "com.example.own", ""), state_path(room, "m.room.create", "key")):
        assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")


@every_prefix
@requirement("G02", "G03", "S22")
def test_all_state_is_a_bare_array(alice: Client, bob: Client, shared_room: str) -> None:
    state = alice.state(shared_room)
    assert isinstance(state, list)
    assert all(event["room_id"] == shared_room and isinstance(event["state_key"], str) for event in state)
    keys = [(event["type"], event["state_key"]) for event in state]
    assert keys[0] == ("m.room.create", "")
    assert len(set(keys)) == len(keys)
    members = alice.must("GET", path_of("rooms", shared_room, "members"))
    assert [event["state_key"] for event in members["chunk"]] == [alice.user_id, bob.user_id]
    assert members.keys() == {"chunk"}


@every_prefix
@requirement("G03")
def test_members_are_chosen_by_membership(
    alice: Client, bob: Client, carol: Client, shared_room: str
) -> None:
    bob.leave(shared_room)
    alice.invite(shared_room, carol.user_id)

    def members(**query: str) -> list[str]:
        chunk = alice.must("GET", path_of("rooms", shared_room, "members"), **query)["chunk"]
        return [event["state_key"] for event in chunk]

    assert members(membership="join") == [alice.user_id]
    assert members(membership="leave") == [bob.user_id]
    assert members(not_membership="leave") == [alice.user_id, carol.user_id]


@every_prefix
def test_joined_members_come_with_their_profiles(alice: Client, bob: Client, shared_room: str) -> None:
    profile = {"displayname": "Bob", "avatar_url": "mxc://localhost/b"}
    bob.set_state(shared_room, "m.room.member", {"membership": "join", **profile}, bob.user_id)
    joined = alice.must("GET", path_of("rooms", shared_room, "joined_members"))["joined"]
    shown = {"display_name": "Bob", "avatar_url": "mxc://localhost/b"}
    assert joined == {alice.user_id: {}, bob.user_id: shown}
    bob.set_state(
        shared_room,
        "m.room.member",
        {"membership": "join", "displayname": 1, "avatar_url": "https://b"},
        bob.user_id,
    )
    joined = alice.must("GET", path_of("rooms", shared_room, "joined_members"))["joined"]
    assert joined == {alice.user_id: {}, bob.user_id: {}}
    bob.leave(shared_room)
    assert error_of(bob.call("GET", path_of("rooms", shared_room, "joined_members"))) == (403, "M_FORBIDDEN")


READS = ("state", "state/m.room.create", "state/m.room.create/", "members", "joined_members", "messages")


@pytest.mark.parametrize("read", READS)
@every_prefix
@requirement("G01", "G06", "M01")
def test_a_room_is_closed_to_who_never_was_in_it(alice: Client, bob: Client, room: str, read: str) -> None:
    def read_of(room_id: str) -> tuple[int, str]:
        return error_of(bob.call("GET", f"{path_of('rooms', room_id)}/{read}", dir="b"))

    assert read_of(room) == (403, "M_FORBIDDEN")
    alice.invite(room, bob.user_id)
    assert read_of(room) == (403, "M_FORBIDDEN")
    assert read_of("!nowhere:localhost") == (403, "M_FORBIDDEN")


@every_prefix
@requirement("G04", "M12")
def test_who_left_sees_the_room_as_it_was(alice: Client, bob: Client, shared_room: str) -> None:
    alice.set_state(shared_room, "m.room.topic", {"topic": "then"})
    bob.leave(shared_room)
    alice.set_state(shared_room, "m.room.topic", {"topic": "now"})
    alice.set_state(shared_room, "com.example.later", {})
    assert bob.must("GET", state_path(shared_room, "m.room.topic")) == {"topic": "then"}
    later = bob.call("GET", state_path(shared_room, "com.example.later"))
    assert error_of(later) == (404, "M_NOT_FOUND")
    topics = [event["content"] for event in bob.state(shared_room) if event["type"] == "m.room.topic"]
    assert topics == [{"topic": "then"}]
    members = bob.must("GET", path_of("rooms", shared_room, "members"))["chunk"]
    assert [event["content"]["membership"] for event in members] == ["join", "leave"]


@every_prefix
@requirement("G11")
def test_one_event_is_read_by_its_id(alice: Client, room: str) -> None:
    event_id = alice.say(room, "hello")
    by_room = alice.event(room, event_id)
    by_id = alice.must("GET", path_of("events", event_id))
    for event in (by_room, by_id):
        event["unsigned"].pop("age")
        event.pop("age", None)
    assert by_room == by_id
    assert by_id["event_id"] == event_id


@every_prefix
@requirement("G11")
def test_an_event_not_to_be_seen_is_not_there(alice: Client, new_user: NewUser, room: str) -> None:
    event_id, stranger = alice.say(room, "private"), new_user()
    elsewhere = stranger.create_room()
    hidden = [
        stranger.call("GET", path_of(*path))
        for path in (
            ("events", event_id),
            ("rooms", room, "event", event_id),
            ("rooms", elsewhere, "event", event_id),
            ("events", "$unheard-of"),
            ("rooms", elsewhere, "event", "$unheard-of"),
        )
    ]
    assert {error_of(answer) for answer in hidden} == {(404, "M_NOT_FOUND")}
    assert len({answer.text for answer in hidden}) == 1
    assert error_of(alice.call("GET", path_of("rooms", elsewhere, "event", event_id)))[0] == 404
