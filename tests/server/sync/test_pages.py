"""Pages of history and what a filter does to them; where they begin and where they end."""

import json

import pytest

from tests.harness.client import Client, texts
from tests.server.conftest import every_prefix


@pytest.fixture
def talk(alice: Client, room: str) -> str:
    for number in range(15):
        alice.say(room, str(number))
    return room


@pytest.mark.parametrize(
    ("query", "chosen", "expected"),
    [
        ({}, {"limit": 12}, 12),
        ({"limit": 3}, {"limit": 12}, 3),
        ({"limit": 12}, {"limit": 3}, 3),
        ({"limit": 12}, {}, 12),
        ({}, {"limit": 0}, 1),
    ],
)
def test_the_smaller_limit_counts(
    alice: Client, talk: str, query: dict[str, int], chosen: dict[str, int], expected: int
) -> None:
    """A page of nothing would lead to itself, so there is no limit below one."""
    page = alice.messages(talk, filter=json.dumps(chosen), **query)
    assert len(page["chunk"]) == expected


def test_a_filter_for_other_rooms_leaves_nothing(alice: Client, talk: str) -> None:
    for chosen in ({"rooms": ["!other:localhost"]}, {"not_rooms": [talk]}):
        assert alice.messages(talk, filter=json.dumps(chosen)).keys() == {"start", "chunk"}
    assert texts(alice.messages(talk, limit=1, filter=json.dumps({"rooms": [talk]}))["chunk"]) == ["14"]


@every_prefix
@pytest.mark.requirement("G12")
def test_the_last_page_has_no_end(alice: Client, talk: str) -> None:
    page = alice.messages(talk, limit=1_000)
    assert page["chunk"][-1]["type"] == "m.room.create"
    assert page.keys() == {"start", "chunk"}
    assert "end" not in alice.messages(talk, dir="f", from_=page["start"])


@every_prefix
@pytest.mark.requirement("G12")
def test_the_page_that_is_full_at_the_end_has_none(alice: Client, talk: str) -> None:
    everything = alice.messages(talk, limit=1_000)["chunk"]
    assert "end" not in alice.messages(talk, limit=len(everything))
    assert "end" in alice.messages(talk, limit=len(everything) - 1)


@every_prefix
@pytest.mark.requirement("G04", "M12")
def test_for_who_left_the_newest_is_their_leave(alice: Client, bob: Client, shared_room: str) -> None:
    bob.say(shared_room, "bye")
    bob.leave(shared_room)
    alice.say(shared_room, "after")
    page = bob.messages(shared_room, limit=2)
    assert page["chunk"][0]["state_key"] == bob.user_id
    assert texts(page["chunk"]) == ["bye"]
    assert texts(bob.messages(shared_room, dir="f", from_=page["start"])["chunk"]) == []
