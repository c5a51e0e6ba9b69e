"""Every answer that is no success has one form, and nothing that a client sends is the server's fault.

What is tried here is tried on every route of the table that is served, so that a new one is covered by
being there.
"""

import http.client
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from server.app import ROUTES
from server.http.parsing import BODY_BYTES_MAX
from server.http.routing import Route
from tests.harness.client import PREFIXES, Client, error_of, path_of
from tests.harness.route_requests import QUERIES, fields_of, filled, name_of, parameters
from tests.harness.server_process import ServerProcess
from tests.harness.wire import Wire, check
from tests.server.api.test_access import OPEN_TO_ANYBODY
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

MISSING = (401, "M_MISSING_TOKEN")
UNKNOWN = (401, "M_UNKNOWN_TOKEN")

SEGMENTS = (
    "%00",
    "%FF",
    "%ED%A0%80",
    "%zz",
    "%2F",
    "%252F",
    "%2E%2E",
    "..",
    "%20",
    "%F0%9F%90%88",
    "%E2%80%AE",
    "x" * 300,
    "%F0%9F%90%88" * 255,
    "0",
    "%40",
    "%21",
    "%23:",
    "%24",
    "@a:b",
    "",
)
"""In the place of a parameter of the path, as they stand on the wire."""

BODIES = (
    b"",
    b"{",
    b"{}",
    b"[]",
    b"[{}]",
    b"null",
    b"0",
    b"true",
    b'"text"',
    b"\xff\xfe",
    b"\x00",
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a": 1.5}',
    b'{"a": ' + b"9" * 5_000 + b"}",
    b'{"a": 1, "a": 2}',
    b'{"a": "\\ud800"}',
    b'{"\\udfff": 1}',
    b"[" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"a":' * 90 + b"1" + b"}" * 90,
    b'{"a": "' + b"x" * BODY_BYTES_MAX + b'"}',
    b'{"' + b"k" * 70_000 + b'": 1}',
)

VALUES: tuple[Any, ...] = (
    None,
    1,
    -1,
    2**53,
    2**70,
    1.5,
    True,
    "",
    "x",
    "\0",
    "\u202e\U0001f408",
    "x" * 70_000,
    [],
    [None],
    [[]],
    [{"type": 1}],
    {},
    {"a": None},
    {"type": [], "user": {}, "limit": "x"},
)
"""In the place of a field of a body, most of them of the wrong type."""

QUERY_VALUES = ("", "x", "-1", "1.5", "9" * 30, "true", "%00", "%FF", "{", "[]", '{"room":1}', "%F0%9F%90%88")

VALUES_OF_A_FIELD = 6
"""Tried on one field of one route; the next takes the next ones, so that all are tried on the whole."""


@pytest.fixture(scope="module")
def wire(server: ServerProcess) -> Iterator[Wire]:
    wire = Wire(server.address)
    yield wire
    wire.close()


Victim = Callable[[], tuple[Client, str]]

_numbers = itertools.count(1)
"""Of victims. The server outlives this module's fixtures: a worker that takes over tests of another may come
back to this module, and make them anew.
"""


@pytest.fixture(scope="module")
def victim(http: httpx.Client) -> Victim:
    """Somebody with a room, on whom everything is tried; another one once they are logged out."""
    current: list[tuple[Client, str]] = []

    def find() -> tuple[Client, str]:
        if not current or current[0][0].call("GET", "/account/whoami").status_code != 200:
            client = Client("", http=http).register(f"victim{next(_numbers)}")
            current[:] = [(client, client.create_room())]
        return current[0]

    return find


WITH_BODY = [route for route in ROUTES if route.method != "GET"]

every_route = pytest.mark.parametrize("route", ROUTES, ids=name_of)


@every_route
@requirement("R01", "R02", "S09", "V07")
def test_no_path_is_the_servers_fault(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    for parameter in parameters(route):
        for segment in SEGMENTS:
            target = filled(route, client, room, **{parameter: segment})
            check(wire.ask(route.method, target, b"{}", client.token), f"{route.method} {target}")


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
@requirement("R01", "S05")
def test_no_body_is_the_servers_fault(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    target = filled(route, client, room)
    for body in BODIES:
        check(wire.ask(route.method, target, body, client.token), f"{route.method} {target} {body[:50]!r}")


@pytest.mark.parametrize("route", WITH_BODY, ids=name_of)
@requirement("R01")
def test_no_field_is_the_servers_fault(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    target, values = filled(route, client, room), itertools.cycle(VALUES)
    for _ in range(WITH_BODY.index(route)):
        next(values)
    for field in fields_of(route):
        for value in itertools.islice(values, VALUES_OF_A_FIELD):
            body = json.dumps({field: value}).encode()
            check(
                wire.ask(route.method, target, body, client.token), f"{route.method} {target} {body[:50]!r}"
            )


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=name_of)
@requirement("R01", "R06")
def test_no_query_is_the_servers_fault(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    shift = ROUTES.index(route)
    pairs = [
        f"{name}={quote(QUERY_VALUES[(number + shift) % len(QUERY_VALUES)], safe='%')}"
        for number, name in enumerate(QUERIES)
    ]
    for query in (*pairs, "&&&&", "=", "%FF=%FF", "a=%zz", "&".join(pairs), "dir=b&limit=1&limit=x"):
        target = filled(route, client, room) + "?" + query
        check(wire.ask(route.method, target, token=client.token), f"{route.method} {target}")


CREATE_ROOM = next(route for route in ROUTES if route.path == "/createRoom")


@pytest.mark.parametrize(
    "field",
    [
        "creation_content",
        "initial_state",
        "invite",
        "is_direct",
        "name",
        "power_level_content_override",
        "preset",
        "room_alias_name",
        "room_version",
        "topic",
        "visibility",
    ],
)
@requirement("M08", "R01")
def test_no_new_room_is_the_servers_fault(wire: Wire, victim: Victim, field: str) -> None:
    client, room = victim()
    for value in VALUES:
        body = json.dumps({field: value}).encode()
        answer = wire.ask("POST", filled(CREATE_ROOM, client, room), body, client.token)
        check(answer, f"createRoom {body[:50]!r}")


STATE_OF_MEANING = {
    "m.room.aliases": ["aliases"],
    "m.room.avatar": ["url"],
    "m.room.canonical_alias": ["alias", "alt_aliases"],
    "m.room.encryption": ["algorithm"],
    "m.room.guest_access": ["guest_access"],
    "m.room.history_visibility": ["history_visibility"],
    "m.room.join_rules": ["join_rule", "allow"],
    "m.room.name": ["name"],
    "m.room.power_levels": [
        "ban",
        "events",
        "invite",
        "kick",
        "notifications",
        "redact",
        "users",
        "users_default",
    ],
    "m.room.redaction": ["redacts"],
    "m.room.server_acl": ["allow", "deny", "allow_ip_literals"],
    "m.room.third_party_invite": ["display_name", "public_key", "public_keys"],
    "m.room.tombstone": ["body", "replacement_room"],
    "m.room.topic": ["topic"],
}
"""State in which the server or a client may look for something, and where."""

READS = (
    '/sync?filter={{"room":{{"rooms":["{room}"]}}}}',
    '/sync?full_state=true&filter={{"room":{{"rooms":["{room}"],"timeline":{{"limit":1}}}}}}',
    "/publicRooms",
    "/rooms/{room}/state",
    "/rooms/{room}/members",
    "/rooms/{room}/joined_members",
    "/rooms/{room}/messages?dir=b",
    "/rooms/{room}/initialSync",
    "/rooms/{room}/aliases",
)
"""All that is told of a room. The same is told of all rooms at once, only slower."""


@pytest.mark.parametrize("event_type", STATE_OF_MEANING)
@requirement("S06", "R01")
def test_no_state_makes_a_room_unreadable(wire: Wire, victim: Victim, bob: Client, event_type: str) -> None:
    """Whatever stands where something is looked for: rooms go on, for who wrote it and for others."""
    writer, _ = victim()
    for value in VALUES:
        initial = [{"type": event_type, "content": dict.fromkeys(STATE_OF_MEANING[event_type], value)}]
        created = writer.call("POST", "/createRoom", {"initial_state": initial, "invite": [bob.user_id]})
        room = created.json().get("room_id") or writer.create_room()
        for field in STATE_OF_MEANING[event_type]:
            path = path_of("rooms", room, "state", event_type, "")
            assert writer.call("PUT", path, {field: value}).status_code < 500
        writer.call("POST", path_of("rooms", room, "invite"), {"user_id": bob.user_id})
        for call in ("join", "leave"):
            assert bob.call("POST", path_of("rooms", room, call), {}).status_code < 500
        for read in READS:
            target = writer.prefix + quote(read.format(room=room), safe="/?=&")
            answer = wire.ask("GET", target, token=writer.token)
            assert answer.status == 200, (read, event_type, value, answer.body[:300])
        writer.leave(room)


@every_route
@requirement("A03", "R01")
def test_the_token_is_asked_for_first(wire: Wire, victim: Victim, route: Route) -> None:
    """Before the body is looked at, and whatever it is."""
    client, room = victim()
    answers = [
        wire.ask(route.method, filled(route, client, room), b"{", token) for token in (None, "unheard-of")
    ]
    told = [(answer.status, json.loads(answer.body).get("errcode")) for answer in answers]
    assert (told == [MISSING, UNKNOWN]) == (name_of(route) not in OPEN_TO_ANYBODY)


@every_route
@requirement("A01")
def test_every_call_hears_the_token_in_the_query(wire: Wire, victim: Victim, route: Route) -> None:
    """Under every prefix that it has; a path or a body that is wrong is found only after it."""
    for prefix in route.prefixes:
        client, room = victim()
        path = filled(route, client, room).removeprefix(route.prefixes[-1])
        answer = wire.ask(route.method, f"{prefix}{path}?access_token={client.token}", b"{")
        assert MISSING[1].encode() not in answer.body
        assert UNKNOWN[1].encode() not in answer.body
        check(answer, path)


@every_route
@requirement("E03", "E13", "E14", "R01")
def test_a_wrong_method_is_told(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    target = filled(route, client, room)
    for method in ("PATCH", "TRACE"):
        answer = wire.ask(method, target, b"{}", client.token)
        assert (answer.status, json.loads(answer.body)["errcode"]) == (405, "M_UNRECOGNIZED")
        assert route.method in answer.headers["Allow"].split(", ")
        check(answer, target)


@every_route
def test_a_browser_may_ask_anything(wire: Wire, victim: Victim, route: Route) -> None:
    client, room = victim()
    answer = wire.ask("OPTIONS", filled(route, client, room))
    assert (answer.status, answer.body) == (204, b"")
    assert route.method in answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"].split(", ")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "//",
        "/_matrix",
        "/_matrix/client",
        "/_matrix/client/",
        "/_matrix/client/v3",
        "/_matrix/client/v3/",
        "/_matrix/client/v3/nothing/here",
        "/_matrix/client/v3/sync/",
        "/_matrix/client/v3/sync/more",
        "/_matrix/client/v3//sync",
        "/_matrix/client/V3/sync",
        "/_matrix/client/v4/sync",
        "/_matrix/client/api/v1/rooms/!a:b/state/type/key/more",
        "/_matrix/federation/v1/version",
        "/favicon.ico",
        "/x" * 4_000,
    ],
)
@requirement("E04", "R01")
def test_an_unknown_path_is_told(wire: Wire, target: str) -> None:
    for method in ("GET", "PUT"):
        answer = wire.ask(method, target)
        check(answer, target)
        assert (answer.status, json.loads(answer.body)["errcode"]) == (404, "M_UNRECOGNIZED")
    assert wire.ask("OPTIONS", target).status == 204


@every_prefix
@requirement("S09")
def test_an_empty_segment_shifts_nothing(alice: Client, wire: Wire, room: str) -> None:
    """An event type that is missing is not made up for by what stands behind it."""
    before = alice.messages(room)["chunk"][0]["event_id"]
    for rest in ("send//1", "send/m.room.message/", "state//", "redact//1", "send//"):
        answer = wire.ask("PUT", f"{alice.prefix}/rooms/{quote(room)}/{rest}", b"{}", alice.token)
        assert answer.status in (400, 404), rest
        check(answer, rest)
    assert alice.messages(room)["chunk"][0]["event_id"] == before


@every_prefix
@requirement("R01")
def test_a_body_too_large_is_cut_off_while_it_comes(alice: Client, server: ServerProcess, room: str) -> None:
    """The answer is there although the body has no end, and the connection is not read any further."""
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=30)
    connection.putrequest("PUT", alice.prefix + path_of("rooms", room, "send", "com.example.own", "1"))
    connection.putheader("Authorization", f"Bearer {alice.token}")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    piece = b"x" * (BODY_BYTES_MAX // 4)
    for _ in range(5):  # the last is one too many
        connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["errcode"]) == (413, "M_TOO_LARGE")
    assert answer.headers["Connection"] == "close"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    connection.close()


@every_prefix
@requirement("R01")
def test_a_body_said_to_be_too_large_is_not_waited_for(
    alice: Client, server: ServerProcess, room: str
) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=30)
    connection.putrequest("PUT", alice.prefix + path_of("rooms", room, "send", "com.example.own", "1"))
    connection.putheader("Authorization", f"Bearer {alice.token}")
    connection.putheader("Content-Length", str(BODY_BYTES_MAX + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["errcode"]) == (413, "M_TOO_LARGE")
    connection.close()


@requirement("R03")
def test_errors_say_what_is_wrong(alice: Client, room: str) -> None:
    """The words are for people; they name the thing, and hold nothing that nobody should read."""
    answer = alice.call(
        "PUT", path_of("rooms", room, "state", "m.room.member", "nobody"), {"membership": "join"}
    )
    assert error_of(answer) == (400, "M_INVALID_PARAM")
    assert "'nobody' is not a user id" in answer.json()["error"]
    assert str(alice.token) not in answer.text


def test_every_route_has_a_prefix_of_today_or_then() -> None:
    """A check of this table: `filled` takes the last prefix, which must be one that clients use."""
    assert all(route.prefixes[-1].startswith("/_matrix") for route in ROUTES)
    assert set(PREFIXES) <= {prefix for route in ROUTES for prefix in route.prefixes}
