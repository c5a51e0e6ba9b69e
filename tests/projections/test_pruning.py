"""What a redaction leaves of an event, in the room versions that there are."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.pruning import prune, prune_stored
from projections.room_versions import SUPPORTED, RoomVersion

V11 = SUPPORTED["11"]

POWER_LEVELS = {
    "ban",
    "events",
    "events_default",
    "kick",
    "redact",
    "state_default",
    "users",
    "users_default",
}
SINCE_6 = {
    "m.room.create": {"creator"},
    "m.room.history_visibility": {"history_visibility"},
    "m.room.join_rules": {"join_rule"},
    "m.room.member": {"membership"},
    "m.room.power_levels": POWER_LEVELS,
}
SINCE_8 = SINCE_6 | {"m.room.join_rules": {"join_rule", "allow"}}
SINCE_9 = SINCE_8 | {"m.room.member": {"membership", "join_authorised_via_users_server"}}
SINCE_11 = {
    "m.room.history_visibility": {"history_visibility"},
    "m.room.join_rules": {"join_rule", "allow"},
    "m.room.member": {"membership", "join_authorised_via_users_server", "third_party_invite"},
    "m.room.power_levels": POWER_LEVELS | {"invite"},
    "m.room.redaction": {"redacts"},
}
KEPT_CONTENT = {
    "6": SINCE_6,
    "7": SINCE_6,
    "8": SINCE_8,
    "9": SINCE_9,
    "10": SINCE_9,
    "11": SINCE_11,
    "12": SINCE_11,
}
"""By room version and event type; but for the create event of 11 and 12, which keeps everything."""

TYPES = sorted({*SINCE_6, *SINCE_11})
KEYS = sorted(set().union(*SINCE_6.values(), *SINCE_11.values()))

KEPT_FIELDS = {
    "event_id",
    "type",
    "room_id",
    "sender",
    "state_key",
    "content",
    "hashes",
    "signatures",
    "depth",
    "prev_events",
    "auth_events",
    "origin_server_ts",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(
    st.sampled_from(KEYS) | st.text(max_size=5),
    json_values,
    max_size=8,
)
types = st.sampled_from([*TYPES, "m.room.message", "m.room.name", "m.room.aliases"])
events = st.builds(
    lambda fields, event_type, content: {**fields, "type": event_type, "content": content},
    st.dictionaries(
        st.sampled_from([*sorted(KEPT_FIELDS), "unsigned", "origin", "redacts"]), json_values, max_size=6
    ),
    types,
    contents,
)
versions = st.sampled_from(list(SUPPORTED.values()))


def event(event_type: str, content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": event_type, "sender": "@alice:example.org", "content": content, **fields}


every_version = pytest.mark.parametrize("version", SUPPORTED.values(), ids=lambda version: version.name)


@pytest.mark.parametrize(
    ("name", "event_type"), [(name, event_type) for name in SUPPORTED for event_type in KEPT_CONTENT[name]]
)
def test_keeps_the_listed_keys_of_content_and_no_other(name: str, event_type: str) -> None:
    content = {key: {"signed": key} for key in [*KEYS, "reason", "displayname", "notifications"]}
    kept = {key: {"signed": key} for key in KEPT_CONTENT[name][event_type]}
    assert prune(event(event_type, content), SUPPORTED[name])["content"] == kept


@every_version
@pytest.mark.parametrize(
    "event_type", ["m.room.message", "m.room.topic", "m.room.aliases", "org.example.own"]
)
def test_keeps_nothing_of_other_contents(event_type: str, version: RoomVersion) -> None:
    everything = dict.fromkeys([*KEYS, "aliases", "topic"], 1)
    assert prune(event(event_type, everything), version)["content"] == {}


@pytest.mark.parametrize("name", ["6", "7", "8", "9", "10"])
def test_keeps_nothing_of_what_a_redaction_says(name: str) -> None:
    redaction = event("m.room.redaction", {"redacts": "$event", "reason": "spam"}, redacts="$event")
    assert prune(redaction, SUPPORTED[name]) == event("m.room.redaction", {})


@pytest.mark.parametrize("name", ["11", "12"])
def test_keeps_all_of_a_create_event(name: str) -> None:
    content = {"room_version": name, "type": "m.space", "org.example.own": {"a": [1]}}
    assert prune(event("m.room.create", content), SUPPORTED[name])["content"] == content


def test_keeps_only_the_signed_part_of_a_third_party_invite() -> None:
    content = {"third_party_invite": {"display_name": "A. L.", "signed": {"token": "abc"}}}
    pruned = prune(event("m.room.member", content), V11)
    assert pruned["content"] == {"third_party_invite": {"signed": {"token": "abc"}}}


def test_drops_a_third_party_invite_that_is_no_object() -> None:
    assert prune(event("m.room.member", {"third_party_invite": "signed"}), V11)["content"] == {}


@pytest.mark.parametrize("name", ["11", "12"])
def test_keeps_the_listed_top_level_keys_and_no_other(name: str) -> None:
    fields: dict[str, Any] = dict.fromkeys(KEPT_FIELDS, "kept")
    others = dict.fromkeys(["unsigned", "redacts", "origin", "membership", "prev_state", "age"], "dropped")
    pruned = prune({**others, **fields, "content": {}}, SUPPORTED[name])
    assert pruned == {**fields, "content": {}}


@pytest.mark.parametrize("name", ["6", "7", "8", "9", "10"])
def test_keeps_three_more_top_level_keys_until_10(name: str) -> None:
    kept: dict[str, Any] = dict.fromkeys([*KEPT_FIELDS, "origin", "membership", "prev_state"], "kept")
    pruned = prune({"unsigned": {}, "redacts": "$event", "age": 1, **kept, "content": {}}, SUPPORTED[name])
    assert pruned == {**kept, "content": {}}


@every_version
def test_lacks_what_the_event_lacks(version: RoomVersion) -> None:
    assert prune(event("m.room.message", {}), version) == event("m.room.message", {})


@given(events, versions)
def test_leaves_its_input_alone(fields: dict[str, Any], version: RoomVersion) -> None:
    before = copy.deepcopy(fields)
    prune(fields, version)
    assert fields == before


@given(events, versions)
def test_pruning_twice_is_pruning_once(fields: dict[str, Any], version: RoomVersion) -> None:
    once = prune(fields, version)
    assert prune(once, version) == once


@given(events, versions)
def test_adds_and_alters_nothing(fields: dict[str, Any], version: RoomVersion) -> None:
    assert is_part_of(prune(fields, version), fields)


@given(events, versions)
def test_stored_form_stays_canonical(fields: dict[str, Any], version: RoomVersion) -> None:
    stored = canonical(fields)
    assert prune_stored(stored, version) == canonical(prune(fields, version))


def is_part_of(left: Any, whole: Any) -> bool:
    """Is `left` obtained from `whole` by taking keys out of objects?"""
    if isinstance(left, dict) and isinstance(whole, dict):
        return all(key in whole and is_part_of(value, whole[key]) for key, value in left.items())
    return bool(left == whole)


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
