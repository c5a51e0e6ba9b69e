"""Profiles: GET, PUT and DELETE /profile/{userId}/{keyName}, and what rooms show of them."""

from typing import Any

import httpx
import pytest

from tests.harness.client import V1, V3, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

AVATAR = "mxc://localhost/avatar"


@pytest.fixture
def user(new_user: NewUser) -> Client:
    return new_user()


def field_path(client: Client, name: str) -> str:
    return path_of("profile", client.user_id, name)


def put(client: Client, name: str, value: Any) -> httpx.Response:
    return client.call("PUT", field_path(client, name), {name: value})


def call_oneself(client: Client, name: str) -> None:
    client.must("PUT", field_path(client, "displayname"), {"displayname": name})


def profile_of(client: Client) -> Any:
    return client.must("GET", path_of("profile", client.user_id))


def member_of(client: Client, room: str, user_id: str) -> Any:
    """The content of somebody's member event, as a client in the room sees it."""
    return client.must("GET", path_of("rooms", room, "state", "m.room.member", user_id))


@every_prefix
def test_a_profile_is_read_as_it_was_set(user: Client, anybody: Client) -> None:
    assert profile_of(user) == {}
    call_oneself(user, "Zoë 🦊")
    assert put(user, "avatar_url", AVATAR).json() == {}
    anybody.user_id = user.user_id  # who asks, asks without a token
    assert profile_of(anybody) == {"avatar_url": AVATAR, "displayname": "Zoë 🦊"}
    shown = anybody.must("GET", field_path(user, "displayname"))
    assert shown == {"displayname": "Zoë 🦊"}
    assert anybody.must("GET", field_path(user, "avatar_url")) == {"avatar_url": AVATAR}


@every_prefix
def test_what_is_not_set_is_not_found(user: Client, anybody: Client) -> None:
    for name in ("displayname", "avatar_url"):
        assert error_of(anybody.call("GET", field_path(user, name))) == (404, "M_NOT_FOUND")
    for path in (
        path_of("profile", "@nobody:localhost"),
        path_of("profile", "@nobody:localhost", "displayname"),
    ):
        assert error_of(anybody.call("GET", path)) == (404, "M_NOT_FOUND")


@every_prefix
def test_nobody_changes_the_profile_of_another(alice: Client, bob: Client, anybody: Client) -> None:
    path, body = field_path(bob, "displayname"), {"displayname": "Mallory"}
    assert error_of(alice.call("PUT", path, body)) == (403, "M_FORBIDDEN")
    assert error_of(anybody.call("PUT", path, body)) == (401, "M_MISSING_TOKEN")
    assert "displayname" not in profile_of(bob)


@requirement("V06")
@every_prefix
def test_a_new_name_is_a_member_event_in_every_joined_room(user: Client, bob: Client) -> None:
    rooms = [user.create_room(preset="public_chat") for _ in range(3)]
    bob.join(rooms[0])
    since = bob.now()
    call_oneself(user, "New Name")
    for room in rooms:
        assert member_of(user, room, user.user_id) == {"membership": "join", "displayname": "New Name"}
    [event] = bob.must("GET", "/events", **{"from": since})["chunk"]
    assert (event["type"], event["state_key"]) == ("m.room.member", user.user_id)
    assert event["sender"] == user.user_id


@requirement("V06")
def test_rooms_that_are_not_joined_hear_nothing(user: Client, bob: Client) -> None:
    left, invited = user.create_room(), bob.create_room(invite=[user.user_id])
    user.leave(left)
    call_oneself(user, "New Name")
    assert member_of(user, left, user.user_id) == {"membership": "leave"}
    assert member_of(bob, invited, user.user_id) == {"membership": "invite"}


@requirement("V06")
def test_the_same_name_again_is_no_event(user: Client) -> None:
    room = user.create_room()
    call_oneself(user, "Once")
    tip = user.messages(room, limit=1)["chunk"]
    call_oneself(user, "Once")
    put(user, "avatar_url", "")
    assert [event["event_id"] for event in user.messages(room, limit=1)["chunk"]] == [tip[0]["event_id"]]


@requirement("V06")
def test_a_name_for_one_room_survives_another_avatar(user: Client) -> None:
    room = user.create_room()
    call_oneself(user, "Everywhere")
    user.set_state(
        room, "m.room.member", {"membership": "join", "displayname": "Here", "own": 1}, user.user_id
    )
    put(user, "avatar_url", AVATAR)
    assert member_of(user, room, user.user_id) == {
        "membership": "join",
        "displayname": "Here",
        "avatar_url": AVATAR,
        "own": 1,
    }


@requirement("V06")
@pytest.mark.parametrize("way", ["DELETE", "empty"])
def test_a_name_taken_away_leaves_the_rooms(user: Client, way: str) -> None:
    room = user.create_room()
    call_oneself(user, "For now")
    put(user, "avatar_url", AVATAR)
    if way == "DELETE":
        user.must("DELETE", field_path(user, "displayname"))
    else:
        call_oneself(user, "")
    assert member_of(user, room, user.user_id) == {"membership": "join", "avatar_url": AVATAR}
    assert profile_of(user) == {"avatar_url": AVATAR}


def test_a_room_whose_rules_refuse_goes_without(user: Client) -> None:
    """No version knows the join rule `private`, so that nobody's join passes any more."""
    closed, other = user.create_room(), user.create_room()
    user.set_state(closed, "m.room.join_rules", {"join_rule": "private"})
    call_oneself(user, "New Name")
    assert member_of(user, closed, user.user_id) == {"membership": "join"}
    assert member_of(user, other, user.user_id)["displayname"] == "New Name"


@requirement("V06")
@every_prefix
def test_every_way_into_a_room_shows_the_profile(user: Client, bob: Client) -> None:
    call_oneself(user, "Guest")
    put(user, "avatar_url", AVATAR)
    shown = {"displayname": "Guest", "avatar_url": AVATAR}
    public = bob.create_room(preset="public_chat")
    own = user.create_room()
    assert member_of(user, own, user.user_id) == {"membership": "join"} | shown
    user.join(public)
    assert member_of(bob, public, user.user_id) == {"membership": "join"} | shown
    user.leave(public)
    user.set_state(public, "m.room.member", {"membership": "join"}, user.user_id)
    assert member_of(bob, public, user.user_id) == {"membership": "join"} | shown
    invited = bob.create_room(invite=[user.user_id], is_direct=True)
    assert member_of(bob, invited, user.user_id) == {"membership": "invite", "is_direct": True} | shown
    asked = bob.create_room()
    bob.invite(asked, user.user_id)
    assert member_of(bob, asked, user.user_id) == {"membership": "invite"} | shown


@requirement("V06")
def test_knocks_and_restricted_joins_show_the_profile(user: Client, bob: Client) -> None:
    call_oneself(user, "Guest")
    rules = {"join_rule": "knock"}
    door = bob.create_room(initial_state=[{"type": "m.room.join_rules", "content": rules}])
    user.must("POST", path_of("knock", door), {"reason": "please"})
    assert member_of(bob, door, user.user_id) == {
        "membership": "knock",
        "reason": "please",
        "displayname": "Guest",
    }
    club = bob.create_room(preset="public_chat")
    user.join(club)
    members_of_club = {"type": "m.room_membership", "room_id": club}
    restricted = {"join_rule": "restricted", "allow": [members_of_club]}
    back = bob.create_room(initial_state=[{"type": "m.room.join_rules", "content": restricted}])
    user.join(back)
    assert member_of(bob, back, user.user_id)["displayname"] == "Guest"
    call_oneself(user, "Member")
    assert member_of(bob, back, user.user_id) == {"membership": "join", "displayname": "Member"}


@requirement("V06")
def test_an_upgraded_room_shows_the_profile(user: Client) -> None:
    call_oneself(user, "Founder")
    body = {"new_version": "11"}
    new = user.must("POST", path_of("rooms", user.create_room(), "upgrade"), body)["replacement_room"]
    assert member_of(user, new, user.user_id)["displayname"] == "Founder"


@requirement("V06")
def test_nobody_names_another(user: Client, bob: Client) -> None:
    """Whatever the inviter says the guest is called, the server says what the guest says."""
    room = bob.create_room()
    content = {"membership": "invite", "displayname": "Fool", "avatar_url": "mxc://localhost/fool"}
    bob.set_state(room, "m.room.member", content, user.user_id)
    assert member_of(bob, room, user.user_id) == {"membership": "invite"}


@requirement("V06")
def test_leaving_and_being_banned_show_nothing(user: Client, bob: Client) -> None:
    call_oneself(user, "Guest")
    room = bob.create_room(preset="public_chat")
    user.join(room)
    user.leave(room)
    assert member_of(bob, room, user.user_id) == {"membership": "leave"}
    bob.must("POST", path_of("rooms", room, "ban"), {"user_id": user.user_id})
    assert member_of(bob, room, user.user_id) == {"membership": "ban"}


def test_a_second_join_changes_nothing(user: Client) -> None:
    call_oneself(user, "Guest")
    room = user.create_room()
    tip = user.messages(room, limit=1)["chunk"]
    user.join(room)
    assert user.messages(room, limit=1)["chunk"][0]["event_id"] == tip[0]["event_id"]


# The fields of today


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("m.tz", "Europe/Vienna"),
        ("com.example.own", {"deep": [1, 2.5, None, {"ü": True}]}),
        ("com.example.nothing", None),
        ("com.example.empty", ""),
        ("org.example-two.a_b", 0),
    ],
)
def test_a_field_of_any_kind_is_kept(user: Client, name: str, value: Any) -> None:
    put(user, name, value)
    assert user.must("GET", field_path(user, name)) == {name: value}
    assert profile_of(user) == {name: value}
    user.must("DELETE", field_path(user, name))
    assert error_of(user.call("GET", field_path(user, name))) == (404, "M_NOT_FOUND")


def test_a_field_of_ones_own_is_no_matter_of_rooms(user: Client) -> None:
    room = user.create_room()
    put(user, "com.example.own", "x")
    assert member_of(user, room, user.user_id) == {"membership": "join"}


def test_taking_away_what_is_not_there_is_no_error(user: Client) -> None:
    assert user.must("DELETE", field_path(user, "displayname")) == {}


@pytest.mark.parametrize(
    "name", ["Displayname", "own", "com.Example.a", "com example", "m.", ".a", "1.a", "ü.a"]
)
def test_what_is_no_name_of_a_field_is_refused(user: Client, name: str) -> None:
    assert error_of(put(user, name, "x")) == (400, "M_INVALID_PARAM")
    assert error_of(user.call("DELETE", field_path(user, name))) == (400, "M_INVALID_PARAM")


def test_the_name_of_a_field_has_a_size(user: Client) -> None:
    longest = "com.example." + "x" * 243
    assert put(user, longest, 1).status_code == 200
    assert error_of(put(user, longest + "x", 1)) == (400, "M_KEY_TOO_LARGE")


def test_a_profile_has_a_size(user: Client) -> None:
    """As JSON it is `{"com.example.a":"…"}`; one byte more would make 64 KiB."""
    room_left = 65_535 - len('{"com.example.a":""}')
    assert error_of(put(user, "com.example.a", "x" * (room_left + 1))) == (400, "M_PROFILE_TOO_LARGE")
    assert put(user, "com.example.a", "x" * room_left).status_code == 200
    assert error_of(put(user, "com.example.b", 1)) == (400, "M_PROFILE_TOO_LARGE")
    user.must("DELETE", field_path(user, "com.example.a"))
    assert put(user, "com.example.b", 1).status_code == 200


@pytest.mark.parametrize(
    ("name", "value", "errcode"),
    [
        ("displayname", None, "M_BAD_JSON"),
        ("displayname", 1, "M_BAD_JSON"),
        ("displayname", "x" * 257, "M_INVALID_PARAM"),
        ("avatar_url", ["mxc://localhost/a"], "M_BAD_JSON"),
        ("avatar_url", "https://example.org/a.png", "M_INVALID_PARAM"),
        ("avatar_url", "mxc://" + "x" * 1_000, "M_INVALID_PARAM"),
        ("m.tz", 1, "M_BAD_JSON"),
    ],
)
def test_a_value_has_the_form_of_its_field(user: Client, name: str, value: Any, errcode: str) -> None:
    assert error_of(put(user, name, value)) == (400, errcode)
    assert profile_of(user) == {}


def test_the_body_has_the_key_of_the_path(user: Client) -> None:
    path = field_path(user, "displayname")
    assert error_of(user.call("PUT", path, {"avatar_url": AVATAR})) == (400, "M_MISSING_PARAM")
    assert error_of(user.call("PUT", path, raw=b"[]")) == (400, "M_BAD_JSON")
    assert error_of(user.call("PUT", path, raw=b"{")) == (400, "M_NOT_JSON")


def test_fields_of_today_have_no_path_of_2015(user: Client) -> None:
    before = user.under(V1)
    path = field_path(user, "m.tz")
    assert error_of(before.call("PUT", path, {"m.tz": "UTC"})) == (404, "M_UNRECOGNIZED")
    assert error_of(before.call("DELETE", field_path(user, "displayname"))) == (405, "M_UNRECOGNIZED")


def test_capabilities_say_that_profiles_can_be_changed(alice: Client) -> None:
    found = alice.under(V3).must("GET", "/capabilities")["capabilities"]
    for name in ("m.set_displayname", "m.set_avatar_url", "m.profile_fields"):
        assert found[name] == {"enabled": True}
