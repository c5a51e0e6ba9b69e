"""Redaction: what is left of an event once its content has been taken back.

The pruned form is also what an event's id is the hash of; that is why a redaction can take content away
without changing the id. So an error here is an error in every id: the keep-lists are data, next to each
other, to be read side by side with the specification's ("Redactions" in each room version's page).
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from projections.room_versions import RedactionRules, RoomVersion

Kept: TypeAlias = "Mapping[str, Kept] | None"
"""The keys of an object that stay, each with what stays of its value; `None` keeps the value whole."""

WHOLE: Final = None


def _whole(*keys: str) -> dict[str, Kept]:
    return dict.fromkeys(keys, WHOLE)


_FIELDS_V11: Final = frozenset(
    {
        "auth_events",
        "depth",
        "event_id",
        "hashes",
        "origin_server_ts",
        "prev_events",
        "room_id",
        "sender",
        "signatures",
        "state_key",
        "type",
    }
)
_FIELDS_V6: Final = _FIELDS_V11 | {"membership", "origin", "prev_state"}

_CONTENT_V6: Final[Mapping[str, Kept]] = {
    "m.room.create": _whole("creator"),
    "m.room.history_visibility": _whole("history_visibility"),
    "m.room.join_rules": _whole("join_rule"),
    "m.room.member": _whole("membership"),
    "m.room.power_levels": _whole(
        "ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"
    ),
}
# Each of the others is the one before it, and what it changed.
_CONTENT_V8: Final[Mapping[str, Kept]] = {
    **_CONTENT_V6,
    "m.room.join_rules": _whole("allow", "join_rule"),
}
_CONTENT_V9: Final[Mapping[str, Kept]] = {
    **_CONTENT_V8,
    "m.room.member": _whole("join_authorised_via_users_server", "membership"),
}
_CONTENT_V11: Final[Mapping[str, Kept]] = {
    **_CONTENT_V9,
    "m.room.create": WHOLE,
    "m.room.member": {
        **_whole("join_authorised_via_users_server", "membership"),
        "third_party_invite": _whole("signed"),
    },
    "m.room.power_levels": _whole(
        "ban",
        "events",
        "events_default",
        "invite",
        "kick",
        "redact",
        "state_default",
        "users",
        "users_default",
    ),
    "m.room.redaction": _whole("redacts"),
}

_KEPT_FIELDS: Final[Mapping[RedactionRules, frozenset[str]]] = {
    "v6": _FIELDS_V6,
    "v8": _FIELDS_V6,
    "v9": _FIELDS_V6,
    "v11": _FIELDS_V11,
}
"""Top-level keys that stay as they are. `content` stays too, pruned by the lists below."""

_KEPT_CONTENT: Final[Mapping[RedactionRules, Mapping[str, Kept]]] = {
    "v6": _CONTENT_V6,
    "v8": _CONTENT_V8,
    "v9": _CONTENT_V9,
    "v11": _CONTENT_V11,
}
"""Event types of whose content something stays. Of every other type nothing does."""

_NOTHING: Final[Kept] = {}

# Sorted keys and no blanks: a stored event is canonical JSON, and so is its pruned form.
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(dict[str, Any])


def keeps_nothing(event_type: str, version: RoomVersion) -> bool:
    """Is the content of such an event gone when it is pruned?"""
    return event_type not in _KEPT_CONTENT[version.redaction_rules]


def prune(fields: Mapping[str, Any], version: RoomVersion) -> dict[str, Any]:
    """The event as a redaction leaves it: a new dictionary, which shares its kept values with `fields`."""
    kept_fields = _KEPT_FIELDS[version.redaction_rules]
    kept_content = _KEPT_CONTENT[version.redaction_rules].get(fields["type"], _NOTHING)
    content = fields["content"]
    pruned = {key: value for key, value in fields.items() if key in kept_fields}
    pruned["content"] = content if kept_content is WHOLE else _keep(content, kept_content)
    return pruned


def prune_stored(stored: bytes, version: RoomVersion) -> bytes:
    """The canonical JSON of a stored event as a redaction leaves it."""
    return _encoder.encode(prune(_decoder.decode(stored), version))


def _keep(value: Mapping[str, Any], kept: Mapping[str, Kept]) -> dict[str, Any]:
    """What stays of an object. Where an object is kept in part and there is none, nothing is."""
    left: dict[str, Any] = {}
    for key, kept_below in kept.items():
        if key not in value:
            continue
        if kept_below is WHOLE:
            left[key] = value[key]
        elif isinstance(value[key], dict):
            left[key] = _keep(value[key], kept_below)
    return left
