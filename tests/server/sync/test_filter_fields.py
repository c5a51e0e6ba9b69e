"""What each field of a filter does to a sync."""

import json
from typing import Any

import pytest

from tests.harness.client import Client, path_of, texts
from tests.server.conftest import NewUser
from tests.server.sync.following import Json, ids, joined, room_filter, state_of

ALWAYS = {"content", "event_id", "origin_server_ts", "sender", "type"}


def test_event_fields_are_what_events_are_cut_to(alice: Client, room: str) -> None:
    alice.set_state(room, "m.room.topic", {"topic": "tea", "more": 1})
    alice.say(room, "hello")
    cut = room_filter(room, whole={"event_fields": ["content.topic", "unsigned.age"]})
    events = joined(alice, room, filter=cut)["timeline"]["events"]
    *_, topic, message = events
    assert topic.keys() == ALWAYS | {"state_key", "unsigned"}
    assert topic["content"] == {"topic": "tea"}
    assert topic["unsigned"].keys() == {"age"}
    assert (message.keys(), message["content"]) == (ALWAYS | {"unsigned"}, {})


def test_no_event_fields_are_all_of_them(alice: Client, room: str) -> None:
    alice.say(room, "hello")
    cut = room_filter(room, whole={"event_fields": []})
    assert texts(joined(alice, room, filter=cut)["timeline"]["events"]) == ["hello"]


def test_state_is_cut_as_well(alice: Client, room: str) -> None:
    alice.say(room, "hello")
    cut = room_filter(room, whole={"event_fields": ["type"]}, timeline={"limit": 1})
    state = joined(alice, room, filter=cut)["state"]["events"]
    assert {frozenset(event) for event in state} == {frozenset(ALWAYS | {"state_key"})}
    assert all(event["content"] == {} for event in state)


def test_federation_events_are_as_stored(alice: Client, room: str) -> None:
    event_id = alice.say(room, "hello")
    raw = room_filter(room, whole={"event_format": "federation"}, timeline={"limit": 1})
    [event] = joined(alice, room, filter=raw)["timeline"]["events"]
    assert event["event_id"] == event_id
    assert (event["room_id"], event["content"]["body"]) == (room, "hello")
    assert event["hashes"].keys() == {"sha256"}
    assert len(event["prev_events"]) == 1
    assert event["unsigned"]["transaction_id"]


def test_a_section_has_rooms_of_its_own(alice: Client) -> None:
    chatty, quiet = alice.create_room(), alice.create_room()
    for room in (chatty, quiet):
        alice.say(room, "hello")
    sections: dict[str, Json] = {
        "rooms": [chatty, quiet],
        "timeline": {"rooms": [chatty, quiet], "not_rooms": [quiet]},
        "state": {"rooms": [quiet]},
    }
    found = alice.sync(filter=json.dumps({"room": sections}))["rooms"]["join"]
    assert texts(found[chatty]["timeline"]["events"]) == ["hello"]
    assert found[chatty]["state"]["events"] == []
    assert (found[quiet]["timeline"]["events"], found[quiet]["timeline"]["limited"]) == ([], False)
    assert ("m.room.create", "") in state_of(found[quiet]["state"]["events"])


def test_a_limit_of_nothing_leaves_the_state(alice: Client, room: str) -> None:
    said = alice.say(room, "hello")
    answer = alice.sync(filter=room_filter(room, timeline={"limit": 0}))
    section = answer["rooms"]["join"][room]
    assert (section["timeline"]["events"], section["timeline"]["limited"]) == ([], True)
    assert state_of(section["state"]["events"]) == state_of(alice.state(room))
    earlier = alice.messages(room, from_=section["timeline"]["prev_batch"], limit=1)
    assert ids(earlier["chunk"]) == [said]
    alice.set_state(room, "m.room.topic", {"topic": "tea"})
    news = joined(alice, room, since=answer["next_batch"], filter=room_filter(room, timeline={"limit": 0}))
    assert list(state_of(news["state"]["events"])) == [("m.room.topic", "")]


def test_only_content_with_a_url(alice: Client, room: str) -> None:
    alice.send(room, {"url": "mxc://localhost/a"}, event_type="com.example.picture")
    alice.say(room, "no url")

    def types(contains_url: bool) -> set[str]:
        chosen = room_filter(room, timeline={"contains_url": contains_url})
        return {event["type"] for event in joined(alice, room, filter=chosen)["timeline"]["events"]}

    assert types(True) == {"com.example.picture"}
    assert "m.room.message" in types(False)
    assert "com.example.picture" not in types(False)


@pytest.mark.parametrize("limit", [1, 3, 50])
@pytest.mark.parametrize("use_state_after", ["true", "false"])
def test_state_that_the_timeline_leaves_out_is_told_beside_it(
    alice: Client, room: str, limit: int, use_state_after: str
) -> None:
    """Whoever wants messages alone still has the room as it is."""
    chosen = room_filter(room, timeline={"types": ["m.room.message"], "limit": limit})
    name = "state_after" if use_state_after == "true" else "state"
    state: dict[tuple[str, str], str] = {}
    query: dict[str, Any] = {"filter": chosen, "use_state_after": use_state_after}
    for number in range(3):
        alice.set_state(room, "m.room.topic", {"topic": str(number)})
        alice.say(room, "first")
        alice.set_state(room, "com.example.own", {"n": number}, "key")
        alice.say(room, "second")
        alice.set_state(room, "m.room.name", {"name": str(number)})
        answer = alice.sync(**query)
        section = answer["rooms"]["join"][room]
        state |= state_of(section[name]["events"]) | state_of(section["timeline"]["events"])
        assert state == state_of(alice.state(room))
        query["since"] = answer["next_batch"]


def test_news_that_nobody_wants_are_no_news(alice: Client, room: str) -> None:
    chosen = room_filter(room, timeline={"types": ["com.example"]}, state={"types": ["com.example"]})
    since = alice.sync()["next_batch"]
    alice.set_state(room, "m.room.topic", {"topic": "tea"})
    assert joined(alice, room, since=since, filter=chosen) is None


def test_left_rooms_are_told_when_asked_for(alice: Client, new_user: NewUser) -> None:
    guest = new_user()
    room = alice.create_room(preset="public_chat", name="then")
    guest.join(room)
    guest.leave(room)
    alice.set_state(room, "m.room.name", {"name": "now"})
    everything = json.dumps({"room": {"include_leave": True, "timeline": {"limit": 1}}})
    first = guest.sync(filter=everything)
    section = first["rooms"]["leave"][room]
    assert [event["state_key"] for event in section["timeline"]["events"]] == [guest.user_id]
    assert section["timeline"]["limited"] is True
    names = [event["content"] for event in section["state"]["events"] if event["type"] == "m.room.name"]
    assert names == [{"name": "then"}]
    since = first["next_batch"]
    assert not guest.sync(since=since, filter=everything)["rooms"]["leave"]
    again = guest.sync(since=since, filter=everything, full_state="true")["rooms"]["leave"]
    assert state_of(again[room]["state"]["events"]).keys() == state_of(guest.state(room)).keys()
    assert not guest.sync(since=since, full_state="true")["rooms"]["leave"]


def test_a_ban_after_the_leave_tells_nothing_more(alice: Client, bob: Client, shared_room: str) -> None:
    since = bob.sync()["next_batch"]
    bob.leave(shared_room)
    alice.set_state(shared_room, "m.room.topic", {"topic": "without Bob"})
    alice.must("POST", path_of("rooms", shared_room, "ban"), {"user_id": bob.user_id})
    section = bob.sync(since=since)["rooms"]["leave"][shared_room]
    events = section["timeline"]["events"]
    assert [event["content"]["membership"] for event in events] == ["leave", "ban"]
    assert section["state"]["events"] == []


def test_in_and_out_again_between_two_syncs(alice: Client, bob: Client) -> None:
    """The client has nothing of the room yet, so it is told all that it needs."""
    room = alice.create_room(preset="public_chat", topic="tea")
    since = bob.sync()["next_batch"]
    bob.join(room)
    alice.say(room, "hello")
    bob.leave(room)
    section = bob.sync(since=since, filter=room_filter(room, timeline={"limit": 1}))["rooms"]["leave"][room]
    assert ("m.room.topic", "") in state_of(section["state"]["events"])
    assert section["timeline"]["limited"] is True


def test_who_knocked_is_told_of_their_knock(alice: Client, bob: Client) -> None:
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    room = alice.create_room(initial_state=[rule], name="Tea")
    since = bob.sync()["next_batch"]
    bob.set_state(room, "m.room.member", {"membership": "knock"}, bob.user_id)
    told = bob.sync(since=since)
    [(room_id, section)] = told["rooms"]["knock"].items()
    assert (room_id, section.keys()) == (room, {"knock_state"})
    stripped = section["knock_state"]["events"]
    assert {frozenset(event) for event in stripped} == {frozenset({"content", "sender", "state_key", "type"})}
    assert {"m.room.create", "m.room.name", "m.room.join_rules"} <= {event["type"] for event in stripped}
    assert stripped[-1]["state_key"] == bob.user_id
    assert room in bob.sync(filter=room_filter(room))["rooms"]["knock"]
    assert not bob.sync(since=told["next_batch"])["rooms"]["knock"]
