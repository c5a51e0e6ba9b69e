"""The event nearest to a time: GET /rooms/{roomId}/timestamp_to_event."""

from typing import Any

import pytest

from tests.harness.client import V3, Client, Json, error_of, path_of
from tests.server.conftest import NewUser

NEWER = "/_matrix/client/v1"


def near(client: Client, room_id: str, ts: object, direction: str) -> Json:
    path = path_of("rooms", room_id, "timestamp_to_event")
    return client.under(NEWER).must("GET", path, ts=ts, dir=direction)


def refusal(client: Client, room_id: str, **query: Any) -> tuple[int, str]:
    path = path_of("rooms", room_id, "timestamp_to_event")
    return error_of(client.under(NEWER).call("GET", path, **query))


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_it_is_the_nearest_in_its_direction(alice: Client, room: str, step: int) -> None:
    for number in range(5):
        alice.say(room, str(number))
    history = [
        (event["origin_server_ts"], number, event["event_id"])
        for number, event in enumerate(alice.messages(room, dir="f", limit=100)["chunk"])
    ]
    for ts in {made + step for made, _, _ in history}:
        later = [event_id for made, _, event_id in sorted(history) if made >= ts]
        earlier = [event_id for made, _, event_id in sorted(history) if made <= ts]
        if later:
            assert near(alice, room, ts, "f")["event_id"] == later[0]
        if earlier:
            assert near(alice, room, ts, "b")["event_id"] == earlier[-1]


def test_it_is_told_with_its_time(alice: Client, room: str) -> None:
    event = alice.event(room, alice.say(room, "last"))
    found = near(alice, room, event["origin_server_ts"] + 60_000, "b")
    assert found == {"event_id": event["event_id"], "origin_server_ts": event["origin_server_ts"]}


def test_beyond_the_ends_there_is_none(alice: Client, room: str) -> None:
    assert refusal(alice, room, ts=0, dir="b") == (404, "M_NOT_FOUND")
    assert refusal(alice, room, ts=10**17, dir="f") == (404, "M_NOT_FOUND")
    assert near(alice, room, 0, "f") == near(alice, room, 1, "f")


def test_strangers_are_told_nothing(alice: Client, new_user: NewUser, room: str) -> None:
    stranger = new_user()
    assert refusal(stranger, room, ts=0, dir="f") == (403, "M_FORBIDDEN")
    assert refusal(stranger, "!no:where", ts=0, dir="f") == (403, "M_FORBIDDEN")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"dir": "f"}, "M_MISSING_PARAM"),
        ({"ts": 1}, "M_MISSING_PARAM"),
        ({"ts": 1, "dir": "up"}, "M_INVALID_PARAM"),
        ({"ts": -1, "dir": "f"}, "M_INVALID_PARAM"),
        ({"ts": "noon", "dir": "f"}, "M_INVALID_PARAM"),
    ],
)
def test_a_bad_query_is_refused(alice: Client, room: str, query: dict[str, Any], code: str) -> None:
    assert refusal(alice, room, **query) == (400, code)


def test_older_prefixes_do_not_have_it(alice: Client, room: str) -> None:
    path = path_of("rooms", room, "timestamp_to_event")
    assert error_of(alice.under(V3).call("GET", path, ts=0, dir="f")) == (404, "M_UNRECOGNIZED")
