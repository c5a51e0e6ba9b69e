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

KEPT_CONTENT = {
    "m.room.history_visibility": {"history_visibility"},
    "m.room.join_rules": {"join_rule", "allow"},
    "m.room.member": {"membership", "join_authorised_via_users_server", "third_party_invite"},
    "m.room.power_levels": {
        "ban",
        "events",
        "events_default",
        "invite",
        "kick",
        "redact",
        "state_default",
        "users",
        "users_default",
    },
    "m.room.redaction": {"redacts"},
}
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
    st.sampled_from(sorted(set().union(*KEPT_CONTENT.values()))) | st.text(max_size=5),
    json_values,
    max_size=8,
)
types = st.sampled_from([*KEPT_CONTENT, "m.room.create", "m.room.message", "m.room.name", "m.room.aliases"])
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


@pytest.mark.parametrize("event_type", KEPT_CONTENT)
def test_keeps_the_listed_keys_of_content_and_no_other(event_type: str) -> None:
    kept: dict[str, Any] = {key: {"signed": key} for key in KEPT_CONTENT[event_type]}
    content = kept | {"reason": "spam", "displayname": "Alice", "notifications": {"room": 0}}
    assert prune(event(event_type, content), V11)["content"] == kept


@pytest.mark.parametrize(
    "event_type", ["m.room.message", "m.room.topic", "m.room.aliases", "org.example.own"]
)
def test_keeps_nothing_of_other_contents(event_type: str) -> None:
    everything = {key: 1 for keys in KEPT_CONTENT.values() for key in keys}
    assert prune(event(event_type, everything), V11)["content"] == {}


def test_keeps_all_of_a_create_event() -> None:
    content = {"room_version": "11", "type": "m.space", "org.example.own": {"a": [1]}}
    assert prune(event("m.room.create", content), V11)["content"] == content


def test_keeps_only_the_signed_part_of_a_third_party_invite() -> None:
    content = {"third_party_invite": {"display_name": "A. L.", "signed": {"token": "abc"}}}
    pruned = prune(event("m.room.member", content), V11)
    assert pruned["content"] == {"third_party_invite": {"signed": {"token": "abc"}}}


def test_drops_a_third_party_invite_that_is_no_object() -> None:
    assert prune(event("m.room.member", {"third_party_invite": "signed"}), V11)["content"] == {}


def test_keeps_the_listed_top_level_keys_and_no_other() -> None:
    fields: dict[str, Any] = dict.fromkeys(KEPT_FIELDS, "kept")
    others = dict.fromkeys(["unsigned", "redacts", "origin", "membership", "prev_state", "age"], "dropped")
    pruned = prune({**others, **fields, "content": {}}, V11)
    assert pruned == {**fields, "content": {}}


def test_lacks_what_the_event_lacks() -> None:
    assert prune(event("m.room.message", {}), V11) == event("m.room.message", {})


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
