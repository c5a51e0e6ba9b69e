"""What stands in a request: its body, its path, its tokens, its filter."""

from typing import Any, TypeAlias
from urllib.parse import quote, quote_from_bytes

import msgspec
from hypothesis import strategies as st

from projections.events import event_from
from projections.facts import FACTS_IN_ENTRY_MAX, Order, order_of
from server.app import ROUTES
from server.errors import ErrorCode
from server.http.authentication import access_token_of
from server.http.parsing import parse_object
from server.http.routing import MatchedRoute, Route, RouteTable
from server.rooms import canonical_json
from server.sync.filters import Filter, RoomEventFilter, parse_event_filter, parse_filter
from server.sync.tokens import parse_token, token_after
from tests.fuzzing.target import Target, json_like, mangled, refuses
from tests.harness.route_requests import parameters
from tests.server.http.scripted import request

TABLE = RouteTable(ROUTES)
HEAD = 10**6
"""Of the log that page tokens speak of."""
EVENT = event_from(
    {
        "type": "m.room.message",
        "sender": "@alice:localhost",
        "room_id": "!a:localhost",
        "origin_server_ts": 1,
        "content": {"body": "hello", "url": "mxc://localhost/a"},
    }
)

Found: TypeAlias = tuple[MatchedRoute, dict[str, str]]


def is_read_again(_: bytes, value: dict[str, Any]) -> bool:
    return parse_object(msgspec.json.encode(value)) == value


def canonical_form(body: bytes) -> bytes:
    """As an event's content goes from a request into the log."""
    content = parse_object(body)
    canonical_json.check(content)
    return canonical_json.encode(content)


def is_canonical_already(_: bytes, canonical: bytes) -> bool:
    return canonical_form(canonical) == canonical


def is_of_the_method(asked: tuple[str, bytes], found: Found) -> bool:
    matched, values = found
    return matched.method == asked[0] and all(values.values())


def find_filled(asked: tuple[Route, str, list[str]]) -> Found:
    """Look for a path whose parameters are these texts."""
    route, prefix, texts = asked
    target = prefix + route.path
    for name, text in zip(parameters(route), texts, strict=False):
        target = target.replace(f"{{{name}}}", quote(text, safe=""))
    return TABLE.find(route.method, target.encode())


def are_as_they_went_in(asked: tuple[Route, str, list[str]], found: Found) -> bool:
    route, _, texts = asked
    return list(found[1].values()) == texts[: len(parameters(route))]


def access_token(asked: tuple[list[bytes], bytes]) -> str:
    headers, query = asked
    arrived = request(query=query, headers=[(b"authorization", header) for header in headers])
    return access_token_of(arrived, query_allowed=True)


def came_over_the_wire(asked: tuple[list[bytes], bytes], token: str) -> bool:
    headers, query = asked
    if headers:
        return headers[0].endswith(b" " + token.encode())
    return bool(token) and b"access_token=" in query


def page_token(text: str) -> Order:
    return parse_token(text, head=HEAD, parameter="from")


def is_a_place_that_is_there(_: str, order: Order) -> bool:
    return 0 <= order < order_of(HEAD + 1) and page_token(token_after(order)) == order


def tells_events_apart(_: bytes | str, found: Filter | RoomEventFilter) -> bool:
    """One that was taken can be asked about any event."""
    wanted = found.room.timeline if isinstance(found, Filter) else found
    answers = {wanted.admits(EVENT), wanted.admits_room(EVENT.room_id)}
    return answers <= {True, False} and 0 <= wanted.limit_or(20) <= 1_000


_SYNC_FILTER: dict[str, Any] = {
    "event_fields": ["content.body"],
    "room": {"timeline": {"limit": 5, "types": ["m.*"], "not_senders": ["@a:b"], "contains_url": True}},
}
_EVENT_FILTERS: tuple[dict[str, Any], ...] = (
    {"types": ["*" * 50, "m.room.*"], "rooms": ["!a:localhost"], "lazy_load_members": True},
    {"types": ["*a" * 50], "not_types": ["**"], "limit": 0},
)
_BODIES = json_like({"msgtype": "m.text", "body": "é"}, {"a": {"b": [1, 1.5, None]}})
_TEMPLATES = [(route, prefix) for route in ROUTES for prefix in route.prefixes]
_SPELLED_OUT = {segment for route in ROUTES for segment in route.path.split("/")}
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
_other_texts = _texts.filter(lambda text: text not in _SPELLED_OUT)
_digits = st.integers(0, 10**15).map(str) | st.sampled_from(["", "0", "-1", "٣", "1" * 30, "65535", "65536"])
_orders = st.builds(order_of, st.integers(0, HEAD), st.integers(0, FACTS_IN_ENTRY_MAX - 1))

TARGETS = {
    "body": Target(_BODIES, parse_object, refuses(ErrorCode.NOT_JSON, ErrorCode.BAD_JSON), is_read_again),
    "content": Target(
        _BODIES,
        canonical_form,
        refuses(ErrorCode.NOT_JSON, ErrorCode.BAD_JSON, ErrorCode.TOO_LARGE),
        is_canonical_already,
    ),
    "path": Target(
        st.tuples(
            st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH", ""]),
            mangled(st.sampled_from([(prefix + route.path).encode() for route, prefix in _TEMPLATES]))
            | st.binary(max_size=30),
        ),
        lambda asked: TABLE.find(*asked),
        refuses(ErrorCode.NO_SUCH_PATH, ErrorCode.NO_SUCH_METHOD, ErrorCode.INVALID_PARAM),
        is_of_the_method,
    ),
    "path segments": Target(
        st.builds(
            lambda template, texts: (*template, texts),
            st.sampled_from([one for one in _TEMPLATES if parameters(one[0])]),
            st.lists(_other_texts, min_size=3, max_size=3),
        ),
        find_filled,
        refuses(),
        are_as_they_went_in,
    ),
    "access token": Target(
        st.tuples(
            st.lists(mangled(st.just(b"Bearer s3cret")), max_size=2),
            mangled(st.just(b"access_token=s3cret"))
            | st.binary(max_size=9).map(lambda octets: quote_from_bytes(octets).encode()),
        ),
        access_token,
        refuses(ErrorCode.MISSING_TOKEN, ErrorCode.INVALID_PARAM),
        came_over_the_wire,
    ),
    "page token": Target(
        st.builds(lambda position, index: f"s{position}.{index}", _digits, _digits)
        | _digits.map(lambda position: f"s{position}")
        | _orders.map(token_after)
        | st.text(max_size=8),
        page_token,
        refuses(ErrorCode.INVALID_PARAM),
        is_a_place_that_is_there,
    ),
    "filter of /sync": Target(
        json_like(_SYNC_FILTER, {"room": _EVENT_FILTERS[1]}, {}),
        parse_filter,
        refuses(ErrorCode.INVALID_PARAM),
        tells_events_apart,
    ),
    "filter of /messages": Target(
        json_like(*_EVENT_FILTERS, {}).map(lambda text: text.decode(errors="replace")),
        parse_event_filter,
        refuses(ErrorCode.INVALID_PARAM),
        tells_events_apart,
    ),
}
