"""What a power levels event means, what its absence means, and what nonsense in it means."""

from typing import Any

import pytest

from projections.events import Event, event_from
from projections.room_versions import SUPPORTED, RoomVersion
from server.rooms.power_levels import ABOVE_ALL, PowerLevels, creators_of

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
V11, V12 = SUPPORTED["11"], SUPPORTED["12"]
CREATE = event_from(
    {
        "type": "m.room.create",
        "sender": ALICE,
        "room_id": "!room:example.org",
        "origin_server_ts": 1,
        "state_key": "",
        "content": {"creator": ALICE, "additional_creators": [BOB]},
    }
)

every_version = pytest.mark.parametrize("version", SUPPORTED.values(), ids=lambda version: version.name)
until_11 = pytest.mark.parametrize(
    "version",
    [version for version in SUPPORTED.values() if not version.creators_outrank_all],
    ids=lambda version: version.name,
)
with_text = pytest.mark.parametrize(
    "version",
    [version for version in SUPPORTED.values() if version.levels_may_be_text],
    ids=lambda version: version.name,
)

NO_LEVELS = [None, "50", 50.0, True, [50], {"level": 50}]
"""What may stand where a level is expected and is none."""


def levels(content: dict[str, Any] | None, version: RoomVersion = V11, create: Event = CREATE) -> PowerLevels:
    return PowerLevels(content, create, version)


def singles(known: PowerLevels) -> dict[str, int]:
    return {
        "ban": known.ban,
        "kick": known.kick,
        "redact": known.redact,
        "invite": known.invite,
        "notifications_room": known.notifications_room,
        "state": known.to_send("org.example.own", is_state=True),
        "message": known.to_send("org.example.own", is_state=False),
        "user": known.of(CAROL),
    }


@every_version
@pytest.mark.parametrize("content", [None, {}], ids=["no event", "empty event"])
def test_defaults_are_the_same_without_keys_and_without_event(
    content: dict[str, Any] | None, version: RoomVersion
) -> None:
    assert singles(levels(content, version)) == {
        "ban": 50,
        "kick": 50,
        "redact": 50,
        "invite": 0,
        "notifications_room": 50,
        "state": 50,
        "message": 0,
        "user": 0,
    }


@until_11
def test_creator_has_100_without_event(version: RoomVersion) -> None:
    known = levels(None, version)
    assert (known.of(ALICE), known.of(BOB)) == (100, 0)


@until_11
def test_creator_has_what_the_event_says(version: RoomVersion) -> None:
    known = levels({"users": {BOB: 100}}, version)
    assert (known.of(ALICE), known.of(BOB)) == (0, 100)


@pytest.mark.parametrize("content", [None, {}, {"users": {ALICE: 0, BOB: 0}, "users_default": -1}])
def test_creators_outrank_all_whatever_the_event_says(content: dict[str, Any] | None) -> None:
    known = levels(content, V12)
    assert (known.of(ALICE), known.of(BOB)) == (ABOVE_ALL, ABOVE_ALL)


def test_no_level_reaches_the_creators() -> None:
    known = levels({"users": {CAROL: 2**53 - 1}}, V12)
    assert known.of(CAROL) < known.of(ALICE)


def test_creators_outrank_all_without_any_additional_one() -> None:
    alone = event_from(
        {"type": "m.room.create", "sender": ALICE, "origin_server_ts": 1, "state_key": "", "content": {}}
    )
    assert creators_of(alone, V12) == (ALICE,)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("100", 100),
        ("000100", 100),
        ("+100", 100),
        ("-100", -100),
        (" 100 ", 100),
        ("\t -0100", -100),
        ("0", 0),
        ("9007199254740991", 2**53 - 1),
        ("0" * 5000 + "7", 7),
    ],
    ids=lambda value: str(value)[:20],
)
@with_text
def test_text_is_read_as_the_integer_it_spells(text: str, level: int, version: RoomVersion) -> None:
    content = {"users": {CAROL: text}, "events": {"m.room.name": text}, "notifications": {"room": text}}
    known = levels({**content, "ban": text}, version)
    found = [
        known.of(CAROL),
        known.to_send("m.room.name", is_state=True),
        known.notifications_room,
        known.ban,
    ]
    assert found == [level] * 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "ten",
        "1.0",
        "1e2",
        "1_000",
        "0x10",
        "- 1",
        "--1",
        "1 0",
        "٥",
        "9007199254740992",
        "9" * 9000,
    ],
    ids=lambda text: text[:20],
)
@with_text
def test_text_that_spells_no_integer_counts_as_missing(text: str, version: RoomVersion) -> None:
    assert levels({"users": {CAROL: text}, "users_default": 7}, version).of(CAROL) == 7


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


@every_version
def test_user_entry_beats_the_default(version: RoomVersion) -> None:
    known = levels({"users": {CAROL: 0}, "users_default": 50}, version)
    assert (known.of(CAROL), known.of("@dan:example.org")) == (0, 50)


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
        "users": {CAROL: value},
        "events": {"org.example.own": value},
        "notifications": {"room": value},
    }
    assert singles(levels(content)) == singles(levels({}))


@pytest.mark.parametrize("table", [None, 100, "users", [BOB]])
def test_tables_that_are_no_objects_count_as_missing(table: Any) -> None:
    content = dict.fromkeys(["users", "events", "notifications"], table)
    assert singles(levels(content)) == singles(levels({}))
