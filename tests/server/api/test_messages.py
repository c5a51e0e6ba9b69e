"""A room's history, page by page: GET /rooms/{roomId}/messages."""

from typing import Any

import pytest

from tests.harness.client import Client, error_of, path_of, texts
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

ALL = 100
SAID = [str(number) for number in range(25)]


@pytest.fixture
def talk(alice: Client, room: str) -> str:
    """A room in which more was said than fits on one page."""
    for text in SAID:
        alice.say(room, text)
    return room


def ids(chunk: Any) -> list[str]:
    return [event["event_id"] for event in chunk]


def pages(client: Client, room_id: str, **query: object) -> list[Any]:
    """All pages, each begun where the last one says that it ended."""
    found = [client.messages(room_id, **query)]
    while "end" in found[-1]:
        found.append(client.messages(room_id, **query | {"from": found[-1]["end"]}))
        assert len(found) <= ALL
    return found


@every_prefix
@requirement("G06")
def test_backwards_the_newest_comes_first(alice: Client, talk: str) -> None:
    page = alice.messages(talk)
    assert page.keys() == {"start", "end", "chunk"}
    assert texts(page["chunk"]) == SAID[:-11:-1]


@every_prefix
@requirement("G06", "G12")
def test_forwards_the_oldest_comes_first(alice: Client, talk: str) -> None:
    page = alice.messages(talk, dir="f", limit=30)
    assert page["chunk"][0]["type"] == "m.room.create"
    assert texts(page["chunk"])[:3] == SAID[:3]


@every_prefix
@requirement("G06")
def test_state_events_are_part_of_history(alice: Client, room: str) -> None:
    event_id = alice.set_state(room, "m.room.topic", {"topic": "history"})
    [event] = alice.messages(room, limit=1)["chunk"]
    assert (event["event_id"], event["state_key"]) == (event_id, "")


@pytest.mark.parametrize("limit", [1, 4, 7, 1_000])
@pytest.mark.parametrize("direction", ["b", "f"])
@requirement("G06", "G12")
def test_pages_have_every_event_once(alice: Client, talk: str, direction: str, limit: int) -> None:
    found = pages(alice, talk, dir=direction, limit=limit)
    walked = [event for page in found for event in page["chunk"]]
    assert len(set(ids(walked))) == len(walked)
    assert texts(walked) == (SAID if direction == "f" else SAID[::-1])
    assert {len(page["chunk"]) for page in found[:-1]} <= {limit}
    assert walked[-1 if direction == "b" else 0]["type"] == "m.room.create"


@every_prefix
@requirement("G06")
def test_start_is_the_token_given(alice: Client, talk: str) -> None:
    first = alice.messages(talk, limit=5)
    second = alice.messages(talk, limit=5, from_=first["end"])
    assert second["start"] == first["end"]


@requirement("G12")
def test_a_token_stands_between_two_events(alice: Client, talk: str) -> None:
    """Whatever one reads backwards from a token, the rest is what one reads forwards from it."""
    everything = ids(pages(alice, talk, dir="f", limit=ALL)[0]["chunk"])
    token = alice.messages(talk, limit=5)["end"]
    before = ids(alice.messages(talk, from_=token, limit=ALL)["chunk"])
    after = ids(alice.messages(talk, dir="f", from_=token, limit=ALL)["chunk"])
    assert before[::-1] + after == everything
    assert len(after) == 5


@requirement("G12")
def test_a_page_ends_where_it_is_told_to(alice: Client, talk: str) -> None:
    far = alice.messages(talk, limit=5)["end"]
    backwards = alice.messages(talk, limit=ALL, to=far)
    assert texts(backwards["chunk"]) == SAID[:-6:-1]
    forwards = alice.messages(talk, dir="f", limit=ALL, to=far)
    assert texts(forwards["chunk"]) == SAID[:-5]
    assert "end" not in backwards.keys() | forwards.keys()


@requirement("G12")
def test_who_reached_the_end_reads_on_with_what_came_later(alice: Client, room: str) -> None:
    since = alice.messages(room, limit=1)["start"]
    assert alice.messages(room, dir="f", from_=since)["chunk"] == []
    alice.say(room, "later")
    assert texts(alice.messages(room, dir="f", from_=since)["chunk"]) == ["later"]


@requirement("G12")
def test_what_is_said_meanwhile_moves_no_page(alice: Client, talk: str) -> None:
    first = alice.messages(talk, limit=5)
    alice.say(talk, "meanwhile")
    second = alice.messages(talk, limit=5, from_=first["end"])
    assert texts(second["chunk"]) == SAID[-6:-11:-1]


@every_prefix
def test_a_filter_chooses_events(alice: Client, bob: Client, shared_room: str) -> None:
    alice.say(shared_room, "by Alice")
    bob.say(shared_room, "by Bob")

    def chosen(text: str) -> list[str]:
        return texts(alice.messages(shared_room, limit=ALL, filter=text)["chunk"])

    assert chosen('{"types": ["m.room.message"]}') == ["by Bob", "by Alice"]
    assert chosen(f'{{"senders": ["{bob.user_id}"]}}') == ["by Bob"]
    assert chosen(f'{{"not_senders": ["{bob.user_id}"]}}') == ["by Alice"]
    assert chosen('{"not_types": ["m.room.*"]}') == []


def test_a_filtered_page_is_filled(alice: Client, talk: str) -> None:
    """The limit counts what is shown, not what was looked at."""
    found = alice.messages(talk, dir="f", limit=3, filter='{"types": ["m.room.message"]}')
    assert texts(found["chunk"]) == SAID[:3]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"dir": "up"}, "M_INVALID_PARAM"),
        ({"dir": "b", "limit": "many"}, "M_INVALID_PARAM"),
        ({"dir": "b", "limit": "-1"}, "M_INVALID_PARAM"),
        ({"dir": "b", "limit": "1.5"}, "M_INVALID_PARAM"),
        ({"dir": "b", "from_": "START"}, "M_INVALID_PARAM"),
        ({"dir": "b", "from_": ""}, "M_INVALID_PARAM"),
        ({"dir": "b", "from_": "s99999999999999"}, "M_INVALID_PARAM"),
        ({"dir": "b", "to": "t1"}, "M_INVALID_PARAM"),
        ({"dir": "b", "filter": "{"}, "M_INVALID_PARAM"),
    ],
)
@every_prefix
@requirement("R06")
def test_a_bad_query_is_refused(alice: Client, room: str, query: dict[str, Any], code: str) -> None:
    assert error_of(alice.call("GET", path_of("rooms", room, "messages"), **query)) == (400, code)


def test_an_enormous_limit_is_cut(alice: Client, talk: str) -> None:
    assert texts(alice.messages(talk, limit=10**17)["chunk"]) == SAID[::-1]


@every_prefix
@requirement("G04", "M12")
def test_who_left_reads_until_the_leave(alice: Client, bob: Client, shared_room: str) -> None:
    alice.say(shared_room, "before")
    bob.leave(shared_room)
    alice.say(shared_room, "after")
    chunk = bob.messages(shared_room, limit=ALL)["chunk"]
    assert texts(chunk) == ["before"]
    assert (chunk[0]["state_key"], chunk[0]["content"]["membership"]) == (bob.user_id, "leave")
