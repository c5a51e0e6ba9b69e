"""To replace a room by one of another version: what the new one begins with, and what becomes of the old."""

from typing import Any

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.server.conftest import every_prefix

VERSIONS = ["6", "9", "10", "11", "12"]


def upgrade(client: Client, room: str, **body: object) -> str:
    answer = client.must("POST", path_of("rooms", room, "upgrade"), {"new_version": "11"} | body)
    assert answer.keys() == {"replacement_room"}
    new: str = answer["replacement_room"]
    return new


def content(client: Client, room: str, event_type: str) -> Any:
    return client.must("GET", path_of("rooms", room, "state", event_type))


@pytest.fixture
def old(alice: Client, bob: Client) -> str:
    """A room with some state, and Bob in it as a moderator."""
    room = alice.create_room(
        name="Tea",
        topic="Earl Grey",
        preset="public_chat",
        creation_content={"type": "com.example.tea", "m.federate": False},
        room_version="10",
    )
    bob.join(room)
    levels = content(alice, room, "m.room.power_levels")
    alice.set_state(room, "m.room.power_levels", levels | {"users": {alice.user_id: 100, bob.user_id: 50}})
    alice.set_state(room, "m.room.encryption", {"algorithm": "m.megolm.v1.aes-sha2"})
    alice.set_state(room, "com.example.state", {"not": "copied"})
    return room


@every_prefix
def test_each_room_names_the_other(alice: Client, old: str) -> None:
    new = upgrade(alice, old)
    [tombstone] = [event for event in alice.state(old) if event["type"] == "m.room.tombstone"]
    assert tombstone["content"]["replacement_room"] == new
    assert tombstone["content"]["body"]
    predecessor = content(alice, new, "m.room.create")["predecessor"]
    assert predecessor == {"room_id": old, "event_id": tombstone["event_id"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_room_goes_to_any_version(alice: Client, old: str, version: str) -> None:
    new = upgrade(alice, old, new_version=version)
    assert content(alice, new, "m.room.create")["room_version"] == version
    assert content(alice, old, "m.room.tombstone")["replacement_room"] == new
    assert alice.say(new, "hello")


def test_a_hashed_id_cannot_name_its_tombstone(alice: Client, old: str) -> None:
    new = upgrade(alice, old, new_version="12")
    assert content(alice, new, "m.room.create")["predecessor"] == {"room_id": old}


def test_the_new_room_begins_like_the_old(alice: Client, old: str) -> None:
    new = upgrade(alice, old)
    created = content(alice, new, "m.room.create")
    assert (created["type"], created["m.federate"]) == ("com.example.tea", False)
    shown = {event["type"]: event["content"] for event in alice.state(new) if event["state_key"] == ""}
    for event_type in ("name", "topic", "join_rules", "history_visibility", "guest_access", "encryption"):
        assert shown[f"m.room.{event_type}"] == content(alice, old, f"m.room.{event_type}")
    assert "com.example.state" not in shown


def test_levels_are_as_they_were(alice: Client, bob: Client, old: str) -> None:
    before = content(alice, old, "m.room.power_levels")
    assert content(alice, upgrade(alice, old), "m.room.power_levels") == before


def test_creators_above_all_are_not_among_the_users(alice: Client, bob: Client, old: str) -> None:
    new = upgrade(alice, old, new_version="12")
    assert content(alice, new, "m.room.power_levels")["users"] == {bob.user_id: 50}


def test_creators_above_all_become_users_again(alice: Client) -> None:
    room = alice.create_room(room_version="12")
    new = upgrade(alice, room)
    assert content(alice, new, "m.room.power_levels")["users"] == {alice.user_id: 100}


def test_creators_may_be_added(alice: Client, bob: Client, old: str) -> None:
    new = upgrade(alice, old, new_version="12", additional_creators=[bob.user_id])
    assert content(alice, new, "m.room.create")["additional_creators"] == [bob.user_id]
    assert content(alice, new, "m.room.power_levels")["users"] == {}


def test_levels_as_text_become_numbers(alice: Client) -> None:
    room = alice.create_room(room_version="9")
    levels = content(alice, room, "m.room.power_levels")
    odd = {"kick": "60", "users": {alice.user_id: "100"}, "com.example.own": "many"}
    alice.set_state(room, "m.room.power_levels", levels | odd)
    new = content(alice, upgrade(alice, room), "m.room.power_levels")
    assert (new["kick"], new["users"], new["events"]) == (60, {alice.user_id: 100}, levels["events"])
    assert "com.example.own" not in new


def test_only_who_upgrades_is_in_the_new_room(alice: Client, bob: Client, old: str) -> None:
    new = upgrade(alice, old)
    assert list(alice.must("GET", path_of("rooms", new, "joined_members"))["joined"]) == [alice.user_id]
    bob.join(new)


def test_aliases_go_to_the_new_room(alice: Client, old: str) -> None:
    alias = f"#upgrade-{old[1:8]}:localhost"
    alice.must("PUT", path_of("directory", "room", alias), {"room_id": old})
    alice.set_state(old, "m.room.canonical_alias", {"alias": alias})
    new = upgrade(alice, old)
    assert alice.must("GET", path_of("directory", "room", alias))["room_id"] == new
    assert alice.must("GET", path_of("rooms", old, "aliases")) == {"aliases": []}
    assert content(alice, new, "m.room.canonical_alias") == {"alias": alias}
    assert content(alice, old, "m.room.canonical_alias") == {}


def test_the_new_room_takes_the_place_on_the_list(alice: Client) -> None:
    room = alice.create_room(visibility="public")
    new = upgrade(alice, room)
    listed = [alice.must("GET", path_of("directory", "list", "room", one)) for one in (room, new)]
    assert listed == [{"visibility": "private"}, {"visibility": "public"}]


def test_the_old_room_grows_silent(alice: Client, bob: Client, carol: Client, old: str) -> None:
    carol.join(old)
    upgrade(alice, old)
    assert error_of(carol.call("POST", path_of("rooms", old, "send", "m.room.message"), {})) == (
        403,
        "M_FORBIDDEN",
    )
    assert bob.say(old, "a moderator may still speak")


@every_prefix
def test_upgrading_asks_for_the_tombstones_level(alice: Client, bob: Client, carol: Client, old: str) -> None:
    path = path_of("rooms", old, "upgrade")
    for nobody in (bob, carol):
        assert error_of(nobody.call("POST", path, {"new_version": "11"})) == (403, "M_FORBIDDEN")
    unknown = path_of("rooms", "!nowhere:localhost", "upgrade")
    assert error_of(alice.call("POST", unknown, {"new_version": "11"})) == (403, "M_FORBIDDEN")


def test_a_moderator_upgrades_where_the_level_is_low(alice: Client, bob: Client, old: str) -> None:
    levels = content(alice, old, "m.room.power_levels")
    levels["events"]["m.room.tombstone"] = 50
    alice.set_state(old, "m.room.power_levels", levels)
    new = upgrade(bob, old)
    assert content(bob, new, "m.room.power_levels")["users"] == {alice.user_id: 100, bob.user_id: 50}


BAD_BODIES: dict[str, tuple[object, tuple[int, str]]] = {
    "no version": ({}, (400, "M_MISSING_PARAM")),
    "number": ({"new_version": 11}, (400, "M_BAD_JSON")),
    "unknown version": ({"new_version": "eleven"}, (400, "M_UNSUPPORTED_ROOM_VERSION")),
    "creators": ({"new_version": "12", "additional_creators": [1]}, (400, "M_BAD_JSON")),
    "nobody": ({"new_version": "12", "additional_creators": ["nobody"]}, (400, "M_INVALID_ROOM_STATE")),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_refused_upgrade_changes_nothing(alice: Client, old: str, case: str) -> None:
    body, error = BAD_BODIES[case]
    since = alice.sync()["next_batch"]
    assert error_of(alice.call("POST", path_of("rooms", old, "upgrade"), body)) == error
    assert alice.sync(since=since)["next_batch"] == since


@pytest.mark.parametrize("version", VERSIONS)
def test_bans_go_along(alice: Client, bob: Client, carol: Client, old: str, version: str) -> None:
    ban = path_of("rooms", old, "ban")
    alice.must("POST", ban, {"user_id": carol.user_id, "reason": "noise"})
    alice.must("POST", ban, {"user_id": "@dave:localhost", "reason": "x" * 1_000})
    alice.must("POST", ban, {"user_id": "@erin:localhost"})
    alice.must("POST", path_of("rooms", old, "unban"), {"user_id": "@erin:localhost"})
    new = upgrade(alice, old, new_version=version)
    bans = {
        event["state_key"]: event["content"]
        for event in alice.state(new)
        if event["type"] == "m.room.member" and event["state_key"] != alice.user_id
    }
    assert bans == {
        carol.user_id: {"membership": "ban", "reason": "noise"},
        "@dave:localhost": {"membership": "ban"},
    }
    assert error_of(carol.call("POST", path_of("join", new), {})) == (403, "M_FORBIDDEN")
    bob.join(new)


def test_a_creator_of_the_new_room_is_not_banned_from_it(alice: Client, old: str) -> None:
    creator = "@dave:localhost"
    alice.must("POST", path_of("rooms", old, "ban"), {"user_id": creator})
    new = upgrade(alice, old, new_version="12", additional_creators=[creator])
    alice.invite(new, creator)
