"""Routes by table: from method and path to an endpoint, at the same cost for the last as for the first.

The table is a tree of dictionaries, one level for each segment of a path; finding an endpoint is one
look-up per segment, however many routes there are. (Starlette's own routes are tried in turn: with the
hot route last of 150 an empty handler answered 5,200 requests/s, with it first 12,300.)

The walk is over the path as it came over the wire: split at "/", then each segment is percent-decoded,
once. So `%2F` is part of its segment, `//` has an empty segment in it, and a path with a trailing slash
ends in one; it is another path than that without, and is served only where a route says so.

Where several routes match, a segment that is spelled out wins over a parameter, the leftmost first and
for each method by itself: `GET /profile/{user_id}/displayname` does not hide the method DELETE of
`/profile/{user_id}/{key}`. That is settled when the table is made, by laying what follows a parameter
also under the names that stand beside it; a request never has to go back and try another way.

Where: client-server API, "API Standards" (prefixes), "Common error codes" (M_UNRECOGNIZED).
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from server.errors import ErrorCode, MatrixError
from server.http.answers import Refusal

API_V1 = "/_matrix/client/api/v1"
V2_ALPHA = "/_matrix/client/v2_alpha"

Prefixes: TypeAlias = tuple[str, ...]
"""What the paths of a route begin with; sets can be added to each other."""

TODAY: Prefixes = ("/_matrix/client/r0", "/_matrix/client/v3")
V1_2015: Prefixes = (API_V1,)
V2_2015: Prefixes = (V2_ALPHA,)
CLIENT: Prefixes = V1_2015 + TODAY
NEWER: Prefixes = ("/_matrix/client/v1",)
"""Calls that came after v3; this v1 is younger than r0 and has nothing to do with `api/v1`."""
UNVERSIONED: Prefixes = ("/_matrix/client",)
ROOT: Prefixes = ("",)


class Rendering(Enum):
    """The two forms in which events are shown."""

    V1 = "v1"
    TODAY = "today"


Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One row of the table; `path` has its parameters in braces and comes behind every prefix."""

    method: str
    path: str
    endpoint: Endpoint
    prefixes: Prefixes = CLIENT


@dataclass(frozen=True, eq=False)
class MatchedRoute:
    """A route behind one of its prefixes, as a request finds it."""

    method: str
    prefix: str
    path: str
    endpoint: Endpoint
    parameters: tuple[tuple[str, int], ...]
    """Name of each parameter and its place among the path's segments."""

    @property
    def template(self) -> str:
        """The path with its parameters unfilled: says which route it was, without anyone's identifiers."""
        return self.prefix + self.path

    @property
    def rendering(self) -> Rendering:
        return Rendering.V1 if self.prefix == API_V1 else Rendering.TODAY


def matched_route(scope: Scope) -> MatchedRoute | None:
    """The route that serves a request; `None` as long as there is none."""
    found: MatchedRoute | None = scope.get("matched_route")
    return found


def rendering(request: Request) -> Rendering:
    """The form of events that fits the prefix which the client used."""
    matched = matched_route(request.scope)
    return matched.rendering if matched else Rendering.TODAY


@dataclass
class _Branch:
    """A place in the tree while it grows; names and the parameter are kept apart."""

    named: "dict[str, _Branch]" = field(default_factory=dict)
    parameter: "_Branch | None" = None
    methods: dict[str, MatchedRoute] = field(default_factory=dict)


@dataclass(slots=True)
class _Node:
    """A place in the finished tree."""

    named: "dict[str, _Node]"
    parameter: "_Node | None"
    methods: dict[str, MatchedRoute]
    """Empty where paths only pass through."""


class RouteTable:
    """All routes. Raises `ValueError` if two rows cannot be told apart."""

    def __init__(self, routes: Iterable[Route]) -> None:
        trunk = _Branch()
        for route in routes:
            for prefix in route.prefixes:
                _grow(trunk, route, prefix)
        self._root = _finished([trunk])
        self._walked: dict[bytes, tuple[_Node, list[str]]] = {}
        self.operations = sorted(_operations(trunk))
        """Method and path template of everything that is served."""

    def find(self, method: str, raw_path: bytes) -> tuple[MatchedRoute, dict[str, str]]:
        """The route for a request and its parameters, decoded.

        Raises NO_SUCH_PATH; NO_SUCH_METHOD with the methods that there are; INVALID_PARAM for a path
        that is no UTF-8, or that has nothing in the place of a parameter.
        """
        beginning, _, raw_last = raw_path.rpartition(b"/")
        last = _decoded(raw_last)
        node, segments = self._walked.get(beginning) or self._walk(beginning)
        # A trailing slash is never an empty parameter: only a route that ends in "/" has it.
        end = node.named.get(last) or (node.parameter if last else None)
        if end is None or not end.methods:
            raise _no_such_path()
        matched = end.methods.get(method)
        if matched is None:
            allowed = ", ".join(sorted([*end.methods, "OPTIONS"]))
            message = f"This path is not served with the method {method}."
            raise Refusal(ErrorCode.NO_SUCH_METHOD, message, headers={"Allow": allowed})
        at_end = len(segments)
        parameters = {
            name: last if place == at_end else segments[place] for name, place in matched.parameters
        }
        if not all(parameters.values()):
            empty = next(name for name, text in parameters.items() if not text)
            raise MatrixError(ErrorCode.INVALID_PARAM, f"{empty} must not be empty.")
        return matched, parameters

    def _walk(self, beginning: bytes) -> "tuple[_Node, list[str]]":
        """Where all segments but the last lead. Remembered: those of requests to one room are the same."""
        segments = [_decoded(raw) for raw in beginning.split(b"/")]
        node = self._root
        for segment in segments:
            child = node.named.get(segment) or node.parameter
            if child is None:
                raise _no_such_path()
            node = child
        if len(beginning) <= _BEGINNING_BYTES_REMEMBERED:
            if len(self._walked) >= _BEGINNINGS_REMEMBERED:
                self._walked.clear()
            self._walked[beginning] = node, segments
        return node, segments


_BEGINNINGS_REMEMBERED = 1 << 12
_BEGINNING_BYTES_REMEMBERED = 512
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def _decoded(raw: bytes) -> str:
    """A segment of a path, its escapes undone."""
    try:
        # Escapes are ASCII, so that the path can be text before they are undone.
        if b"%" not in raw:
            return raw.decode()
        if not _BAD_ESCAPE.search(raw):
            return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        pass
    raise MatrixError(ErrorCode.INVALID_PARAM, "The path is not percent-encoded UTF-8.")


def _no_such_path() -> MatrixError:
    return MatrixError(ErrorCode.NO_SUCH_PATH, "There is nothing at this path.")


def _grow(trunk: _Branch, route: Route, prefix: str) -> None:
    branch = trunk
    parameters = []
    for place, segment in enumerate((prefix + route.path).split("/")):
        if segment.startswith("{") and segment.endswith("}"):
            parameters.append((segment[1:-1], place))
            branch.parameter = branch.parameter or _Branch()
            branch = branch.parameter
        else:
            branch = branch.named.setdefault(segment, _Branch())
    if len(dict(parameters)) < len(parameters):
        raise ValueError(f"{prefix}{route.path} has two parameters of one name")
    if route.method in branch.methods:
        there = branch.methods[route.method].template
        raise ValueError(f"{route.method} {prefix}{route.path} is the same path as {there}")
    branch.methods[route.method] = MatchedRoute(
        method=route.method,
        prefix=prefix,
        path=route.path,
        endpoint=route.endpoint,
        parameters=tuple(parameters),
    )


def _finished(branches: Sequence[_Branch]) -> _Node:
    """Lay branches that one path can reach over each other; the first of them wins where two differ."""
    named: dict[str, list[_Branch]] = {}
    for name in {name for branch in branches for name in branch.named}:
        named[name] = [
            child
            for branch in branches
            for child in (branch.named.get(name), branch.parameter if name else None)
            if child is not None
        ]
    parameters = [branch.parameter for branch in branches if branch.parameter is not None]
    methods: dict[str, MatchedRoute] = {}
    for branch in reversed(branches):
        methods |= branch.methods
    return _Node(
        named={name: _finished(children) for name, children in named.items()},
        parameter=_finished(parameters) if parameters else None,
        methods=methods,
    )


def _operations(branch: _Branch) -> Iterable[tuple[str, str]]:
    for method, matched in branch.methods.items():
        yield method, matched.template
    children = list(branch.named.values())
    if branch.parameter is not None:
        children.append(branch.parameter)
    for child in children:
        yield from _operations(child)
