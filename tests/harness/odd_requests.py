"""Requests with one thing wrong in them: hypothesis strategies, made from what a route says of itself.

A body is first made as the handler wants it, of the struct that it parses, with people and rooms that there
are; then one place of it is changed. Such a request passes all checks but one, and comes further in than
one that is wrong throughout.
"""

import copy
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, quote_from_bytes

import msgspec.inspect
from hypothesis import strategies as st

from server.http.routing import Route
from tests.harness.client import PASSWORD, Client
from tests.harness.route_requests import QUERIES, body_of, parameters, path_values, path_with

Json: TypeAlias = Any


USER, ROOM, DEVICE = "THE-USER", "THE-ROOM", "THE-DEVICE"
"""Stand for who asks and where, so that a strategy is made once for all of them."""


class Place(NamedTuple):
    """Who asks, and a room of theirs."""

    client: Client
    room: str


class OddRequest(NamedTuple):
    """As it stands on the wire, but for who asks and where."""

    method: str
    target: str
    body: bytes
    headers: Sequence[bytes] = ()

    def at(self, place: Place) -> "OddRequest":
        target, body = self.target, self.body
        known = {USER: place.client.user_id, ROOM: place.room, DEVICE: place.client.device_id}
        for name, value in known.items():
            target = target.replace(name, quote(value))
            body = body.replace(name.encode(), value.encode())
        return self._replace(target=target, body=body)


_WORDS: dict[str, tuple[Json, ...]] = {
    "auth": ({"type": "m.login.dummy"}, {"type": "m.login.password", "password": PASSWORD}),
    "device_id": (DEVICE, "UNHEARD-OF"),
    "history_visibility": ("shared", "joined", "world_readable"),
    "identifier": ({"type": "m.id.user", "user": USER},),
    "invite": (["@alice:localhost"], []),
    "join_rule": ("public", "knock", "restricted"),
    "limit": (1, 10),
    "membership": ("join", "leave", "invite", "ban", "knock"),
    "msgtype": ("m.text",),
    "new_version": ("10", "12"),
    "password": (PASSWORD, "wrong"),
    "preset": ("private_chat", "public_chat", "trusted_private_chat"),
    "redacts": ("$unheard-of",),
    "room_id": (ROOM,),
    "room_version": ("6", "10", "11", "12"),
    "state_key": ("", USER, "key"),
    "type": ("m.login.password", "m.room.topic", "m.room.power_levels", "m.room.member"),
    "user": (USER,),
    "user_id": (USER, "@alice:localhost", "@nobody:localhost"),
    "users": ({USER: 100}, {"@alice:localhost": 50}),
    "visibility": ("public", "private"),
}
"""What a field of this name means something with."""

_CONTENTS: tuple[Json, ...] = (
    {"msgtype": "m.text", "body": "hello"},
    {"msgtype": "m.text", "body": "hello", "m.relates_to": {"rel_type": "m.thread", "event_id": "$a"}},
    {"membership": "invite", "displayname": "Name", "reason": "why"},
    {"users": {USER: 100, "@alice:localhost": 50}, "events": {"m.room.name": 50}, "ban": 50},
    {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": ROOM}]},
    {"alias": "#a:localhost", "alt_aliases": ["#b:localhost"]},
    {"redacts": "$unheard-of", "reason": "slip"},
    {"history_visibility": "shared"},
    {
        "room": {"timeline": {"limit": 10, "types": ["m.*"]}, "rooms": [ROOM]},
        "event_fields": ["content.a"],
    },
)
"""Of bodies that are taken as they are."""

_EVENT_TYPES = (
    "com.example.own",
    "m.room.message",
    "m.room.member",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.history_visibility",
    "m.room.redaction",
    "m.room.create",
    "m.room.encryption",
)

_ODD: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 50, 2**31, 2**53 - 1, 2**53, -(2**63), 2**64, 10**400, 1.5, 1e300),
    *("", " ", "x", "\0", "\ud800", "\u202e\U0001f408", "@", "@:", "@a:b", "!", "#", "$", ":", "é" * 128),
    *("x" * 256, "x" * 70_000, "%2F", "../..", "{", "m.room.create", "null", "1"),
    *(
        [],
        [None],
        [[]],
        [{}],
        ["x"],
        ["x"] * 1_001,
        [1, "1", None],
        {},
        {"": {}},
        {"a": None},
        {"a" * 300: 1},
    ),
    {"type": [], "user": {}, "limit": "x", "event_id": 1, "membership": "join"},
)
"""In the place of anything."""

_odd = st.sampled_from(_ODD) | st.text(max_size=5) | st.integers()
_few_texts = st.text(max_size=8)


@cache
def odd_requests(route: Route) -> st.SearchStrategy[OddRequest]:
    kinds = [_odd_target(route), _odd_query(route), _odd_headers(route)]
    if route.method != "GET":
        kinds += [_mutated_body(route)] * 5 + [_broken_body(route)]
    return st.one_of(kinds)


@cache
def _targets(route: Route) -> st.SearchStrategy[str]:
    """In which nothing is wrong."""
    values = path_values(USER, ROOM, DEVICE)
    return st.builds(
        lambda prefix, event_type, state_key: path_with(
            route, prefix, values | {"event_type": event_type, "state_key": state_key}
        ),
        st.sampled_from(route.prefixes),
        st.sampled_from(_EVENT_TYPES),
        st.sampled_from(["key", USER]),
    )


@cache
def valid_bodies(route: Route) -> st.SearchStrategy[Json]:
    body = body_of(route)
    return st.sampled_from(_CONTENTS) if body is None else _values_of(msgspec.inspect.type_info(body), "body")


def _values_of(kind: msgspec.inspect.Type, name: str) -> st.SearchStrategy[Json]:
    """Values of the type that a field is annotated with; such as mean something, where the name tells."""
    match kind:
        case msgspec.inspect.StructType(fields=fields):
            return st.fixed_dictionaries(
                {one.encode_name: _values_of(one.type, one.encode_name) for one in fields if one.required},
                optional={
                    one.encode_name: _values_of(one.type, one.encode_name)
                    for one in fields
                    if not one.required
                },
            )
        case msgspec.inspect.UnionType(types=types):
            told = [one for one in types if not isinstance(one, msgspec.inspect.NoneType)]
            return st.one_of([_values_of(one, name) for one in told])
        case msgspec.inspect.Metadata(type=inner):
            return _values_of(inner, name)
        case msgspec.inspect.ListType(item_type=item) if name not in _WORDS:
            return st.lists(_values_of(item, name), max_size=2)
        case msgspec.inspect.LiteralType(values=values):
            return st.sampled_from(values)
    if name in _WORDS:
        return st.sampled_from(_WORDS[name])
    simple: dict[type[msgspec.inspect.Type], st.SearchStrategy[Json]] = {
        msgspec.inspect.BoolType: st.booleans(),
        msgspec.inspect.IntType: st.integers(0, 100),
        msgspec.inspect.StrType: _few_texts,
        msgspec.inspect.NoneType: st.none(),
    }
    return simple.get(type(kind), st.sampled_from(_CONTENTS))


def _places_in(value: Json) -> list[tuple[str | int, ...]]:
    """The way to each value within a value, that to itself first."""
    children: list[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    return [(), *((name, *rest) for name, item in children for rest in _places_in(item))]


Change: TypeAlias = Callable[[Json], Json]

_changes: st.SearchStrategy[Change] = st.one_of(
    _odd.map(lambda odd: lambda _: odd),
    st.sampled_from(
        [
            lambda value: [value],
            lambda value: {"a": value},
            lambda value: str(value),
            lambda value: value * 2 if isinstance(value, str | list) else [value, value],
            lambda value: value.upper() if isinstance(value, str) else value,
        ]
    ),
    st.builds(
        lambda name, odd: lambda value: {**value, name: odd} if isinstance(value, dict) else odd,
        st.sampled_from(sorted(_WORDS)) | _few_texts,
        _odd,
    ),
)


def mutated(value: Json, way: tuple[str | int, ...], change: Change) -> Json:
    """The value with one place in it changed."""
    if not way:
        return change(value)
    made = inner = copy.deepcopy(value)
    for step in way[:-1]:
        inner = inner[step]
    inner[way[-1]] = change(inner[way[-1]])
    return made


@st.composite
def _mutated_body(draw: st.DrawFn, route: Route) -> OddRequest:
    body = draw(valid_bodies(route))
    way = draw(st.sampled_from(_places_in(body)))
    text = json.dumps(mutated(body, way, draw(_changes)))
    return OddRequest(route.method, draw(_targets(route)), text.encode())


@st.composite
def _broken_body(draw: st.DrawFn, route: Route) -> OddRequest:
    """A good body with bytes missing, doubled or put in."""
    text = json.dumps(draw(valid_bodies(route)), ensure_ascii=False).encode()
    begin, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    between = draw(
        st.sampled_from([b"", text[begin:end] * 2, b'"a":1,"a":2,', b"NaN", b"1e999"]) | _few_bytes
    )
    body = text[:begin] + between + text[end:]
    return OddRequest(route.method, draw(_targets(route)), body)


_few_bytes = st.binary(max_size=6)
_segments = _few_bytes.map(quote_from_bytes) | st.sampled_from(
    [
        *(
            "",
            ".",
            "..",
            "%2E%2E",
            "%",
            "%zz",
            "%00",
            "%FF",
            "%ED%A0%80",
            "%2F",
            "%252F",
            "+",
            ";a=b",
            ":",
            "~",
        ),
        *("@", "%40a:localhost", "!a:localhost", "%23a:localhost", "$a", "0", "-1", "9" * 30, "x" * 300),
        *("%F0%9F%90%88" * 64, "m.room.member", "m.room.create"),
    ]
)


@st.composite
def _odd_target(draw: st.DrawFn, route: Route) -> OddRequest:
    """Something else in the place of one parameter, or behind the path."""
    names = parameters(route)
    prefix = draw(st.sampled_from(route.prefixes))
    replaced = {draw(st.sampled_from(names)): draw(_segments)} if names else {}
    rest = "" if names else draw(st.sampled_from(["", "/", "//", "/x", ";", "%00", "#x"]))
    target = path_with(route, prefix, path_values(USER, ROOM, DEVICE) | replaced) + rest
    return OddRequest(route.method, target, _body_that_does(draw, route))


_TIMES = ("0", "1", "-1", "1.5", "x", "", "9" * 30)
"""Of `timeout`, which is waited for when it makes sense."""

_query_values = _few_bytes.map(quote_from_bytes) | st.sampled_from(
    [
        *("", "x", "0", "-1", "1", "1.5", "9" * 30, "true", "%00", "%FF", "%zz", "+", "a=b", "x" * 2_000),
        *(
            "{",
            "[]",
            "{}",
            '{"room":1}',
            '{"room":{"timeline":{"limit":-1}}}',
            '{"types":["*"],"limit":0}',
            "s1",
        ),
        *("s1.1", "s0", "s9999999999", "t1", "f", "b", "join", "event", "content", "@a:b", "!a:b", "$a", "٣"),
    ]
)
_pairs = st.one_of(
    st.tuples(st.sampled_from([name for name in QUERIES if name != "timeout"]), _query_values),
    st.tuples(st.just("timeout"), st.sampled_from(_TIMES)),
    st.tuples(_few_bytes.map(quote_from_bytes), _query_values),
).map("=".join)


@st.composite
def _odd_query(draw: st.DrawFn, route: Route) -> OddRequest:
    joined = draw(st.sampled_from(["&", "&&", ";", "&%20"])).join(draw(st.lists(_pairs, max_size=4)))
    target = f"{draw(_targets(route))}?{joined.replace(' ', '%20')}"
    return OddRequest(route.method, target, _body_that_does(draw, route))


_HEADERS = (
    b"Authorization: Basic YWxpY2U6eA==",
    b"Authorization: Bearer",
    b"Authorization: bearer x",
    b"Authorization: \xff\xfe",
    b"Accept: application/xml",
    b"Accept-Encoding: gzip;q=x",
    b"Connection: close",
    b"Connection: Upgrade\r\nUpgrade: websocket",
    b"Content-Encoding: gzip",
    b"Content-Length: 1",
    b"Content-Length: -1",
    b"Content-Type: \xff",
    b"Content-Type: application/x-www-form-urlencoded",
    b"Content-Type: text/plain; charset=utf-16",
    b"Cookie: a=b",
    b"Expect: 100-continue",
    b"Expect: the unexpected",
    b"Host: a\r\nHost: b",
    b"If-None-Match: *",
    b"Origin: null",
    b"Range: bytes=0-1",
    b"Transfer-Encoding: gzip",
    b"Transfer-Encoding: chunked",
    b"X-Forwarded-For: \x00",
    b"X-Forwarded-For: " + b"1.2.3.4, " * 500,
    b"X-HTTP-Method-Override: DELETE",
    b"X: ",
    b": x",
    b"no colon",
    b" folded",
)
_header_lines = st.sampled_from(_HEADERS) | _few_bytes.map(
    lambda value: b"X-Odd: " + value.replace(b"\r", b"").replace(b"\n", b"")
)


@st.composite
def _odd_headers(draw: st.DrawFn, route: Route) -> OddRequest:
    body = _body_that_does(draw, route)
    headers = draw(st.lists(_header_lines, min_size=1, max_size=3))
    return OddRequest(route.method, draw(_targets(route)), body, headers)


def _body_that_does(draw: st.DrawFn, route: Route) -> bytes:
    return b"" if route.method == "GET" else json.dumps(draw(valid_bodies(route))).encode()
