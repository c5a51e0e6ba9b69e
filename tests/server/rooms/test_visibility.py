"""Who may read an event: the setting and the reader's membership at the event decide, for every setting.

Bob is a stranger, then invited, then in the room, then out of it; something is said at each stage. What he
reads of it is asked once while he is invited, once while he is in, and once when he is out again.
"""

import pytest

from tests.harness.client import Client, error_of, path_of, texts
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

SETTINGS = ("world_readable", "shared", "invited", "joined")

BEFORE, INVITED, JOINED, AFTER = "before", "invited", "joined", "after"

READ_BY_WHO_LEFT = {
    "world_readable": [BEFORE, INVITED, JOINED, AFTER],
    "shared": [BEFORE, INVITED, JOINED],
    "invited": [INVITED, JOINED],
    "joined": [JOINED],
}
READ_BY_WHO_IS_INVITED = {
    "world_readable": [BEFORE, INVITED],
    "shared": [],
    "invited": [INVITED],
    "joined": [],
}

pytestmark = requirement("M12")


def room_with(alice: Client, setting: str) -> str:
    stated = {"type": "m.room.history_visibility", "content": {"history_visibility": setting}}
    return alice.create_room(initial_state=[stated])


def can_read(client: Client, room: str, event_id: str) -> bool:
    answer = client.call("GET", path_of("rooms", room, "event", event_id))
    assert answer.status_code == 200 or error_of(answer) == (404, "M_NOT_FOUND")
    return answer.status_code == 200


def history_of(client: Client, room: str) -> list[str]:
    """What a reader finds said, oldest first."""
    return texts(client.messages(room, dir="f", limit=100)["chunk"])


@pytest.mark.parametrize("setting", SETTINGS)
@every_prefix
def test_who_left_reads_what_the_setting_says(alice: Client, bob: Client, setting: str) -> None:
    room = room_with(alice, setting)
    said = {BEFORE: alice.say(room, BEFORE)}
    alice.invite(room, bob.user_id)
    said[INVITED] = alice.say(room, INVITED)
    bob.join(room)
    said[JOINED] = alice.say(room, JOINED)
    bob.leave(room)
    said[AFTER] = alice.say(room, AFTER)
    assert history_of(bob, room) == READ_BY_WHO_LEFT[setting]
    assert [text for text in said if can_read(bob, room, said[text])] == READ_BY_WHO_LEFT[setting]
    assert history_of(alice, room) == [BEFORE, INVITED, JOINED, AFTER]


@pytest.mark.parametrize("setting", SETTINGS)
def test_who_is_in_reads_what_the_setting_says(alice: Client, bob: Client, setting: str) -> None:
    room = room_with(alice, setting)
    alice.say(room, BEFORE)
    alice.invite(room, bob.user_id)
    alice.say(room, INVITED)
    bob.join(room)
    alice.say(room, JOINED)
    section = bob.sync()["rooms"]["join"][room]
    expected = [text for text in READ_BY_WHO_LEFT[setting] if text != AFTER]
    assert texts(section["timeline"]["events"]) == history_of(bob, room) == expected


@pytest.mark.parametrize("setting", SETTINGS)
def test_who_is_invited_reads_what_the_setting_says(alice: Client, bob: Client, setting: str) -> None:
    room = room_with(alice, setting)
    said = {BEFORE: alice.say(room, BEFORE)}
    alice.invite(room, bob.user_id)
    said[INVITED] = alice.say(room, INVITED)
    assert [text for text in said if can_read(bob, room, said[text])] == READ_BY_WHO_IS_INVITED[setting]


@pytest.mark.parametrize("setting", SETTINGS)
def test_only_what_the_world_may_read_is_read_by_strangers(alice: Client, bob: Client, setting: str) -> None:
    room = room_with(alice, setting)
    said = alice.say(room, "hello")
    is_open = setting == "world_readable"
    assert can_read(bob, room, said) is is_open
    for read in ("messages", "state", "members"):
        answer = bob.call("GET", path_of("rooms", room, read), dir="b")
        assert (answer.status_code == 200) is is_open, read
        assert is_open or error_of(answer) == (403, "M_FORBIDDEN")


def test_looking_in_is_not_being_in(alice: Client, bob: Client) -> None:
    """Who may read everything may still not say anything."""
    room = room_with(alice, "world_readable")
    path = path_of("rooms", room, "send", "m.room.message", "1")
    assert error_of(bob.call("PUT", path, {"msgtype": "m.text", "body": "hi"})) == (403, "M_FORBIDDEN")
    assert error_of(bob.call("GET", path_of("rooms", room, "joined_members"))) == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    ("setting", "absence"),
    [("world_readable", ["away"]), ("shared", ["away"]), ("invited", []), ("joined", [])],
)
def test_who_comes_back_reads_what_the_setting_says_of_the_absence(
    alice: Client, bob: Client, setting: str, absence: list[str]
) -> None:
    room = room_with(alice, setting)
    alice.set_state(room, "m.room.join_rules", {"join_rule": "public"})
    bob.join(room)
    bob.leave(room)
    alice.say(room, "away")
    bob.join(room)
    alice.say(room, "back")
    assert history_of(bob, room) == [*absence, "back"]


@pytest.mark.parametrize(
    "content", [{}, {"history_visibility": "nobody"}, {"history_visibility": ["joined"]}]
)
def test_an_unknown_setting_is_shared(alice: Client, bob: Client, content: dict[str, object]) -> None:
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.history_visibility", content)
    alice.say(room, "before")
    bob.join(room)
    assert history_of(bob, room) == ["before"]


def test_a_setting_holds_from_its_event_on(alice: Client, bob: Client) -> None:
    """What was said under one setting stays under it, whatever comes later."""
    room = alice.create_room(preset="public_chat")
    for setting in ("joined", "shared", "joined", "world_readable"):
        alice.set_state(room, "m.room.history_visibility", {"history_visibility": setting})
        alice.say(room, setting)
    bob.join(room)
    assert history_of(bob, room) == ["shared", "world_readable"]


@pytest.mark.parametrize(
    ("before", "after", "is_read"),
    [("joined", "world_readable", True), ("world_readable", "joined", True), ("joined", "invited", False)],
)
def test_a_change_of_the_setting_is_read_under_the_better_one(
    alice: Client, bob: Client, before: str, after: str, is_read: bool
) -> None:
    room = room_with(alice, before)
    change = alice.set_state(room, "m.room.history_visibility", {"history_visibility": after})
    assert can_read(bob, room, change) is is_read


@pytest.mark.parametrize("setting", SETTINGS)
def test_ones_own_leaving_is_read_by_who_was_in(alice: Client, bob: Client, setting: str) -> None:
    room = room_with(alice, setting)
    alice.invite(room, bob.user_id)
    bob.join(room)
    bob.leave(room)
    own = alice.must("GET", path_of("rooms", room, "state", "m.room.member", bob.user_id), format="event")
    assert can_read(bob, room, own["event_id"])


def test_redaction_opens_nothing(alice: Client, bob: Client) -> None:
    """An event that may not be seen is not seen redacted either."""
    room = room_with(alice, "joined")
    said = alice.say(room, "secret")
    alice.redact(room, said)
    assert not can_read(bob, room, said)
