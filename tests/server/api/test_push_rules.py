"""The push rules that everybody begins with: GET /pushrules/ and what is below it."""

from typing import Any

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.server.conftest import every_prefix

MENTION = path_of("pushrules", "global", "override", ".m.rule.is_user_mention")

PREDEFINED = {
    "override": [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
        ".m.rule.member_event",
        ".m.rule.is_user_mention",
        ".m.rule.is_room_mention",
        ".m.rule.tombstone",
        ".m.rule.reaction",
        ".m.rule.room.server_acl",
        ".m.rule.suppress_edits",
    ],
    "content": [],
    "room": [],
    "sender": [],
    "underride": [
        ".m.rule.call",
        ".m.rule.encrypted_room_one_to_one",
        ".m.rule.room_one_to_one",
        ".m.rule.message",
        ".m.rule.encrypted",
    ],
}


def ids_in(rules: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {kind: [rule["rule_id"] for rule in of_kind] for kind, of_kind in rules.items()}


@every_prefix
def test_everybody_begins_with_the_predefined_rules(alice: Client) -> None:
    assert ids_in(alice.must("GET", "/pushrules/")["global"]) == PREDEFINED


@pytest.mark.parametrize("prefix", ["/_matrix/client/api/v1"])
def test_no_device_had_rules_in_2015(alice: Client) -> None:
    assert alice.must("GET", "/pushrules/")["device"] == {}


def test_the_global_scope_stands_alone_too(alice: Client) -> None:
    assert alice.must("GET", "/pushrules/global/") == alice.must("GET", "/pushrules/")["global"]


def test_only_the_master_rule_is_off(alice: Client) -> None:
    rules = alice.must("GET", "/pushrules/global/")
    off = [rule["rule_id"] for of_kind in rules.values() for rule in of_kind if not rule["enabled"]]
    assert off == [".m.rule.master"]


def test_a_mention_is_of_who_asks(alice: Client, bob: Client) -> None:
    [mentioned] = alice.must("GET", MENTION)["conditions"]
    key = r"content.m\.mentions.user_ids"
    assert mentioned == {"kind": "event_property_contains", "key": key, "value": alice.user_id}
    assert bob.must("GET", MENTION)["conditions"][0]["value"] == bob.user_id


def test_a_rule_is_read_by_its_parts(alice: Client) -> None:
    rule = alice.must("GET", MENTION)
    assert alice.must("GET", MENTION + "/enabled") == {"enabled": rule["enabled"]}
    assert alice.must("GET", MENTION + "/actions") == {"actions": rule["actions"]}


@pytest.mark.parametrize("kind", ["underride", "content", "overridden"])
def test_a_rule_is_not_found_elsewhere(alice: Client, kind: str) -> None:
    path = path_of("pushrules", "global", kind, ".m.rule.is_user_mention")
    assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")


def test_rules_are_not_shown_to_anybody(anybody: Client) -> None:
    assert error_of(anybody.call("GET", "/pushrules/")) == (401, "M_MISSING_TOKEN")
