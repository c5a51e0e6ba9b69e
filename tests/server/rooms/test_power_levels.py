"""What a power levels event means, what its absence means, and what nonsense in it means."""

from typing import Any

import pytest

from projections.events import event_from
from server.rooms.power_levels import PowerLevels

ALICE, BOB = "@alice:example.org", "@bob:example.org"
CREATE = event_from(
    {
        "type": "m.room.create",
        "sender": ALICE,
        "room_id": "!room:example.org",
        "origin_server_ts": 1,
        "state_key": "",
        "content": {"room_version": "11"},
    }
)

NO_LEVELS = [None, "50", 50.0, True, [50], {"level": 50}]
"""What may stand where a level is expected and is none."""


def levels(content: dict[str, Any] | None) -> PowerLevels:
    return PowerLevels(content, CREATE)


def singles(known: PowerLevels) -> dict[str, int]:
    return {
        "ban": known.ban,
        "kick": known.kick,
        "redact": known.redact,
        "invite": known.invite,
        "notifications_room": known.notifications_room,
        "state": known.to_send("org.example.own", is_state=True),
        "message": known.to_send("org.example.own", is_state=False),
        "user": known.of(BOB),
    }


@pytest.mark.parametrize("content", [None, {}], ids=["no event", "empty event"])
def test_defaults_are_the_same_without_keys_and_without_event(content: dict[str, Any] | None) -> None:
    assert singles(levels(content)) == {
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0,
        "notifications_room": 50,
        "state": 50,
        "message": 0,
        "user": 0,
    }


def test_creator_has_100_without_event() -> None:
    assert levels(None).of(ALICE) == 100


def test_creator_has_what_the_event_says() -> None:
    assert levels({"users": {BOB: 100}}).of(ALICE) == 0


def test_every_value_can_be_set() -> None:
    content = {
        "ban": 1,
        "kick": 2,
        "redact": 3,
        "invite": 4,
        "notifications": {"room": 5},
        "state_default": 6,
        "events_default": 7,
        "users_default": -8,
    }
    assert singles(levels(content)) == {
        "ban": 1,
        "kick": 2,
        "redact": 3,
        "invite": 4,
        "notifications_room": 5,
        "state": 6,
        "message": 7,
        "user": -8,
    }


def test_user_entry_beats_the_default() -> None:
    known = levels({"users": {BOB: 0}, "users_default": 50})
    assert (known.of(BOB), known.of(ALICE)) == (0, 50)


@pytest.mark.parametrize("is_state", [True, False])
def test_event_entry_beats_both_defaults(is_state: bool) -> None:
    known = levels({"events": {"m.room.name": 30}, "state_default": 60, "events_default": 10})
    assert known.to_send("m.room.name", is_state=is_state) == 30


@pytest.mark.parametrize("value", NO_LEVELS)
def test_single_values_that_are_no_levels_count_as_missing(value: Any) -> None:
    names = ["ban", "kick", "redact", "invite", "state_default", "events_default", "users_default"]
    assert singles(levels(dict.fromkeys(names, value))) == singles(levels({}))


@pytest.mark.parametrize("value", NO_LEVELS)
def test_entries_that_are_no_levels_count_as_missing(value: Any) -> None:
    content = {
        "users": {BOB: value},
        "events": {"org.example.own": value},
        "notifications": {"room": value},
    }
    assert singles(levels(content)) == singles(levels({}))


@pytest.mark.parametrize("table", [None, 100, "users", [BOB]])
def test_tables_that_are_no_objects_count_as_missing(table: Any) -> None:
    content = dict.fromkeys(["users", "events", "notifications"], table)
    assert singles(levels(content)) == singles(levels({}))
