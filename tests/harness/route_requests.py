"""What a request of a route looks like when nothing is wrong with it: for tests that put one thing wrong.

All of it is found by looking at the route, so that a new route is covered by being in the table.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, TypeAlias
from urllib.parse import quote

import msgspec

from server.http.routing import Route
from tests.harness.client import Client

FIELDS_OF_CONTENT = ("body", "m.relates_to", "membership", "msgtype", "reason", "redacts")
"""Of bodies that are taken as they are, in which something is looked for nevertheless."""

QUERIES = (
    "at",
    "archived",
    "dir",
    "event_id",
    "filter",
    "format",
    "from",
    "full_state",
    "kind",
    "limit",
    "membership",
    "not_membership",
    "room_id",
    "server",
    "set_presence",
    "since",
    "timeout",
    "to",
    "ts",
    "use_state_after",
    "user_id",
    "username",
    "via",
)
"""Names that some call or other looks for in its query."""

Body: TypeAlias = type[msgspec.Struct]

_PARSED = re.compile(r"\bparse\(\s*request,\s*(\w+)")


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def parameters(route: Route) -> list[str]:
    return re.findall(r"{(\w+)}", route.path)


def filled(route: Route, client: Client, room: str, **replaced: str) -> str:
    """A path of this route in which everything is as it should be, but for what is replaced.

    The prefix is the last of the route's, which is today's where it has several.
    """
    of_place = path_values(quote(client.user_id), quote(room), client.device_id)
    return path_with(route, route.prefixes[-1], of_place | replaced)


def path_values(user_id: str, room_id: str, device_id: str) -> dict[str, str]:
    """What may stand for the parameters of a path."""
    return {
        "room_id": room_id,
        "room_id_or_alias": room_id,
        "event_type": "com.example.own",
        "event_id": "$unheard-of",
        "txn_id": "1",
        "state_key": "key",
        "user_id": user_id,
        "device_id": device_id,
        "room_alias": quote("#a:localhost"),
    }


def path_with(route: Route, prefix: str, values: Mapping[str, str]) -> str:
    return prefix + re.sub(r"{(\w+)}", lambda found: values.get(found[1], "1"), route.path)


def fields_of(route: Route) -> list[str]:
    """What its handler may look for in a body: the fields of all structs that its module knows."""
    known = vars(sys.modules[route.endpoint.__module__]).values()
    structs = [one for one in known if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return sorted(
        {*FIELDS_OF_CONTENT, *(name for struct in structs for name in struct.__struct_encode_fields__)}
    )


def body_of(route: Route) -> Body | None:
    """What its handler parses the body into; `None` where the body is taken as it is, or not looked at."""
    known = vars(sys.modules[route.endpoint.__module__])
    for function in _functions_from(route.endpoint, known):
        found = _PARSED.search(inspect.getsource(function))
        if found is not None:
            body: Body = known[found[1]]
            return body
    return None


def _functions_from(function: Any, known: dict[str, Any]) -> Iterator[Callable[..., Any]]:
    """A handler and what it calls in its own module."""
    waiting, seen = [function], set[Any]()
    while waiting:
        current = waiting.pop(0)
        if not isinstance(current, FunctionType) or current in seen:
            continue
        seen.add(current)
        yield current
        waiting += [
            known[name]
            for name in current.__code__.co_names
            if getattr(known.get(name), "__module__", None) == function.__module__
        ]
