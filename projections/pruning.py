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

_KEPT_FIELDS: Final[Mapping[RedactionRules, frozenset[str]]] = {
    "v11": frozenset(
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
    ),
}
"""Top-level keys that stay as they are. `content` stays too, pruned by the lists below."""

_KEPT_CONTENT: Final[Mapping[RedactionRules, Mapping[str, Kept]]] = {
    "v11": {
        "m.room.create": WHOLE,
        "m.room.history_visibility": {"history_visibility": WHOLE},
        "m.room.join_rules": {"allow": WHOLE, "join_rule": WHOLE},
        "m.room.member": {
            "join_authorised_via_users_server": WHOLE,
            "membership": WHOLE,
            "third_party_invite": {"signed": WHOLE},
        },
        "m.room.power_levels": {
            "ban": WHOLE,
            "events": WHOLE,
            "events_default": WHOLE,
            "invite": WHOLE,
            "kick": WHOLE,
            "redact": WHOLE,
            "state_default": WHOLE,
            "users": WHOLE,
            "users_default": WHOLE,
        },
        "m.room.redaction": {"redacts": WHOLE},
    },
}
"""Event types of whose content something stays. Of every other type nothing does."""

_NOTHING: Final[Kept] = {}

# Sorted keys and no blanks: a stored event is canonical JSON, and so is its pruned form.
_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(dict[str, Any])


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
