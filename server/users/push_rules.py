"""The push rules that everybody begins with: what of a room is worth a notification.

Clients do not start without them: they evaluate the rules themselves, to show what is highlighted. There
is no way yet to change or add any, so that a user's rules follow from the user id alone.

Where: client-server API, "Push Rules", "Predefined Rules".
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

PushRule: TypeAlias = dict[str, Any]
Ruleset: TypeAlias = dict[str, list[PushRule]]
"""Rules by their kind; in each kind the first that matches decides."""

_NOTIFY = "notify"
_HIGHLIGHT = {"set_tweak": "highlight"}


def rules_for(user_id: str) -> Ruleset:
    """All kinds are named, also those that the server has no rules of."""
    return {
        "override": list(_override_rules(user_id)),
        "content": [],
        "room": [],
        "sender": [],
        "underride": list(_underride_rules()),
    }


def _override_rules(user_id: str) -> Iterator[PushRule]:
    yield _rule("master", [], []) | {"enabled": False}
    yield _rule("suppress_notices", [_matches("content.msgtype", "m.notice")], [])
    invited = _matches("content.membership", "invite"), _matches("state_key", user_id)
    yield _rule("invite_for_me", [_is_of_type("m.room.member"), *invited], [_NOTIFY, _sound("default")])
    yield _rule("member_event", [_is_of_type("m.room.member")], [])
    mentioned = _condition("event_property_contains", key=r"content.m\.mentions.user_ids", value=user_id)
    yield _rule("is_user_mention", [mentioned], [_NOTIFY, _sound("default"), _HIGHLIGHT])
    room_mentioned = [
        _condition("event_property_is", key=r"content.m\.mentions.room", value=True),
        _condition("sender_notification_permission", key="room"),
    ]
    yield _rule("is_room_mention", room_mentioned, [_NOTIFY, _HIGHLIGHT])
    yield _rule("tombstone", _is_state("m.room.tombstone"), [_NOTIFY, _HIGHLIGHT])
    yield _rule("reaction", [_is_of_type("m.reaction")], [])
    yield _rule("room.server_acl", _is_state("m.room.server_acl"), [])
    edited = _condition("event_property_is", key=r"content.m\.relates_to.rel_type", value="m.replace")
    yield _rule("suppress_edits", [edited], [])


def _underride_rules() -> Iterator[PushRule]:
    yield _rule("call", [_is_of_type("m.call.invite")], [_NOTIFY, _sound("ring")])
    message, encrypted = _is_of_type("m.room.message"), _is_of_type("m.room.encrypted")
    among_two = _condition("room_member_count", **{"is": "2"})
    yield _rule("encrypted_room_one_to_one", [among_two, encrypted], [_NOTIFY, _sound("default")])
    yield _rule("room_one_to_one", [among_two, message], [_NOTIFY, _sound("default")])
    yield _rule("message", [message], [_NOTIFY])
    yield _rule("encrypted", [encrypted], [_NOTIFY])


def _rule(name: str, conditions: list[dict[str, Any]], actions: list[Any]) -> PushRule:
    return {
        "rule_id": f".m.rule.{name}",
        "default": True,
        "enabled": True,
        "conditions": conditions,
        "actions": actions,
    }


def _condition(kind: str, **parameters: Any) -> dict[str, Any]:
    return {"kind": kind, **parameters}


def _matches(key: str, pattern: str) -> dict[str, Any]:
    return _condition("event_match", key=key, pattern=pattern)


def _is_of_type(event_type: str) -> dict[str, Any]:
    return _matches("type", event_type)


def _is_state(event_type: str) -> list[dict[str, Any]]:
    """State with an empty key; without the second condition a message of that type would do as well."""
    return [_is_of_type(event_type), _matches("state_key", "")]


def _sound(name: str) -> dict[str, str]:
    return {"set_tweak": "sound", "value": name}
