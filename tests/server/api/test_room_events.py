"""Sending message events and setting state: what becomes of a request, and what is refused."""

import bisect
from typing import Any

import pytest

from server.http.parsing import NESTING_MAX
from tests.harness.client import V1, V3, Client, error_of, path_of, texts
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

SECRETS = {
    "type": "m.room.topic",
    "sender": "@mallory:localhost",
    "user_id": "@mallory:localhost",
    "room_id": "!elsewhere:localhost",
    "state_key": "",
    "event_id": "$forged",
    "origin_server_ts": 1,
    "redacts": "$forged",
    "unsigned": {"age": 1},
    "depth": 7,
    "hashes": {"sha256": "forged"},
    "own": {"nested": ["\U0001f408", 0, -1, True, None, {"": {}}]},
}
"""A content with the names of everything that stands beside a content."""


def send_path(room_id: str, event_type: str = "m.room.message", txn_id: str = "1") -> str:
    return path_of("rooms", room_id, "send", event_type, txn_id)


def state_path(room_id: str, *type_and_key: str) -> str:
    return path_of("rooms", room_id, "state", *type_and_key)


@every_prefix
@requirement("S01", "S02", "S08")
def test_a_put_sends_one_event(alice: Client, room: str) -> None:
    answer = alice.call("PUT", send_path(room), {"msgtype": "m.text", "body": "hello"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    [(name, event_id)] = answer.json().items()
    assert name == "event_id"
    assert alice.event(room, event_id)["content"] == {"msgtype": "m.text", "body": "hello"}


@every_prefix
@requirement("S03")
def test_equal_posts_make_two_events(alice: Client, room: str) -> None:
    path = path_of("rooms", room, "send", "m.room.message")
    made = [alice.must("POST", path, {"msgtype": "m.text", "body": "again"})["event_id"] for _ in range(2)]
    assert len(set(made)) == 2
    assert texts(alice.messages(room, limit=2)["chunk"]) == ["again", "again"]


@every_prefix
@requirement("S04")
def test_the_body_of_a_message_is_its_content(alice: Client, room: str) -> None:
    event = alice.event(room, alice.send(room, SECRETS, event_type="com.example.secrets"))
    assert event["content"] == SECRETS
    assert (event["type"], event["sender"], event["room_id"]) == ("com.example.secrets", alice.user_id, room)
    assert not {"state_key", "redacts", "depth", "hashes"} & event.keys()
    assert event["origin_server_ts"] > 1_600_000_000_000


@every_prefix
@requirement("S04", "S25")
def test_the_body_of_state_is_its_content(alice: Client, room: str) -> None:
    event_id = alice.set_state(room, "com.example.secrets", SECRETS, "key")
    event = alice.event(room, event_id)
    assert (event["content"], event["state_key"], event["sender"]) == (SECRETS, "key", alice.user_id)
    assert alice.must("GET", state_path(room, "com.example.secrets", "key")) == SECRETS


@pytest.mark.parametrize("to", ["send", "state"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "M_BAD_JSON"),
        (b'"text"', "M_BAD_JSON"),
        (b"7", "M_BAD_JSON"),
        (b"null", "M_BAD_JSON"),
        (b'{"a": 1.5}', "M_BAD_JSON"),
        (b'{"a": 1e2}', "M_BAD_JSON"),
        (b'{"a": 9007199254740992}', "M_BAD_JSON"),
        (b'{"a": 1, "a": 2}', "M_BAD_JSON"),
        (b'{"a": {"b": 1, "b": 1}}', "M_BAD_JSON"),
        (b'{"a": ' + b"[" * NESTING_MAX + b"]" * NESTING_MAX + b"}", "M_BAD_JSON"),
        (b"", "M_NOT_JSON"),
        (b"{", "M_NOT_JSON"),
        (b"{'a': 1}", "M_NOT_JSON"),
        (b'{"a": NaN}', "M_NOT_JSON"),
        (b'{"a": "\\ud800"}', "M_NOT_JSON"),
        (b'{"\\udfff": 1}', "M_NOT_JSON"),
        (b'{"a": "\xff"}', "M_NOT_JSON"),
    ],
)
@every_prefix
@requirement("S05", "S25", "R03")
def test_a_content_that_is_no_object_is_refused(
    alice: Client, room: str, to: str, body: bytes, code: str
) -> None:
    before = alice.messages(room)["chunk"]
    path = send_path(room, "com.example.own") if to == "send" else state_path(room, "com.example.own", "1")
    assert error_of(alice.call("PUT", path, raw=body)) == (400, code)
    assert [event["event_id"] for event in alice.messages(room)["chunk"]] == [
        event["event_id"] for event in before
    ]


@every_prefix
@requirement("S04")
def test_a_content_may_be_as_deep_as_a_body(alice: Client, room: str) -> None:
    content: dict[str, Any] = {}
    for _ in range(NESTING_MAX - 1):
        content = {"a": content}
    assert alice.event(room, alice.send(room, content, event_type="com.example.deep"))["content"] == content


@pytest.mark.parametrize("integer", [0, -1, 2**53 - 1, 1 - 2**53])
@requirement("S04")
def test_integers_keep_their_value(alice: Client, room: str, integer: int) -> None:
    event_id = alice.send(room, {"a": integer}, event_type="com.example.number")
    assert alice.event(room, event_id)["content"] == {"a": integer}


@pytest.mark.parametrize(
    "event_type", ["com.example.myapp.event", "m.unheard.of", "x", "типа", "a/b?c#d e%f"]
)
@every_prefix
@requirement("S06", "S09")
def test_any_type_may_be_sent(alice: Client, room: str, event_type: str) -> None:
    event = alice.event(room, alice.send(room, {"any": "thing"}, event_type=event_type))
    assert event["type"] == event_type


@pytest.mark.parametrize("event_type", ["m.room.topic", "m.room.name", "com.example.state"])
@every_prefix
@requirement("S07")
def test_a_message_never_changes_state(alice: Client, room: str, event_type: str) -> None:
    alice.set_state(room, event_type, {"was": "set"})
    before = alice.state(room)
    event = alice.event(room, alice.send(room, {"was": "sent"}, event_type=event_type))
    assert "state_key" not in event
    assert alice.messages(room, limit=1)["chunk"][0]["content"] == {"was": "sent"}
    assert [found["event_id"] for found in alice.state(room)] == [found["event_id"] for found in before]


@pytest.mark.parametrize("event_type", ["m.room.member", "m.room.create"])
@every_prefix
@requirement("S07")
def test_what_must_be_state_is_not_sent(alice: Client, room: str, event_type: str) -> None:
    answer = alice.call("PUT", send_path(room, event_type), {"membership": "join"})
    assert error_of(answer) == (403, "M_FORBIDDEN")


@requirement("S08")
def test_equal_events_of_two_rooms_differ_in_id(alice: Client) -> None:
    made = [alice.say(alice.create_room(), "the same") for _ in range(2)]
    assert len(set(made)) == 2
    assert all(event_id.startswith("$") for event_id in made)


@every_prefix
@requirement("S09")
def test_a_path_is_decoded_exactly_once(alice: Client, room: str) -> None:
    def send(txn_id: str) -> Any:
        escaped = room.replace("!", "%21").replace(":", "%3a")
        return alice.must("PUT", f"/rooms/{escaped}/send/com.example.own/{txn_id}", {"n": txn_id})["event_id"]

    assert send("A") == send("%41")
    assert send("%2541") != send("A")
    assert send("%2541") != send("%252541")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"body": "no type"},
        {"msgtype": "m.text"},
        {"msgtype": 1, "body": "a"},
        {"msgtype": "m.text", "body": 1},
        {"msgtype": "m.text", "body": None},
    ],
)
@requirement("S10")
def test_a_message_that_nobody_can_show_is_refused(
    alice: Client, room: str, content: dict[str, object]
) -> None:
    path = send_path(room, "m.room.message")
    for method, form in (("PUT", path), ("POST", path_of("rooms", room, "send", "m.room.message"))):
        assert error_of(alice.under(V1).call(method, form, content)) == (400, "M_BAD_JSON")
    assert alice.under(V1).call("PUT", send_path(room, "com.example.own"), content).status_code == 200


@every_prefix
@requirement("S11", "M01", "R03")
@pytest.mark.parametrize("standing", ["stranger", "invited", "left", "banned"])
def test_only_members_send(alice: Client, bob: Client, room: str, standing: str) -> None:
    if standing != "stranger":
        alice.invite(room, bob.user_id)
    if standing in ("left", "banned"):
        bob.join(room)
    if standing == "left":
        bob.leave(room)
    elif standing == "banned":
        alice.must("POST", path_of("rooms", room, "ban"), {"user_id": bob.user_id})
    message = {"msgtype": "m.text", "body": "let me in"}
    assert error_of(bob.call("PUT", send_path(room), message)) == (403, "M_FORBIDDEN")
    assert error_of(bob.call("PUT", state_path(room, "m.room.topic", ""), {})) == (403, "M_FORBIDDEN")


@every_prefix
@requirement("S11")
def test_an_unknown_room_is_forbidden_too(alice: Client) -> None:
    answer = alice.call("PUT", send_path("!nowhere:localhost"), {"msgtype": "m.text", "body": "hello?"})
    assert error_of(answer) == (403, "M_FORBIDDEN")


@requirement("S11", "M09")
def test_what_was_allowed_is_asked_anew_when_the_state_has_changed(
    alice: Client, bob: Client, shared_room: str
) -> None:
    """Leave to send is remembered as long as the room's state is the same, and no longer."""
    message = {"msgtype": "m.text", "body": "hello"}

    def answer_to_bob() -> int:
        return bob.call("POST", path_of("rooms", shared_room, "send", "m.room.message"), message).status_code

    levels = alice.must("GET", path_of("rooms", shared_room, "state", "m.room.power_levels", ""))
    answers = [answer_to_bob(), answer_to_bob()]
    alice.set_state(shared_room, "m.room.power_levels", {**levels, "events_default": 1})
    answers.append(answer_to_bob())
    alice.set_state(shared_room, "m.room.power_levels", levels)
    answers.append(answer_to_bob())
    alice.must("POST", path_of("rooms", shared_room, "kick"), {"user_id": bob.user_id})
    answers.append(answer_to_bob())
    bob.join(shared_room)
    answers.append(answer_to_bob())
    assert answers == [200, 200, 403, 200, 403, 200]


@every_prefix
@requirement("S11", "M09")
def test_a_type_asks_for_its_level(alice: Client, bob: Client) -> None:
    override = {"events": {"com.example.loud": 50, "com.example.state": 0}, "state_default": 50}
    room = alice.create_room(preset="public_chat", power_level_content_override=override)
    bob.join(room)
    assert error_of(bob.call("PUT", send_path(room, "com.example.loud"), {})) == (403, "M_FORBIDDEN")
    assert error_of(bob.call("PUT", state_path(room, "m.room.topic"), {})) == (403, "M_FORBIDDEN")
    assert bob.call("PUT", send_path(room, "com.example.quiet"), {}).status_code == 200
    assert bob.call("PUT", state_path(room, "com.example.state"), {}).status_code == 200
    assert alice.call("PUT", send_path(room, "com.example.loud"), {}).status_code == 200


@requirement("S12")
def test_events_stand_in_the_order_of_their_answers(alice: Client, bob: Client, shared_room: str) -> None:
    said = [(alice, bob)[number % 2].say(shared_room, str(number)) for number in range(8)]
    newest_first = [event["event_id"] for event in alice.messages(shared_room, limit=8)["chunk"]]
    assert newest_first == said[::-1]


@every_prefix
@requirement("S20", "S21")
def test_state_replaces_what_had_its_key(alice: Client, room: str) -> None:
    first, other, second = (
        alice.set_state(room, "com.example.own", {"n": n}, key) for n, key in enumerate(["k", "other", "k"])
    )
    assert alice.must("GET", state_path(room, "com.example.own", "k")) == {"n": 2}
    current = [event["event_id"] for event in alice.state(room) if event["type"] == "com.example.own"]
    assert sorted(current) == sorted([other, second])
    assert alice.event(room, first)["content"] == {"n": 0}
    assert [event["event_id"] for event in alice.messages(room, limit=3)["chunk"]] == [second, other, first]


@pytest.mark.parametrize("ending", ["", "/"])
@every_prefix
@requirement("S22", "G01")
def test_a_state_key_left_out_is_empty(alice: Client, room: str, ending: str) -> None:
    path = state_path(room, "com.example.own") + ending
    event_id = alice.must("PUT", path, {"set": ending})["event_id"]
    assert alice.event(room, event_id)["state_key"] == ""
    assert alice.must("GET", state_path(room, "com.example.own")) == {"set": ending}
    assert alice.must("GET", state_path(room, "com.example.own") + "/") == {"set": ending}


@pytest.mark.parametrize(
    "state_key", ["11", "_underscored", "with space", "a/b", "%2F", "?&=#", "ключ", "..", "\0", "x" * 255]
)
@every_prefix
@requirement("S23", "S26", "S27")
def test_any_state_key_will_do(alice: Client, room: str, state_key: str) -> None:
    # A lone ".." would be resolved by the client before it is sent; escaped, it is a segment like others.
    path = state_path(room, "com.example.own") + "/" + path_of(state_key)[1:].replace("..", "%2E%2E")
    alice.must("PUT", path, {"n": 1})
    event = alice.event(room, alice.must("PUT", path, {"n": 2})["event_id"])
    assert (event["state_key"], event["content"]) == (state_key, {"n": 2})
    assert alice.must("GET", path) == {"n": 2}


@pytest.mark.parametrize("rest", ["", "/", "/key"])
@every_prefix
@requirement("S24")
def test_state_is_not_posted(alice: Client, room: str, rest: str) -> None:
    answer = alice.call("POST", state_path(room, "com.example.own") + rest, {"cannot": "use POST"})
    assert error_of(answer) == (405, "M_UNRECOGNIZED")
    assert answer.headers["allow"] == "GET, OPTIONS, PUT"
    path = state_path(room, "com.example.own")
    assert error_of(alice.call("GET", path + rest)) == (404, "M_NOT_FOUND")


@every_prefix
@requirement("S29")
def test_equal_state_makes_no_second_event(alice: Client, room: str) -> None:
    first = alice.set_state(room, "com.example.own", {"a": 1, "b": [2]})
    assert alice.set_state(room, "com.example.own", {"b": [2], "a": 1}) == first
    assert alice.messages(room, limit=1)["chunk"][0]["event_id"] == first


@requirement("S29")
def test_equal_state_of_another_sender_is_new(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat", power_level_content_override={"state_default": 0})
    bob.join(room)
    first = alice.set_state(room, "com.example.own", {"same": True})
    assert bob.set_state(room, "com.example.own", {"same": True}) != first


@every_prefix
@requirement("S30", "V02")
def test_state_tells_what_it_replaced(alice: Client, room: str, prefix: str) -> None:
    first = alice.set_state(room, "com.example.own", {"n": 1})
    second = alice.set_state(room, "com.example.own", {"n": 2})
    fresh, replacing = alice.event(room, first), alice.event(room, second)
    assert not {"prev_content", "replaces_state"} & (fresh.keys() | fresh["unsigned"].keys())
    assert replacing["unsigned"]["prev_content"] == {"n": 1}
    assert replacing["unsigned"]["replaces_state"] == first
    copied = {name: replacing.get(name) for name in ("prev_content", "replaces_state")}
    expected = {"prev_content": {"n": 1}, "replaces_state": first}
    assert copied == (expected if prefix == V1 else dict.fromkeys(expected))


@every_prefix
@requirement("S28")
def test_own_membership_can_be_set_as_state(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    own = state_path(room, "m.room.member", bob.user_id)
    joined = bob.must("PUT", own, {"membership": "join", "displayname": "Bob"})["event_id"]
    assert bob.event(room, joined)["content"] == {"membership": "join", "displayname": "Bob"}
    bob.must("PUT", own, {"membership": "leave"})
    assert room not in bob.must("GET", "/joined_rooms")["joined_rooms"]


@every_prefix
@requirement("S28")
def test_anothers_membership_is_checked_as_by_its_call(
    alice: Client, bob: Client, carol: Client, shared_room: str
) -> None:
    def put(client: Client, user_id: str, membership: object) -> tuple[int, str]:
        path = state_path(shared_room, "m.room.member", user_id)
        answer = client.call("PUT", path, {"membership": membership})
        return (200, "") if answer.status_code == 200 else error_of(answer)

    assert put(alice, carol.user_id, "join") == (403, "M_FORBIDDEN")
    assert put(bob, alice.user_id, "leave") == (403, "M_FORBIDDEN")
    assert put(bob, carol.user_id, "ban") == (403, "M_FORBIDDEN")
    assert put(alice, carol.user_id, "invite") == (200, "")
    assert put(alice, carol.user_id, "ban") == (200, "")
    assert put(carol, carol.user_id, "join") == (403, "M_FORBIDDEN")
    unknown_ones: tuple[Any, ...] = ("guest", "", None, 1, [], {"join": True})
    for unknown in unknown_ones:
        assert put(alice, bob.user_id, unknown) == (400, "M_BAD_JSON")


@every_prefix
@requirement("S28", "M06", "M07")
def test_state_kicks_bans_and_unbans(alice: Client, bob: Client, shared_room: str) -> None:
    path = state_path(shared_room, "m.room.member", bob.user_id)
    for membership in ("leave", "ban", "leave", "invite"):
        event_id = alice.must("PUT", path, {"membership": membership, "reason": "why"})["event_id"]
        event = alice.event(shared_room, event_id)
        assert event["content"] == {"membership": membership, "reason": "why"}
    bob.join(shared_room)


@requirement("S28")
def test_a_member_without_membership_is_refused(alice: Client, bob: Client, shared_room: str) -> None:
    for user in (alice, bob):
        path = state_path(shared_room, "m.room.member", user.user_id)
        assert error_of(alice.call("PUT", path, {"displayname": "Bob"})) == (400, "M_BAD_JSON")
    assert bob.say(shared_room, "still here")


@pytest.mark.parametrize("user_id", ["bob", "@bob", "!room:localhost", "@:localhost", "@bob:local host"])
@requirement("S28")
def test_a_membership_is_of_a_user(alice: Client, room: str, user_id: str) -> None:
    path = state_path(room, "m.room.member", user_id)
    assert error_of(alice.call("PUT", path, {"membership": "invite"})) == (400, "M_INVALID_PARAM")


@every_prefix
@requirement("E06")
def test_anothers_user_id_is_no_key_for_state(alice: Client, bob: Client, room: str) -> None:
    path = state_path(room, "com.example.own", bob.user_id)
    assert error_of(alice.call("PUT", path, {})) == (403, "M_FORBIDDEN")


@requirement("S21")
def test_a_room_is_created_once(alice: Client, room: str) -> None:
    assert error_of(alice.call("PUT", state_path(room, "m.room.create"), {})) == (403, "M_FORBIDDEN")


@requirement("V07")
@pytest.mark.parametrize("what", ["event type", "state key", "type of state", "content", "state"])
def test_what_is_too_large_is_refused(alice: Client, room: str, what: str) -> None:
    long, large = "é" * 128, {"body": "x" * 65_536}
    path, content = {
        "event type": (send_path(room, long), {}),
        "state key": (state_path(room, "com.example.own", long), {}),
        "type of state": (state_path(room, long), {}),
        "content": (send_path(room, "com.example.own"), large),
        "state": (state_path(room, "com.example.own"), large),
    }[what]
    assert error_of(alice.call("PUT", path, content)) == (413, "M_TOO_LARGE")


@every_prefix
@requirement("V07")
def test_one_byte_is_one_too_many(alice: Client, room: str) -> None:
    """Between what is sent and what is refused stands a single byte, wherever in the event it is."""

    def is_sent(number: int, wide: int = 0) -> bool:
        content = {"body": "x" * number + "é" * wide}
        answer = alice.call("PUT", send_path(room, "com.example.own", f"{number} {wide}"), content)
        assert answer.status_code == 200 or error_of(answer) == (413, "M_TOO_LARGE")
        return answer.status_code == 200

    largest = bisect.bisect(range(65_536), False, key=lambda number: not is_sent(number)) - 1
    assert is_sent(largest)
    assert not is_sent(largest + 1)
    assert is_sent(largest - 2, wide=1)  # two bytes in the event, six in the body of a client that escapes
    assert not is_sent(largest - 1, wide=1)
    assert largest > 65_536 - 1_024


@requirement("V07")
def test_what_just_fits_is_sent(alice: Client, room: str) -> None:
    event_type = "é" * 127 + "x"
    event_id = alice.send(room, {"body": "x" * 64_000}, event_type=event_type)
    event = alice.event(room, event_id)
    assert (event["type"], len(event["content"]["body"])) == (event_type, 64_000)


@pytest.mark.parametrize(
    ("alias", "code"),
    [
        ({"alias": "#nowhere:localhost"}, "M_BAD_ALIAS"),
        ({"alias": "no alias"}, "M_INVALID_PARAM"),
        ({"alias": {"not": "text"}}, "M_INVALID_PARAM"),
        ({"alt_aliases": ["#nowhere:localhost"]}, "M_BAD_ALIAS"),
        ({"alt_aliases": [["#nowhere:localhost"]]}, "M_INVALID_PARAM"),
    ],
)
def test_a_canonical_alias_points_to_its_room(
    alice: Client, room: str, alias: dict[str, object], code: str
) -> None:
    path = state_path(room, "m.room.canonical_alias")
    assert error_of(alice.call("PUT", path, alias)) == (400, code)
    assert alice.must("PUT", path, {"alias": ""})


def test_an_odd_canonical_alias_can_be_replaced(alice: Client) -> None:
    """Whatever a room began with, the next canonical alias is compared with it."""
    odd = {"type": "m.room.canonical_alias", "content": {"alias": {"a": 1}, "alt_aliases": [[], {"b": 2}]}}
    room = alice.create_room(initial_state=[odd])
    assert alice.must("PUT", state_path(room, "m.room.canonical_alias"), {})


@requirement("S01")
def test_the_content_type_of_a_request_is_not_asked_for(alice: Client, room: str) -> None:
    answer = alice.http.put(
        V3 + send_path(room, "com.example.own"),
        content=b"{}",
        headers={"Authorization": f"Bearer {alice.token}", "Content-Type": "text/plain"},
    )
    assert answer.status_code == 200
