"""Finding the endpoint of a request: how paths are taken apart, what wins, and what it costs."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from server.errors import ErrorCode, MatrixError
from server.http.answers import Refusal
from server.http.routing import (
    CLIENT,
    ROOT,
    UNVERSIONED,
    V2_2015,
    MatchedRoute,
    Rendering,
    Route,
    RouteTable,
    rendering,
)
from tests.server.http.scripted import request

SEND = "/rooms/{room_id}/send/{event_type}/{txn_id}"
STATE = "/rooms/{room_id}/state/{event_type}"
V3 = "/_matrix/client/v3"


async def endpoint(_: Request) -> Response:
    return Response()


def table(*rows: tuple[str, str]) -> RouteTable:
    return RouteTable(Route(method, path, endpoint, ROOT) for method, path in rows)


@pytest.fixture(scope="module")
def rooms() -> RouteTable:
    return table(
        ("PUT", SEND),
        ("PUT", STATE),
        ("PUT", STATE + "/"),
        ("PUT", STATE + "/{state_key}"),
        ("GET", "/rooms/{room_id}/state"),
    )


def found(routes: RouteTable, method: str, path: str) -> tuple[str, dict[str, str]]:
    matched, parameters = routes.find(method, path.encode())
    return matched.path, parameters


def refused(routes: RouteTable, method: str, path: str | bytes) -> ErrorCode:
    with pytest.raises(MatrixError) as caught:
        routes.find(method, path.encode() if isinstance(path, str) else path)
    return caught.value.kind


def test_parameters_are_taken_from_their_segments(rooms: RouteTable) -> None:
    assert found(rooms, "PUT", "/rooms/!636q39766251:example.com/send/m.room.message/35") == (
        SEND,
        {"room_id": "!636q39766251:example.com", "event_type": "m.room.message", "txn_id": "35"},
    )


def test_an_escaped_slash_stays_in_its_segment(rooms: RouteTable) -> None:
    path, parameters = found(rooms, "PUT", "/rooms/r/send/a%2Fb/1%2f2")
    assert (path, parameters["event_type"], parameters["txn_id"]) == (SEND, "a/b", "1/2")


def test_a_segment_is_decoded_only_once(rooms: RouteTable) -> None:
    assert found(rooms, "PUT", "/rooms/r/send/t/%2541")[1]["txn_id"] == "%41"


def test_a_plus_sign_is_no_blank(rooms: RouteTable) -> None:
    assert found(rooms, "PUT", "/rooms/r/send/t/a+b")[1]["txn_id"] == "a+b"


@given(texts=st.lists(st.text(min_size=1), min_size=3, max_size=3))
def test_any_text_can_stand_in_a_segment(rooms: RouteTable, texts: list[str]) -> None:
    room_id, event_type, txn_id = (quote(text, safe="") for text in texts)
    _, parameters = found(rooms, "PUT", f"/rooms/{room_id}/send/{event_type}/{txn_id}")
    assert list(parameters.values()) == texts


def test_an_escaped_name_is_the_name(rooms: RouteTable) -> None:
    assert found(rooms, "PUT", "/%72ooms/r/send/t/1")[0] == SEND


@pytest.mark.parametrize("segment", [b"%FF", b"%ED%A0%80", b"%C0%AF", b"%", b"%2", b"%zz", b"a%2Gb", b"\xff"])
def test_what_is_no_escaped_text_is_invalid(rooms: RouteTable, segment: bytes) -> None:
    assert refused(rooms, "PUT", b"/rooms/" + segment + b"/send/t/1") is ErrorCode.INVALID_PARAM


@pytest.mark.parametrize("path", ["/rooms//send/t/1", "/rooms/r/send//1"])
def test_an_empty_segment_never_shifts_the_others(rooms: RouteTable, path: str) -> None:
    assert refused(rooms, "PUT", path) is ErrorCode.INVALID_PARAM


def test_an_empty_parameter_is_named(rooms: RouteTable) -> None:
    with pytest.raises(MatrixError, match=r"event_type must not be empty\."):
        rooms.find("PUT", b"/rooms/r/send//1")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/",
        "//",
        "rooms/r/state",
        "/rooms",
        "/rooms/r/nothing",
        "/rooms/r/send/t/1/2",
        "//rooms/r/state",
    ],
)
def test_an_unknown_path_is_not_found(rooms: RouteTable, path: str) -> None:
    assert refused(rooms, "GET", path) is ErrorCode.NO_SUCH_PATH


def test_a_trailing_slash_is_another_path(rooms: RouteTable) -> None:
    assert refused(rooms, "PUT", "/rooms/r/send/t/1/") is ErrorCode.NO_SUCH_PATH


def test_a_trailing_slash_is_no_empty_parameter(rooms: RouteTable) -> None:
    assert refused(rooms, "PUT", "/rooms/r/send/t/") is ErrorCode.NO_SUCH_PATH


def test_a_parameter_lends_no_methods_to_a_trailing_slash() -> None:
    routes = table(("GET", "/rules/"), ("PUT", "/rules/{rule_id}"))
    assert refused(routes, "PUT", "/rules/") is ErrorCode.NO_SUCH_METHOD


@pytest.mark.parametrize(
    ("path", "state_key"),
    [("", None), ("/", None), ("/foo", "foo"), ("/%40my_user%3Adomain.com", "@my_user:domain.com")],
)
@pytest.mark.requirement("S22", "E06")
def test_state_is_set_with_a_key_or_without(rooms: RouteTable, path: str, state_key: str | None) -> None:
    assert found(rooms, "PUT", f"/rooms/r/state/t{path}")[1].get("state_key") == state_key


@pytest.mark.requirement("E04")
def test_a_state_path_takes_no_transaction_id(rooms: RouteTable) -> None:
    assert refused(rooms, "PUT", "/rooms/r/state/m.another.example.event/foo/11") is ErrorCode.NO_SUCH_PATH


@pytest.mark.parametrize("path", ["", "/", "/foo"])
@pytest.mark.requirement("S24", "E03")
def test_state_cannot_be_posted(rooms: RouteTable, path: str) -> None:
    assert refused(rooms, "POST", f"/rooms/r/state/t{path}") is ErrorCode.NO_SUCH_METHOD


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "put"])
def test_other_methods_are_refused(rooms: RouteTable, method: str) -> None:
    assert refused(rooms, method, "/rooms/r/send/t/1") is ErrorCode.NO_SUCH_METHOD


def test_a_wrong_method_is_told_the_right_ones() -> None:
    routes = table(("PUT", "/profile/{user_id}"), ("GET", "/profile/{user_id}"))
    with pytest.raises(Refusal) as caught:
        routes.find("POST", b"/profile/u")
    assert caught.value.headers == {"Allow": "GET, OPTIONS, PUT"}


def test_a_spelled_out_segment_wins() -> None:
    routes = table(("GET", "/events/{event_id}"), ("GET", "/events/latest"))
    assert found(routes, "GET", "/events/latest") == ("/events/latest", {})


def test_a_spelled_out_segment_hides_no_method() -> None:
    routes = table(("GET", "/profile/{user_id}/displayname"), ("DELETE", "/profile/{user_id}/{key}"))
    assert found(routes, "DELETE", "/profile/u/displayname") == (
        "/profile/{user_id}/{key}",
        {"user_id": "u", "key": "displayname"},
    )


def test_a_spelled_out_segment_hides_no_longer_path() -> None:
    routes = table(("POST", "/presence/list/{user_id}"), ("PUT", "/presence/{user_id}/status"))
    assert found(routes, "PUT", "/presence/list/status") == (
        "/presence/{user_id}/status",
        {"user_id": "list"},
    )


_PATTERN = st.lists(st.sampled_from(["a", "b", "{x}"]), min_size=1, max_size=4)
_ROW = st.tuples(st.sampled_from(["GET", "PUT"]), _PATTERN)


@given(
    rows=st.lists(_ROW, unique_by=lambda row: (row[0], tuple(row[1])), max_size=12),
    method=st.sampled_from(["GET", "PUT"]),
    segments=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_the_table_finds_what_trying_all_routes_finds(
    rows: list[tuple[str, list[str]]], method: str, segments: list[str]
) -> None:
    named_apart = [(method, _with_distinct_names(pattern)) for method, pattern in rows]
    routes = table(*((method, "/" + "/".join(pattern)) for method, pattern in named_apart))
    path = "/" + "/".join(segments)
    fitting = [(known, pattern) for known, pattern in named_apart if _fits(pattern, segments)]
    serving = [pattern for known, pattern in fitting if known == method]
    if serving:
        best = max(serving, key=lambda pattern: [not segment.startswith("{") for segment in pattern])
        assert found(routes, method, path)[0] == "/" + "/".join(best)
    else:
        expected = ErrorCode.NO_SUCH_METHOD if fitting else ErrorCode.NO_SUCH_PATH
        assert refused(routes, method, path) is expected


def _with_distinct_names(pattern: list[str]) -> list[str]:
    return [f"{{x{place}}}" if segment == "{x}" else segment for place, segment in enumerate(pattern)]


def _fits(pattern: list[str], segments: list[str]) -> bool:
    return len(pattern) == len(segments) and all(
        wanted.startswith("{") or wanted == segment for wanted, segment in zip(pattern, segments, strict=True)
    )


def test_two_rows_for_one_path_are_an_error() -> None:
    with pytest.raises(ValueError, match="same path"):
        table(("GET", "/rooms/{room_id}/state"), ("GET", "/rooms/{id}/state"))


def test_one_name_for_two_parameters_is_an_error() -> None:
    with pytest.raises(ValueError, match="two parameters of one name"):
        table(("GET", "/{id}/to/{id}"))


def test_a_route_is_served_behind_every_prefix() -> None:
    routes = RouteTable([Route("GET", "/sync", endpoint, CLIENT + V2_2015)])
    assert routes.operations == [
        ("GET", "/_matrix/client/api/v1/sync"),
        ("GET", "/_matrix/client/r0/sync"),
        ("GET", "/_matrix/client/v2_alpha/sync"),
        ("GET", "/_matrix/client/v3/sync"),
    ]


def test_operations_show_their_parameters() -> None:
    routes = RouteTable(
        [Route("PUT", SEND, endpoint, ROOT), Route("GET", "/versions", endpoint, UNVERSIONED)]
    )
    assert routes.operations == [("GET", "/_matrix/client/versions"), ("PUT", SEND)]


def matched(path: str) -> MatchedRoute:
    routes = RouteTable([Route("PUT", SEND, endpoint, CLIENT + V2_2015)])
    return routes.find("PUT", path.encode())[0]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("api/v1", Rendering.V1),
        ("r0", Rendering.TODAY),
        ("v3", Rendering.TODAY),
        ("v2_alpha", Rendering.TODAY),
    ],
)
def test_the_prefix_decides_the_rendering(prefix: str, expected: Rendering) -> None:
    route = matched(f"/_matrix/client/{prefix}/rooms/r/send/t/1")
    assert rendering(request(matched_route=route)) is expected


def test_the_template_names_the_route_and_nobody_in_it() -> None:
    assert matched(V3 + "/rooms/!secret/send/t/1").template == V3 + SEND


def test_finding_a_route_costs_the_same_among_many() -> None:
    hot = ("PUT", SEND)
    others = [("GET", f"/section{number}/{{id}}/calls/{{call}}") for number in range(500)]
    path = b"/rooms/!r:example.org/send/m.room.message/1"
    alone, first, last = table(hot), table(hot, *others), table(*others, hot)
    steps = [_steps(partial(routes.find, "PUT", path)) for routes in (alone, first, last)]
    assert len(set(steps)) == 1


def test_steps_are_counted() -> None:
    """The control of the test above: what tries one route after the other does take more steps."""
    assert _steps(lambda: _tried_in_turn(1)) < _steps(lambda: _tried_in_turn(500))


def _tried_in_turn(routes: int) -> int:
    tried = 0
    for _ in range(routes):
        tried += 1
    return tried


def _steps(call: Callable[[], object]) -> int:
    """Lines of Python that a call executes: does not depend on the machine, as time would."""
    lines = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines
