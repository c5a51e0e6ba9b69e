"""Who is in a room: join, invite, leave, kick, ban, unban."""

import pytest

from tests.harness.client import V1, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

FORBIDDEN = (403, "M_FORBIDDEN")


def membership(observer: Client, room: str, user_id: str) -> object:
    """What somebody is to a room, as somebody in it sees it."""
    return observer.must("GET", path_of("rooms", room, "state", "m.room.member", user_id))["membership"]


def change(client: Client, room: str, call: str, user_id: str, **more: object) -> tuple[int, str]:
    answer = client.call("POST", path_of("rooms", room, call), {"user_id": user_id, **more})
    if answer.status_code == 200:
        assert answer.json() == {}
        return 200, ""
    return error_of(answer)


OK = (200, "")


@pytest.mark.parametrize("by", ["join/", "rooms//join"])
@every_prefix
@requirement("M02", "M03")
def test_anybody_joins_a_public_room(alice: Client, bob: Client, by: str) -> None:
    room = alice.create_room(preset="public_chat")
    path = path_of("join", room) if by == "join/" else path_of("rooms", room, "join")
    assert bob.must("POST", path, {}) == {"room_id": room}
    assert membership(alice, room, bob.user_id) == "join"


@every_prefix
@requirement("M03", "M13")
def test_a_room_is_joined_by_its_alias(alice: Client, bob: Client, room: str) -> None:
    alias = f"#join-{room[1:8]}:localhost"
    alice.must("PUT", path_of("directory", "room", alias), {"room_id": room})
    alice.invite(room, bob.user_id)
    assert bob.must("POST", path_of("join", alias)) == {"room_id": room}
    assert error_of(bob.call("POST", path_of("join", "#nowhere:localhost"), {})) == (404, "M_NOT_FOUND")


@every_prefix
@requirement("M02", "M03", "R03")
def test_a_private_room_is_joined_by_invitation(alice: Client, bob: Client, room: str) -> None:
    path = path_of("rooms", room, "join")
    assert error_of(bob.call("POST", path, {})) == FORBIDDEN
    alice.invite(room, bob.user_id)
    assert bob.must("POST", path, {}) == {"room_id": room}


@pytest.mark.parametrize("rule", ["private", "knock", "restricted", "unheard of", None])
@requirement("M02")
def test_other_join_rules_let_nobody_in(alice: Client, bob: Client, rule: object) -> None:
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.join_rules", {"join_rule": rule})
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN


@every_prefix
def test_an_unknown_room_is_refused_like_a_private_one(alice: Client, bob: Client, room: str) -> None:
    answers = [
        bob.call("POST", path_of("join", name), {}) for name in (room, "!nowhere:localhost", "nonsense")
    ]
    assert {error_of(answer) for answer in answers} == {FORBIDDEN}
    assert len({answer.text for answer in answers}) == 1


@every_prefix
def test_joining_twice_makes_one_event(alice: Client, bob: Client, shared_room: str) -> None:
    before = alice.messages(shared_room, limit=1)["chunk"][0]["event_id"]
    bob.join(shared_room)
    assert alice.messages(shared_room, limit=1)["chunk"][0]["event_id"] == before


@requirement("V05", "M04")
def test_reasons_are_part_of_the_event(alice: Client, bob: Client) -> None:
    room = alice.create_room()
    assert change(alice, room, "invite", bob.user_id, reason="why not") == OK
    bob.must("POST", path_of("rooms", room, "join"), {"reason": "gladly"})
    bob.must("POST", path_of("rooms", room, "leave"), {"reason": "enough"})
    member = [event for event in alice.messages(room, limit=3)["chunk"] if event["state_key"] == bob.user_id]
    assert [event["content"] for event in member] == [
        {"membership": "leave", "reason": "enough"},
        {"membership": "join", "reason": "gladly"},
        {"membership": "invite", "reason": "why not"},
    ]


@every_prefix
@requirement("M04", "R03")
def test_who_may_be_invited(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    assert change(alice, shared_room, "invite", bob.user_id) == FORBIDDEN  # is in already
    assert change(carol, shared_room, "invite", carol.user_id) == FORBIDDEN  # is not in
    alice.must("POST", path_of("rooms", shared_room, "ban"), {"user_id": carol.user_id})
    assert change(alice, shared_room, "invite", carol.user_id) == (403, "M_BAD_STATE")
    assert membership(alice, shared_room, carol.user_id) == "ban"


@every_prefix
@requirement("M04", "M09")
def test_inviting_asks_for_its_level(alice: Client, bob: Client, carol: Client) -> None:
    room = alice.create_room(preset="public_chat", power_level_content_override={"invite": 50})
    bob.join(room)
    assert change(bob, room, "invite", carol.user_id) == FORBIDDEN
    assert change(alice, room, "invite", carol.user_id) == OK
    assert membership(alice, room, carol.user_id) == "invite"


@requirement("M04")
def test_a_repeated_invitation_is_another_event(alice: Client, bob: Client, room: str) -> None:
    assert [change(alice, room, "invite", bob.user_id) for _ in range(2)] == [OK, OK]
    assert membership(alice, room, bob.user_id) == "invite"


@pytest.mark.parametrize(
    "more",
    [
        {"medium": "email", "address": "carol@example.org"},
        {"medium": "email", "address": "carol@example.org", "id_server": "example.org"},
        {"id_server": "example.org", "display_name": "Carol"},
    ],
)
@every_prefix
@requirement("M05")
def test_no_identity_server_is_trusted(alice: Client, room: str, more: object) -> None:
    answer = alice.call("POST", path_of("rooms", room, "invite"), more)
    assert error_of(answer) == (400, "M_SERVER_NOT_TRUSTED")


@pytest.mark.parametrize("call", ["invite", "kick", "ban", "unban"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"user_id": None}, "M_BAD_JSON"),
        ({"user_id": 1}, "M_BAD_JSON"),
        ({"user_id": "@carol:localhost", "reason": 1}, "M_BAD_JSON"),
    ],
)
@every_prefix
def test_a_bad_body_is_refused(alice: Client, room: str, call: str, body: object, code: str) -> None:
    assert error_of(alice.call("POST", path_of("rooms", room, call), body)) == (400, code)


@pytest.mark.parametrize(
    "user_id", ["carol", "@carol", "", "@carol:", "@" + "c" * 250 + ":localhost", "@a\0:b"]
)
@requirement("V07")
def test_nobody_has_such_a_name(alice: Client, room: str, user_id: str) -> None:
    assert change(alice, room, "invite", user_id) == (400, "M_INVALID_PARAM")
    assert change(alice, room, "ban", user_id) == (400, "M_INVALID_PARAM")


@every_prefix
@requirement("M06")
def test_who_left_is_out(alice: Client, bob: Client, room: str) -> None:
    alice.invite(room, bob.user_id)
    bob.join(room)
    assert bob.must("POST", path_of("rooms", room, "leave"), {}) == {}
    assert room not in bob.must("GET", "/joined_rooms")["joined_rooms"]
    assert membership(alice, room, bob.user_id) == "leave"
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN


@every_prefix
@requirement("M01", "M06")
def test_leaving_refuses_an_invitation(alice: Client, bob: Client, room: str) -> None:
    alice.invite(room, bob.user_id)
    bob.leave(room)
    assert membership(alice, room, bob.user_id) == "leave"
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN


@requirement("M01")
def test_an_invited_user_may_only_come_or_go(alice: Client, bob: Client, carol: Client, room: str) -> None:
    alice.invite(room, bob.user_id)
    for call in ("invite", "kick", "ban"):
        assert change(bob, room, call, carol.user_id) == FORBIDDEN
    own = path_of("rooms", room, "state", "m.room.member", bob.user_id)
    for unfit in ("ban", "invite", "knock"):
        assert error_of(bob.call("PUT", own, {"membership": unfit})) == FORBIDDEN
    assert bob.call("PUT", own, {"membership": "leave"}).status_code == 200


@every_prefix
@requirement("M06")
def test_leaving_where_one_never_was_is_refused(bob: Client, room: str) -> None:
    assert error_of(bob.call("POST", path_of("rooms", room, "leave"), {})) == FORBIDDEN


@requirement("M06")
def test_leaving_twice_makes_one_event(alice: Client, bob: Client, shared_room: str) -> None:
    bob.leave(shared_room)
    before = alice.messages(shared_room, limit=1)["chunk"][0]["event_id"]
    bob.leave(shared_room)
    assert alice.messages(shared_room, limit=1)["chunk"][0]["event_id"] == before


@every_prefix
@requirement("M06")
def test_a_kick_is_somebody_elses_leave(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    assert change(bob, shared_room, "kick", alice.user_id) == FORBIDDEN
    assert change(alice, shared_room, "kick", carol.user_id) == FORBIDDEN  # was never in
    assert change(alice, shared_room, "kick", bob.user_id, reason="noise") == OK
    [event] = alice.messages(shared_room, limit=1)["chunk"]
    assert (event["sender"], event["state_key"]) == (alice.user_id, bob.user_id)
    assert event["content"] == {"membership": "leave", "reason": "noise"}
    bob.join(shared_room)  # of a public room nobody is kept out by a kick


@requirement("M06")
def test_a_kick_takes_an_invitation_back(alice: Client, bob: Client, room: str) -> None:
    alice.invite(room, bob.user_id)
    assert change(alice, room, "kick", bob.user_id) == OK
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN


@every_prefix
@requirement("M07", "M03")
def test_who_is_banned_stays_out(alice: Client, bob: Client, shared_room: str) -> None:
    assert change(bob, shared_room, "ban", alice.user_id) == FORBIDDEN
    assert change(alice, shared_room, "ban", bob.user_id, reason="enough") == OK
    assert membership(alice, shared_room, bob.user_id) == "ban"
    assert error_of(bob.call("POST", path_of("join", shared_room), {})) == FORBIDDEN
    assert error_of(bob.call("POST", path_of("rooms", shared_room, "leave"), {})) == FORBIDDEN
    assert shared_room not in bob.must("GET", "/joined_rooms")["joined_rooms"]


@requirement("M07", "M09")
def test_nobody_bans_their_equals(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="trusted_private_chat", invite=[bob.user_id])
    bob.join(room)
    assert change(bob, room, "ban", alice.user_id) == FORBIDDEN
    assert change(bob, room, "kick", alice.user_id) == FORBIDDEN


@every_prefix
@requirement("M07")
def test_an_unban_lets_in_again(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    assert change(alice, shared_room, "unban", bob.user_id) == (403, "M_BAD_STATE")
    alice.must("POST", path_of("rooms", shared_room, "ban"), {"user_id": bob.user_id})
    carol.join(shared_room)
    assert change(carol, shared_room, "unban", bob.user_id) == FORBIDDEN
    assert change(alice, shared_room, "unban", bob.user_id) == OK
    assert membership(alice, shared_room, bob.user_id) == "leave"
    bob.join(shared_room)


@pytest.mark.parametrize("call", ["kick", "ban", "unban", "invite"])
@every_prefix
def test_strangers_learn_nothing_of_members(
    alice: Client, bob: Client, carol: Client, shared_room: str, call: str
) -> None:
    """Whoever is not in the room gets one answer, whatever the others are to it."""
    alice.must("POST", path_of("rooms", shared_room, "ban"), {"user_id": bob.user_id})
    told = {
        carol.call("POST", path_of("rooms", room, call), {"user_id": user_id}).text
        for room in (shared_room, "!nowhere:localhost")
        for user_id in (alice.user_id, bob.user_id, "@nobody:localhost")
    }
    assert len(told) == 1


@every_prefix
@requirement("M09")
def test_levels_stay_while_one_is_out(alice: Client, bob: Client, shared_room: str) -> None:
    levels = alice.must("GET", path_of("rooms", shared_room, "state", "m.room.power_levels"))
    levels["users"][bob.user_id] = 60
    alice.set_state(shared_room, "m.room.power_levels", levels)
    bob.leave(shared_room)
    bob.join(shared_room)
    assert bob.set_state(shared_room, "m.room.topic", {"topic": "mine to set"})


@every_prefix
@requirement("M09")
def test_nobody_gives_more_than_they_have(alice: Client, bob: Client, shared_room: str) -> None:
    path = path_of("rooms", shared_room, "state", "m.room.power_levels")
    levels = alice.must("GET", path)
    half = levels | {"users": {**levels["users"], bob.user_id: 50}, "events": {}}
    alice.must("PUT", path, half)
    over = half | {"users": {**half["users"], bob.user_id: 51}}
    assert error_of(bob.call("PUT", path, over)) == FORBIDDEN
    assert error_of(bob.call("PUT", path, half | {"ban": 51})) == FORBIDDEN
    down = half | {"users": {**half["users"], alice.user_id: 0}}
    assert error_of(bob.call("PUT", path, down)) == FORBIDDEN
    assert alice.must("GET", path) == half


@requirement("V05")
def test_an_invitation_tells_about_the_room(alice: Client, new_user: NewUser, prefix: str) -> None:
    guest = new_user()
    room = alice.create_room(name="Tea room", topic="Earl Grey")
    alice.set_state(room, "com.example.private", {"for": "members"})
    alice.invite(room, guest.user_id)
    [stripped] = guest.sync()["rooms"]["invite"].values()
    events = stripped["invite_state"]["events"]
    assert all(event.keys() == {"type", "state_key", "sender", "content"} for event in events)
    shown = {event["type"]: event for event in events}
    assert shown["m.room.name"]["content"] == {"name": "Tea room"}
    assert {"m.room.create", "m.room.join_rules", "m.room.topic", "m.room.member"} <= shown.keys()
    assert "com.example.private" not in shown
    invite = shown["m.room.member"]
    assert (invite["sender"], invite["state_key"]) == (alice.user_id, guest.user_id)
    if prefix == V1:
        [listed] = guest.must("GET", "/initialSync")["rooms"]
        assert listed["invite"]["invite_room_state"] == events
        assert "invite_room_state" not in listed["invite"]["content"]


def test_joined_rooms_are_those_joined(alice: Client, new_user: NewUser, shared_room: str, room: str) -> None:
    guest = new_user()
    assert guest.must("GET", "/joined_rooms") == {"joined_rooms": []}
    guest.join(shared_room)
    alice.invite(room, guest.user_id)
    assert guest.must("GET", "/joined_rooms") == {"joined_rooms": [shared_room]}
