"""What an event says to its reader alone: the reader's own membership then, and what was replaced."""

from tests.harness.client import Client, Json, path_of
from tests.server.conftest import every_prefix


def unsigned(client: Client, room_id: str, event_id: str) -> Json:
    return client.event(room_id, event_id)["unsigned"]


@every_prefix
def test_it_has_the_readers_membership_at_the_event(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    before = alice.say(room, "before")
    bob.join(room)
    after = alice.say(room, "after")
    assert [unsigned(bob, room, event_id)["membership"] for event_id in (before, after)] == ["leave", "join"]
    assert unsigned(alice, room, before)["membership"] == "join"
    own = bob.must("GET", path_of("rooms", room, "state", "m.room.member", bob.user_id), format="event")
    assert own["unsigned"]["membership"] == "join"


@every_prefix
def test_replaced_content_is_for_those_who_may_see_it(alice: Client, bob: Client) -> None:
    joined_only = {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}
    room = alice.create_room(preset="public_chat", initial_state=[joined_only])
    first = alice.set_state(room, "m.room.topic", {"topic": "first"})
    bob.join(room)
    second = alice.set_state(room, "m.room.topic", {"topic": "second"})
    third = alice.set_state(room, "m.room.topic", {"topic": "third"})
    assert unsigned(alice, room, second)["prev_content"] == {"topic": "first"}
    assert "prev_content" not in unsigned(bob, room, second)
    assert unsigned(bob, room, second)["replaces_state"] == first
    assert unsigned(bob, room, third)["prev_content"] == {"topic": "second"}
