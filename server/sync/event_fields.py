"""The fields of events that a filter asks for, named by dotted paths such as `content.body`.

Where: client-server API, "Filtering" (`event_fields`); appendices, "Dot-separated property paths".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

Tree: TypeAlias = "dict[str, Tree | None]"
"""Keys that are wanted, each with what is wanted of its value; `None` for all of it."""

_ALWAYS_SHOWN = ("event_id", "origin_server_ts", "sender", "state_key", "type")
"""No event is without them (and `content`, if only an empty one). More than was asked for is allowed."""
_PART = re.compile(r"(?:[^.\\]|\\.|\\$)*", re.DOTALL)


class EventFields:
    """Cuts events down to what is wanted of them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._tree: Tree = {"content": {}} | dict.fromkeys(_ALWAYS_SHOWN)
        for path in paths:
            _grow(self._tree, keys_of(path))

    def of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return _cut(event, self._tree)


def keys_of(path: str) -> list[str]:
    """The keys that a path goes through. A backslash takes its meaning from a dot or another backslash."""
    keys, begin = [], 0
    while begin <= len(path):
        part = _PART.match(path, begin)
        assert part is not None  # it may be empty, and so is always there
        keys.append(re.sub(r"\\([.\\])", r"\1", part[0]))
        begin = part.end() + 1
    return keys


def _grow(tree: Tree, keys: list[str]) -> None:
    *inner, last = keys
    for key in inner:
        branch = tree.setdefault(key, {})
        if branch is None:  # all of it is wanted already
            return
        tree = branch
    tree[last] = None


def _cut(value: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    found = {}
    for key, branch in tree.items():
        if key not in value:
            continue
        if branch is None:
            found[key] = value[key]
            continue
        inner = value[key]
        if isinstance(inner, msgspec.Raw):
            inner = msgspec.json.decode(inner)
        if isinstance(inner, dict):
            found[key] = _cut(inner, branch)
    return found
