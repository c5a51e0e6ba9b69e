"""GET /sync: what a client that follows along is told, and that it misses nothing and hears nothing twice."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.harness.client import Client, Json, error_of, path_of, texts
from tests.server.conftest import NewUser, every_prefix


def only(room_id: str, **timeline: object) -> str:
    """A filter for one room; `timeline` is the filter of its events."""
    return json.dumps({"room": {"rooms": [room_id], "timeline": timeline}})


def joined(client: Client, room_id: str, **query: object) -> Json:
    """The section of a joined room; `None` if there is nothing to say about it."""
    return client.sync(**{"filter": only(room_id), **query})["rooms"]["join"].get(room_id)


def ids(events: Iterable[Json]) -> list[str]:
    return [event["event_id"] for event in events]


def keys(events: Iterable[Json]) -> list[tuple[str, str]]:
    return [(event["type"], event["state_key"]) for event in events]


def all_ids(client: Client, room_id: str) -> list[str]:
    """Every event of a room, oldest first."""
    return ids(client.messages(room_id, dir="f", limit=1_000)["chunk"])


@every_prefix
def test_a_new_user_has_nothing_to_hear(new_user: NewUser) -> None:
    answer = new_user().sync()
    assert answer.pop("next_batch")
    assert answer == {
        "rooms": {"join": {}, "invite": {}, "knock": {}, "leave": {}},
        "account_data": {"events": []},
        "presence": {"events": []},
        "to_device": {"events": []},
        "device_lists": {"changed": [], "left": []},
        "device_one_time_keys_count": {"signed_curve25519": 0},
        "device_unused_fallback_key_types": [],
    }


@every_prefix
def test_every_section_of_a_room_has_its_form(alice: Client, bob: Client, shared_room: str) -> None:
    for section in (joined(bob, shared_room), joined(bob, shared_room, use_state_after="true")):
        state = {"state", "state_after"} & section.keys()
        assert len(state) == 1
        assert section.keys() - state == {
            "timeline",
            "account_data",
            "ephemeral",
            "summary",
            "unread_notifications",
        }
        assert section["account_data"] == section["ephemeral"] == {"events": []}
        assert section["timeline"].keys() == {"events", "limited", "prev_batch"}
    since = bob.now()
    bob.leave(shared_room)
    left = bob.sync(since=since)["rooms"]["leave"][shared_room]
    assert left.keys() == {"timeline", "state", "account_data"}


@every_prefix
def test_every_room_is_in_its_section(alice: Client, bob: Client, new_user: NewUser) -> None:
    guest = new_user()
    inside, invited, left, banned, refused = (alice.create_room(preset="public_chat") for _ in range(5))
    for room in (inside, left, banned):
        guest.join(room)
    for room in (invited, refused):
        alice.invite(room, guest.user_id)
    guest.leave(left)
    guest.leave(refused)
    alice.must("POST", path_of("rooms", banned, "ban"), {"user_id": guest.user_id})
    first = guest.sync()["rooms"]
    assert {name: list(rooms) for name, rooms in first.items()} == {
        "join": [inside],
        "invite": [invited],
        "knock": [],
        "leave": [],
    }
    with_leave = guest.sync(filter='{"room": {"include_leave": true}}')["rooms"]
    assert set(with_leave["leave"]) == {left, banned, refused}


@every_prefix
def test_a_short_room_is_told_whole(alice: Client, room: str) -> None:
    alice.say(room, "hello")
    section = joined(alice, room)
    assert ids(section["timeline"]["events"]) == all_ids(alice, room)
    assert (section["timeline"]["limited"], section["state"]["events"]) == (False, [])
    assert section["unread_notifications"] == {"highlight_count": 0, "notification_count": 0}
    earlier = alice.messages(room, from_=section["timeline"]["prev_batch"])
    assert earlier["chunk"] == []


@every_prefix
def test_the_form_is_todays_under_every_prefix(alice: Client, room: str) -> None:
    events = joined(alice, room)["timeline"]["events"]
    today = {"content", "event_id", "origin_server_ts", "sender", "state_key", "type", "unsigned"}
    assert all(event.keys() == today for event in events)


@pytest.mark.parametrize("limit", [1, 3, 20])
@every_prefix
def test_a_long_room_is_cut_where_prev_batch_says(alice: Client, room: str, limit: int) -> None:
    said = [alice.say(room, str(number)) for number in range(25)]
    timeline = joined(alice, room, filter=only(room, limit=limit))["timeline"]
    assert (ids(timeline["events"]), timeline["limited"]) == (said[-limit:], True)
    earlier: list[str] = []
    page = {"end": timeline["prev_batch"]}
    while "end" in page:
        page = alice.messages(room, from_=page["end"], limit=4)
        earlier += ids(page["chunk"])
    assert earlier[::-1] + ids(timeline["events"]) == all_ids(alice, room)


def test_without_a_limit_there_are_twenty(alice: Client, room: str) -> None:
    for number in range(25):
        alice.say(room, str(number))
    assert len(joined(alice, room)["timeline"]["events"]) == 20


@every_prefix
def test_state_is_as_it_was_before_the_timeline(alice: Client, room: str) -> None:
    before = alice.set_state(room, "m.room.topic", {"topic": "before"})
    alice.say(room, "hello")
    after = alice.set_state(room, "m.room.topic", {"topic": "after"})
    new = alice.set_state(room, "com.example.new", {})
    section = joined(alice, room, filter=only(room, limit=3))
    stated = {
        key: event["event_id"]
        for key, event in zip(keys(section["state"]["events"]), section["state"]["events"], strict=True)
    }
    assert stated["m.room.topic", ""] == before
    assert ("com.example.new", "") not in stated
    assert ids(section["timeline"]["events"])[1:] == [after, new]
    assert ("m.room.create", "") in stated


@every_prefix
def test_only_news_is_told(alice: Client, room: str) -> None:
    other = alice.create_room()
    since = alice.now()
    said = alice.say(room, "news")
    answer = alice.sync(since=since)
    assert list(answer["rooms"]["join"]) == [room]
    section = answer["rooms"]["join"][room]
    assert ids(section["timeline"]["events"]) == [said]
    assert (section["timeline"]["limited"], section["state"]["events"]) == (False, [])
    assert section["summary"] == {}
    assert other not in answer["rooms"]["join"]


@every_prefix
def test_an_answer_without_news_goes_on(alice: Client, room: str) -> None:
    since = alice.now()
    for _ in range(2):
        empty = alice.sync(since=since)
        assert not any(empty["rooms"].values())
        since = empty["next_batch"]
    said = alice.say(room, "at last")
    assert ids(joined(alice, room, since=since)["timeline"]["events"]) == [said]


def test_the_same_token_tells_the_same(alice: Client, room: str) -> None:
    """An answer may be lost on its way, and is asked for again."""
    since = alice.now()
    alice.say(room, "hello")
    first, again = (joined(alice, room, since=since) for _ in range(2))
    assert ids(first["timeline"]["events"]) == ids(again["timeline"]["events"])


def test_the_state_of_a_gap_is_told(alice: Client, room: str) -> None:
    since = alice.now()
    alice.set_state(room, "m.room.topic", {"topic": "first"})
    second = alice.set_state(room, "m.room.topic", {"topic": "second"})
    named = alice.set_state(room, "m.room.name", {"name": "named"})
    said = [alice.say(room, str(number)) for number in range(2)]
    section = joined(alice, room, since=since, filter=only(room, limit=2))
    assert (ids(section["timeline"]["events"]), section["timeline"]["limited"]) == (said, True)
    assert ids(section["state"]["events"]) == [second, named]


def test_a_gap_ends_where_the_last_answer_did(alice: Client, room: str) -> None:
    since = alice.now()
    said = [alice.say(room, str(number)) for number in range(9)]
    timeline = joined(alice, room, since=since, filter=only(room, limit=2))["timeline"]
    gap = alice.messages(room, from_=timeline["prev_batch"], to=since, limit=100)
    assert ids(gap["chunk"])[::-1] + ids(timeline["events"]) == said


def scripted_steps(alice: Client, bob: Client, room: str) -> list[Callable[[], object]]:
    """A little of everything that can happen in a room."""
    return [
        lambda: alice.say(room, "hello"),
        lambda: alice.set_state(room, "m.room.topic", {"topic": "one"}),
        lambda: bob.join(room),
        lambda: bob.say(room, "hi"),
        lambda: alice.set_state(room, "m.room.topic", {"topic": "two"}),
        lambda: alice.set_state(room, "com.example.own", {"n": 1}, "key"),
        lambda: bob.leave(room),
        lambda: alice.set_state(room, "m.room.topic", {"topic": "three"}),
        lambda: bob.join(room),
        lambda: alice.set_state(room, "com.example.own", {"n": 2}, "key"),
        lambda: bob.say(room, "bye"),
        lambda: alice.set_state(room, "m.room.name", {"name": "end"}),
    ]


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
@pytest.mark.parametrize("interval", [1, 3, 4, 12])
def test_a_client_that_folds_has_the_room(alice: Client, bob: Client, limit: int, interval: int) -> None:
    """State, then timeline, answer after answer: what comes out is the room, and every event came once."""
    room = alice.create_room(preset="public_chat")
    state: dict[tuple[str, str], str] = {}
    heard: list[str] = []
    since: dict[str, str] = {}
    steps = scripted_steps(alice, bob, room)
    for number in range(0, len(steps) + 1, interval):
        answer = alice.sync(**since, filter=only(room, limit=limit))
        section = answer["rooms"]["join"][room]
        timeline = section["timeline"]
        if timeline["limited"]:
            gap = alice.messages(
                room, from_=timeline["prev_batch"], limit=100, **({"to": since["since"]} if since else {})
            )
            heard += ids(gap["chunk"])[::-1]
        heard += ids(timeline["events"])
        for event in (*section["state"]["events"], *timeline["events"]):
            if "state_key" in event:
                state[event["type"], event["state_key"]] = event["event_id"]
        assert state == {
            (event["type"], event["state_key"]): event["event_id"] for event in alice.state(room)
        }
        since = {"since": answer["next_batch"]}
        for step in steps[number : number + interval]:
            step()
    assert len(set(heard)) == len(heard)
    assert heard == all_ids(alice, room)[: len(heard)]


@every_prefix
def test_a_room_newly_joined_is_told_like_a_first_one(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    for number in range(5):
        alice.say(room, str(number))
    since = bob.now()
    bob.join(room)
    section = joined(bob, room, since=since, filter=only(room, limit=3))
    timeline = section["timeline"]
    assert texts(timeline["events"]) == ["3", "4"]
    assert timeline["events"][-1]["state_key"] == bob.user_id
    assert timeline["limited"] is True
    assert texts(bob.messages(room, from_=timeline["prev_batch"], limit=3)["chunk"]) == ["2", "1", "0"]
    assert {("m.room.create", ""), ("m.room.member", alice.user_id)} <= set(keys(section["state"]["events"]))
    assert section["summary"]["m.joined_member_count"] == 2


def test_a_newcomer_hears_no_more_than_may_be_seen(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    alice.set_state(room, "m.room.history_visibility", {"history_visibility": "joined"})
    alice.say(room, "among us")
    since = bob.now()
    bob.join(room)
    alice.say(room, "welcome")
    assert texts(joined(bob, room, since=since)["timeline"]["events"]) == ["welcome"]


@every_prefix
def test_an_invitation_is_told_once(alice: Client, bob: Client, room: str) -> None:
    since = bob.now()
    alice.invite(room, bob.user_id)
    told = bob.sync(since=since)
    assert list(told["rooms"]["invite"]) == [room]
    [own] = [
        event
        for event in told["rooms"]["invite"][room]["invite_state"]["events"]
        if event["type"] == "m.room.member"
    ]
    assert (own["state_key"], own["sender"]) == (bob.user_id, alice.user_id)
    alice.say(room, "not for guests")
    assert not any(bob.sync(since=told["next_batch"])["rooms"].values())
    assert room in bob.sync(filter=only(room))["rooms"]["invite"]


@every_prefix
def test_an_accepted_invitation_is_a_joined_room(alice: Client, bob: Client, room: str) -> None:
    since = bob.now()
    alice.invite(room, bob.user_id)
    bob.join(room)
    told = bob.sync(since=since)["rooms"]
    assert (list(told["join"]), list(told["invite"])) == ([room], [])


@pytest.mark.parametrize("how", ["refused", "taken back", "banned"])
@every_prefix
def test_an_invitation_that_ended_is_told_as_left_once(
    alice: Client, bob: Client, room: str, how: str
) -> None:
    alice.invite(room, bob.user_id)
    since = bob.now()
    if how == "refused":
        bob.leave(room)
    else:
        call = {"taken back": "kick", "banned": "ban"}[how]
        alice.must("POST", path_of("rooms", room, call), {"user_id": bob.user_id})
    told = bob.sync(since=since)
    assert not told["rooms"]["join"]
    assert not told["rooms"]["invite"]
    [section] = told["rooms"]["leave"].values()
    [event] = section["timeline"]["events"]
    membership = "ban" if how == "banned" else "leave"
    assert (event["state_key"], event["content"]["membership"]) == (bob.user_id, membership)
    assert section["state"]["events"] == []  # nothing of a room that one was never in
    assert not any(bob.sync(since=told["next_batch"])["rooms"].values())


@pytest.mark.parametrize("how", ["left", "kicked", "banned"])
@every_prefix
def test_a_room_is_told_as_left_once_and_up_to_the_leave(
    alice: Client, bob: Client, shared_room: str, how: str
) -> None:
    since = bob.now()
    alice.say(shared_room, "before")
    if how == "left":
        bob.leave(shared_room)
    else:
        call = {"kicked": "kick", "banned": "ban"}[how]
        alice.must("POST", path_of("rooms", shared_room, call), {"user_id": bob.user_id})
    alice.say(shared_room, "after")
    told = bob.sync(since=since)
    assert not told["rooms"]["join"]
    timeline = told["rooms"]["leave"][shared_room]["timeline"]
    assert texts(timeline["events"]) == ["before"]
    assert timeline["events"][-1]["state_key"] == bob.user_id
    alice.say(shared_room, "long after")
    assert not any(bob.sync(since=told["next_batch"])["rooms"].values())


def test_a_left_room_is_told_again_when_joined(alice: Client, bob: Client, shared_room: str) -> None:
    bob.leave(shared_room)
    since = bob.now()
    alice.say(shared_room, "meanwhile")
    bob.join(shared_room)
    section = joined(bob, shared_room, since=since)
    assert texts(section["timeline"]["events"]) == ["meanwhile"]
    assert section["timeline"]["limited"] is True


def test_who_left_and_came_back_lost_nothing(alice: Client, bob: Client, shared_room: str) -> None:
    since = bob.now()
    alice.say(shared_room, "before")
    bob.leave(shared_room)
    alice.say(shared_room, "meanwhile")
    bob.join(shared_room)
    told = bob.sync(since=since)["rooms"]
    assert not told["leave"]
    assert texts(told["join"][shared_room]["timeline"]["events"]) == ["before", "meanwhile"]


@every_prefix
def test_full_state_tells_all_state_at_once(alice: Client, bob: Client, shared_room: str) -> None:
    quiet = bob.create_room()
    since = bob.now()
    said = alice.say(shared_room, "news")
    answer = bob.sync(since=since, full_state="true", timeout=30_000)["rooms"]["join"]
    news, no_news = answer[shared_room], answer[quiet]
    assert ids(news["timeline"]["events"]) == [said]
    assert len(news["state"]["events"]) == len(bob.state(shared_room))
    assert no_news["timeline"]["events"] == []
    assert keys(no_news["state"]["events"]) == keys(bob.state(quiet))


@every_prefix
def test_an_event_ends_the_waiting(alice: Client, bob: Client, shared_room: str) -> None:
    since = bob.now()
    waiting = bob.begin("/sync", since=since, timeout=30_000)
    assert not waiting.done()
    said = alice.say(shared_room, "news")
    section = waiting.result(10).json()["rooms"]["join"][shared_room]
    assert ids(section["timeline"]["events"]) == [said]


@pytest.mark.parametrize("news", ["invited", "joined elsewhere", "kicked"])
def test_ones_own_membership_ends_the_waiting(alice: Client, bob: Client, room: str, news: str) -> None:
    public = alice.create_room(preset="public_chat")
    if news == "kicked":
        bob.join(public)
    waiting = bob.begin("/sync", since=bob.now(), timeout=30_000)
    if news == "invited":
        alice.invite(room, bob.user_id)
    elif news == "joined elsewhere":
        bob.join(public)
    else:
        alice.must("POST", path_of("rooms", public, "kick"), {"user_id": bob.user_id})
    rooms = waiting.result(10).json()["rooms"]
    section, told = {
        "invited": ("invite", room),
        "joined elsewhere": ("join", public),
        "kicked": ("leave", public),
    }[news]
    assert list(rooms[section]) == [told]


def test_a_room_just_joined_is_waited_for_too(alice: Client, bob: Client) -> None:
    room = alice.create_room(preset="public_chat")
    bob.sync()
    bob.join(room)
    waiting = bob.begin("/sync", since=bob.now(), timeout=30_000)
    alice.say(room, "news")
    assert texts(waiting.result(10).json()["rooms"]["join"][room]["timeline"]["events"]) == ["news"]


def test_what_is_not_for_one_does_not_end_the_waiting(alice: Client, bob: Client, room: str) -> None:
    waiting = bob.begin("/sync", since=bob.now(), timeout=300)
    alice.say(room, "among ourselves")
    answer = waiting.result(10).json()
    assert not any(answer["rooms"].values())
    assert not any(bob.sync(since=answer["next_batch"])["rooms"].values())


def test_what_is_filtered_out_does_not_end_the_waiting(alice: Client, bob: Client, shared_room: str) -> None:
    wanted = only(shared_room, types=["com.example.wanted"])
    waiting = bob.begin("/sync", since=bob.now(), timeout=30_000, filter=wanted)
    alice.say(shared_room, "unwanted")
    assert not waiting.done()
    event_id = alice.send(shared_room, {}, event_type="com.example.wanted")
    timeline = waiting.result(10).json()["rooms"]["join"][shared_room]["timeline"]
    assert ids(timeline["events"]) == [event_id]


@every_prefix
def test_without_news_the_time_runs_out(alice: Client) -> None:
    since = alice.now()
    begun = time.monotonic()
    empty = alice.sync(since=since, timeout=200)
    assert 0.2 <= time.monotonic() - begun < 5
    assert not any(empty["rooms"].values())
    assert joined(alice, "!nowhere:localhost", since=empty["next_batch"]) is None


def test_many_wait_for_one_event(alice: Client, bob: Client, shared_room: str) -> None:
    polls = [client.begin("/sync", since=client.now(), timeout=30_000) for client in (alice, bob, bob, bob)]
    said = bob.say(shared_room, "to all")
    for poll in polls:
        section = poll.result(10).json()["rooms"]["join"][shared_room]
        assert ids(section["timeline"]["events"]) == [said]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"since": "s99999999999999"}, 400),
        ({"since": "s1.70000"}, 400),
        ({"since": "x"}, 400),
        ({"since": "-1"}, 400),
        ({"since": "s١"}, 400),
        ({"timeout": "-1"}, 400),
        ({"timeout": "soon"}, 400),
        ({"timeout": "9" * 30}, 400),
        ({"full_state": "maybe"}, 400),
        ({"filter": "{"}, 400),
        ({"filter": "[]"}, 400),
        ({"filter": "66696p746572"}, 400),
        ({"filter": '{"room": []}'}, 400),
        ({"filter": '{"room": {"timeline": {"limit": "many"}}}'}, 400),
        ({"filter": '{"room": {"timeline": {"types": "m.room.message"}}}'}, 400),
        ({"filter": "{" + '"a":{' * 1_000}, 400),
    ],
)
@every_prefix
def test_a_bad_query_is_refused(alice: Client, query: dict[str, Any], status: int) -> None:
    code = {400: "M_INVALID_PARAM", 404: "M_NOT_FOUND"}[status]
    assert error_of(alice.call("GET", "/sync", **query)) == (status, code)


def test_an_empty_since_is_none(alice: Client, room: str) -> None:
    assert joined(alice, room, since="")["timeline"]["events"]


@every_prefix
def test_every_token_begins_a_sync(alice: Client, room: str) -> None:
    tokens = [
        alice.must("GET", "/events")["end"],
        alice.must("GET", "/initialSync", limit=1)["end"],
        alice.messages(room, limit=1)["start"],
    ]
    said = alice.say(room, "news")
    for token in tokens:
        assert ids(joined(alice, room, since=token)["timeline"]["events"]) == [said]


def test_rooms_can_be_left_out(alice: Client, room: str) -> None:
    other = alice.create_room()
    without = json.dumps({"room": {"rooms": [room, other], "not_rooms": [room]}})
    assert list(alice.sync(filter=without)["rooms"]["join"]) == [other]


def test_a_filter_chooses_state_and_timeline_apart(alice: Client, room: str) -> None:
    alice.set_state(room, "m.room.topic", {"topic": "topic"})
    alice.say(room, "hello")
    chosen = {"timeline": {"types": ["m.room.message"], "limit": 1}, "state": {"types": ["m.room.topic"]}}
    section = joined(alice, room, filter=json.dumps({"room": {"rooms": [room], **chosen}}))
    assert texts(section["timeline"]["events"]) == ["hello"]
    assert keys(section["state"]["events"]) == [("m.room.topic", "")]


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"types": ["m.room.*"]}, ["by Alice", "by Bob"]),
        ({"senders": ["@bob:localhost"]}, ["by Bob"]),
        ({"not_senders": ["@bob:localhost"]}, ["by Alice"]),
        ({"senders": ["@bob:localhost"], "not_senders": ["@bob:localhost"]}, []),
        ({"types": []}, []),
        ({"contains_url": True}, []),
    ],
)
def test_a_filter_chooses_events(
    alice: Client, bob: Client, shared_room: str, chosen: dict[str, object], expected: list[str]
) -> None:
    alice.say(shared_room, "by Alice")
    bob.say(shared_room, "by Bob")
    section = joined(alice, shared_room, filter=only(shared_room, **chosen))
    assert texts(section["timeline"]["events"]) == expected


def test_the_summary_names_a_room_without_a_name(alice: Client, new_user: NewUser) -> None:
    guest, invited = new_user(), new_user()
    room = alice.create_room(preset="public_chat", invite=[invited.user_id])
    guest.join(room)
    summary = joined(alice, room)["summary"]
    assert summary == {
        "m.heroes": [invited.user_id, guest.user_id],
        "m.joined_member_count": 2,
        "m.invited_member_count": 1,
    }
    alice.set_state(room, "m.room.name", {"name": "Tea"})
    assert "m.heroes" not in joined(alice, room)["summary"]


def test_the_summary_follows_the_members(alice: Client, bob: Client, shared_room: str) -> None:
    since = alice.now()
    bob.leave(shared_room)
    summary = joined(alice, shared_room, since=since)["summary"]
    assert (summary["m.joined_member_count"], summary["m.heroes"]) == (1, [bob.user_id])
