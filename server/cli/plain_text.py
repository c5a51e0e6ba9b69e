"""Facts and events as lines for people and for `grep`: `name=value` pairs, one line each.

Much of what is printed was chosen by strangers. A value that holds anything but visible characters is
quoted with escapes, so that nobody can add lines of their own or speak to the terminal.
"""

import json
import re
from collections.abc import Iterable

import msgspec

from projections.facts import Fact, RoomEvent
from projections.timeline import TimelineEvent

_SECRET = re.compile("password|token|secret")
"""Fields whose names match are never shown, those of facts yet to come included."""


def describe_fact(fact: Fact) -> str:
    """The kind of a fact and what is essential in it."""
    kind = str(fact.__struct_config__.tag)
    if isinstance(fact, RoomEvent):
        return f"{kind} {_pairs(_essentials(fact))}"
    return f"{kind} {_pairs(msgspec.structs.asdict(fact).items())}"


def describe_state(state: TimelineEvent) -> str:
    """A state event with its content, which stands last because it may be long."""
    event = state.event
    content = bytes(event.raw_content).decode()
    pairs = _pairs(
        [
            ("type", event.type),
            ("state_key", event.state_key),
            ("sender", event.sender),
            ("event_id", state.event_id),
        ]
    )
    return f"{pairs} content={_visible(content)}"


def _essentials(fact: RoomEvent) -> Iterable[tuple[str, object]]:
    event = fact.event
    yield "room_id", fact.room_id
    yield "sender", event.sender
    yield "type", event.type
    yield "state_key", event.state_key
    yield "event_id", fact.event_id


def _pairs(fields: Iterable[tuple[str, object]]) -> str:
    return " ".join(f"{name}={_value(name, value)}" for name, value in fields if value is not None)


def _value(name: str, value: object) -> str:
    if _SECRET.search(name):
        return "***"
    if not isinstance(value, str):
        return _visible(str(value)) if isinstance(value, bool | int) else "…"
    is_plain = value.isprintable() and value and not any(mark in value for mark in ' ";\\')
    return value if is_plain else _visible(json.dumps(value, ensure_ascii=False))


def _visible(text: str) -> str:
    """The same JSON, with an escape for every character that a terminal might act upon."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
