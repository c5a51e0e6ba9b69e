"""Who may ask what: every route of the table, tried by whoever may not.

A route is open to anybody, with its reason below, or needs a token; and whatever names somebody's room,
device or profile is for those whom it concerns. All of it is found by looking at the routes, so that a new
one is covered by being served. What is refused leaves the log as it was: its head stays.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher

from projections.facts import AccountRegistered, Fact, SessionClosed, SessionOpened
from server.app import ROUTES, running
from server.config import Config
from server.http.routing import Route
from server.users.tokens import digest_of
from server.writer import Decided, Turn
from tests.harness.application_service import AS_TOKEN, ApplicationService
from tests.harness.client import PASSWORD, Client, path_of
from tests.harness.local_homeserver import fast_directory
from tests.harness.route_requests import name_of, parameters, path_values, path_with
from tests.harness.server_process import ServerProcess, serving
from tests.harness.wire import Answer, Wire, check

requirement = pytest.mark.requirement

OPEN_TO_ANYBODY: Mapping[str, str] = {
    "GET /versions": "Clients ask for it before anything else.",
    "GET /login": "It says how to get a token.",
    "POST /login": "The password proves who asks.",
    "GET /register": "It says how to get an account.",
    "POST /register": "Who has no account has no token.",
    "GET /register/available": "It is asked before registering, which tells the same.",
    "POST /refresh": "The refresh token proves who asks.",
    "POST /tokenrefresh": "The refresh token proves who asks.",
    "GET /directory/room/{room_alias}": "Aliases are public.",
    "GET /directory/list/room/{room_id}": "It says of a room what the public list says.",
    "GET /publicRooms": "The list is public.",
    "GET /profile/{user_id}": "Profiles are public.",
    "GET /profile/{user_id}/{key_name}": "Profiles are public.",
    "GET /profile/{user_id}/displayname": "Profiles are public.",
    "GET /profile/{user_id}/avatar_url": "Profiles are public.",
}
"""Operations that need no token, each with its reason. All others do."""

NO_DIFFERENCE: Mapping[str, str] = {
    "POST /rooms/{room_id}/forget": "Who has nothing to forget is told the same as who has.",
    "DELETE /devices/{device_id}": "A device that is none of the user's is as good as gone.",
}
"""Operations that answer a stranger 200, and do nothing."""

TELLS_OF_A_ROOM: Mapping[str, str] = {
    "PUT /directory/list/room/{room_id}": "GET of this path tells anybody, as the specification has it.",
}
"""Operations that answer a stranger in one way if there is such a room, and in another if there is none."""

SAME_FOR_ALL = NO_DIFFERENCE.keys() | {"POST /knock/{room_id_or_alias}"}
"""Alice, too, is told that nobody can knock at her room."""

ROOMS = {"room_id", "room_id_or_alias", "event_id"}
"""Parameters of a path that name a room, or what is in it."""
OTHERS = ROOMS | {"user_id", "device_id", "room_alias"}
"""Parameters that name what may be somebody else's."""

SECRET = "the-marker-of-what-is-said-in-the-room"

MISSING: dict[str, Any] = {"status": 401, "errcode": "M_MISSING_TOKEN"}
UNKNOWN: dict[str, Any] = {"status": 401, "errcode": "M_UNKNOWN_TOKEN", "soft_logout": False}
EXPIRED: dict[str, Any] = UNKNOWN | {"soft_logout": True}
FORBIDDEN: dict[str, Any] = {"status": 403, "errcode": "M_FORBIDDEN"}


class Proof(NamedTuple):
    """What a request shows that proves nothing, and what it is told."""

    expected: Mapping[str, Any]
    header: str | None = None
    query: str = ""


VOID_PROOFS: Mapping[str, Proof] = {
    "nothing": Proof(MISSING),
    "no token": Proof(MISSING, "Bearer"),
    "an empty token": Proof(MISSING, query="access_token="),
    "another scheme": Proof(MISSING, "Basic YWxpY2U6eA=="),
    "two words": Proof(MISSING, "Bearer alice alice"),
    "two tokens": Proof(MISSING, "Bearer alice", query="access_token=alice"),
    "an unheard-of token": Proof(UNKNOWN, "Bearer unheard-of"),
    "a token that is no ASCII": Proof(UNKNOWN, query="access_token=%C3%A9"),
    "a token without end": Proof(UNKNOWN, "Bearer " + "x" * 8_000),
    "a logged-out token": Proof(UNKNOWN, "Bearer logged-out"),
    "an expired token": Proof(EXPIRED, "Bearer expired"),
    "a refresh token": Proof(UNKNOWN, "Bearer refresh"),
    "what the log has of a token": Proof(UNKNOWN, f"Bearer {digest_of('alice')}"),
    "a service as somebody of no namespace of its": Proof(
        FORBIDDEN, f"Bearer {AS_TOKEN}", query="user_id=@alice:localhost"
    ),
    "a service as somebody unheard of": Proof(
        FORBIDDEN, f"Bearer {AS_TOKEN}", query="user_id=@_irc_nobody:localhost"
    ),
}


def on_record(_: Turn, facts: Sequence[Fact]) -> Decided[None]:
    return Decided(None, facts)


def history() -> Sequence[Fact]:
    """Alice and Bob, and tokens of Alice's that are not valid any more."""
    password_hash = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    names = ("alice", "bob")
    return [
        *(AccountRegistered(f"@{name}:localhost", password_hash, 1) for name in names),
        *(SessionOpened(f"@{name}:localhost", name.upper(), digest_of(name), 1) for name in names),
        SessionOpened("@alice:localhost", "GONE", digest_of("logged-out"), 1),
        SessionClosed("@alice:localhost", "GONE"),
        SessionOpened(
            "@alice:localhost", "OLD", digest_of("expired"), 1, None, digest_of("refresh"), expires_ts=2
        ),
    ]


async def _put_on_record(config: Config) -> None:
    async with running(config) as parts:
        await parts.writer.decide(on_record, history())


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with fast_directory() as directory:
        asyncio.run(_put_on_record(Config(data=directory / "data")))
        registration = ApplicationService("").register_in(directory, url=None)
        options = ("--rate-limits", "off", "--appservice", str(registration))
        with serving(directory / "data", *options) as server:
            yield server
            assert (server.stop(), server.rest_of_output()) == (0, "")


@pytest.fixture(scope="module")
def wire(server: ServerProcess) -> Iterator[Wire]:
    wire = Wire(server.address)
    yield wire
    wire.close()


def logged_in(server: ServerProcess, name: str) -> Client:
    client = server.client()
    client.token, client.user_id, client.device_id = name, f"@{name}:localhost", name.upper()
    return client


@pytest.fixture
def alice(server: ServerProcess) -> Client:
    return logged_in(server, "alice")


class Place(NamedTuple):
    """A room of Alice's that nobody else is in, and what is in it; she has a second device, too."""

    room_id: str
    event_id: str
    alias: str

    def target(self, route: Route, prefix: str) -> str:
        values = path_values(quote("@alice:localhost"), quote(self.room_id), "TABLET")
        named = {"event_id": quote(self.event_id), "room_alias": quote(self.alias)}
        return path_with(route, prefix, values | named) + "?dir=b&ts=9999999999999"

    def body(self, route: Route) -> bytes:
        """One for all calls: each finds in it what it needs, and passes over the rest."""
        if route.method == "GET":
            return b""
        named = {"room_id": self.room_id, "user_id": "@nobody:localhost"}
        proof = {"auth": {"type": "m.login.password", "password": PASSWORD}}
        return json.dumps(FIELDS | named | proof).encode()


FIELDS: dict[str, Any] = {
    "1": "a field of a profile, of this name",
    "avatar_url": "mxc://localhost/a",
    "body": "hello",
    "displayname": "Name",
    "membership": "join",
    "msgtype": "m.text",
    "new_version": "11",
    "visibility": "private",
}


@pytest.fixture
def place(server: ServerProcess, alice: Client) -> Place:
    server.client().log_in("alice", device_id="TABLET")
    room_id = alice.create_room(name=SECRET, topic=SECRET)
    for state_key in ("", "key"):
        alice.set_state(room_id, "com.example.own", {"said": SECRET}, state_key)
    event_id = alice.say(room_id, SECRET)
    alias = f"#{room_id[1:].lower().replace(':', '-')}:localhost"
    alice.must("PUT", path_of("directory", "room", alias), {"room_id": room_id})
    return Place(room_id, event_id, alias)


Ask = Callable[[Route, Place, Proof], Answer]


@pytest.fixture
def ask(wire: Wire) -> Ask:
    def asked(route: Route, place: Place, proof: Proof, prefix: str | None = None) -> Answer:
        target = place.target(route, prefix or route.prefixes[-1]) + (proof.query and f"&{proof.query}")
        headers = [] if proof.header is None else [f"Authorization: {proof.header}".encode()]
        answer = wire.ask(route.method, target, place.body(route), headers=headers)
        check(answer, f"{route.method} {target}")
        return answer

    return asked


def told(answer: Answer) -> dict[str, Any]:
    body = json.loads(answer.body)
    return {"status": answer.status, "errcode": body.get("errcode")} | (
        {"soft_logout": body["soft_logout"]} if "soft_logout" in body else {}
    )


def with_any_of(names: set[str]) -> pytest.MarkDecorator:
    routes = [
        route for route in ROUTES if name_of(route) not in OPEN_TO_ANYBODY and names & {*parameters(route)}
    ]
    assert routes
    return pytest.mark.parametrize("route", routes, ids=name_of)


with_token = pytest.mark.parametrize(
    "route", [route for route in ROUTES if name_of(route) not in OPEN_TO_ANYBODY], ids=name_of
)


def test_what_is_open_has_a_reason() -> None:
    names = {name_of(route) for route in ROUTES}
    for reasons in (OPEN_TO_ANYBODY, NO_DIFFERENCE, TELLS_OF_A_ROOM):
        assert reasons.keys() <= names
        assert all(reason.endswith(".") and len(reason.split()) > 2 for reason in reasons.values())


@with_token
@requirement("A03", "A09")
def test_void_proofs_open_nothing(alice: Client, wire: Wire, route: Route) -> None:
    """Under every prefix, and with a request that would be carried out for Alice."""
    place, before = Place("!none:localhost", "$none", "#none:localhost"), alice.now()
    for prefix in route.prefixes:
        target, body = place.target(route, prefix), place.body(route)
        for name, proof in VOID_PROOFS.items():
            headers = [] if proof.header is None else [f"Authorization: {proof.header}".encode()]
            answer = wire.ask(route.method, f"{target}&{proof.query}", body, headers=headers)
            assert told(answer) == proof.expected, (prefix, name, answer.body)
    assert alice.now() == before


@with_any_of(OTHERS)
@requirement("A09")
def test_strangers_are_refused(alice: Client, place: Place, ask: Ask, route: Route) -> None:
    """Bob asks for what is Alice's."""
    before = alice.now()
    answer = ask(route, place, Proof({}, "Bearer bob"))
    if name_of(route) in NO_DIFFERENCE:
        assert (answer.status, answer.body) == (200, b"{}")
    else:
        assert answer.status in (403, 404), answer.body
    assert SECRET.encode() not in answer.body
    assert alice.now() == before


@with_any_of(OTHERS)
def test_whom_it_concerns_is_told_something_else(place: Place, ask: Ask, route: Route) -> None:
    """The control of the test before: what Bob was refused was not refused for another reason."""
    bob, alice = (ask(route, place, Proof({}, f"Bearer {name}")) for name in ("bob", "alice"))
    is_same = (alice.status, alice.body) == (bob.status, bob.body)
    assert not is_same or name_of(route) in SAME_FOR_ALL, alice.body


@with_any_of(ROOMS)
def test_strangers_do_not_learn_whether_a_room_exists(place: Place, ask: Ask, route: Route) -> None:
    """Word for word they are told the same of a room that is there and of one that is not."""
    nowhere = Place(f"!{place.room_id[:0:-1]}", f"${place.event_id[:0:-1]}", "#nowhere:localhost")
    there, not_there = (ask(route, one, Proof({}, "Bearer bob")) for one in (place, nowhere))
    names = [one.encode() for pair in (place, nowhere) for one in pair]
    is_same = (there.status, without(there.body, names)) == (not_there.status, without(not_there.body, names))
    assert is_same == (name_of(route) not in TELLS_OF_A_ROOM), (there.body, not_there.body)


def without(text: bytes, names: Sequence[bytes]) -> bytes:
    for name in names:
        text = text.replace(name, b"")
    return text


@with_any_of(ROOMS)
def test_a_service_that_is_not_in_a_room_is_a_stranger(
    alice: Client, place: Place, ask: Ask, route: Route
) -> None:
    before = alice.now()
    answer = ask(route, place, Proof({}, f"Bearer {AS_TOKEN}"))
    assert answer.status in (403, 404) or name_of(route) in NO_DIFFERENCE, answer.body
    assert SECRET.encode() not in answer.body
    assert alice.now() == before


@pytest.mark.parametrize("call", ["/login", "/register"])
def test_a_service_makes_nobody_outside_its_namespaces(alice: Client, wire: Wire, call: str) -> None:
    before = alice.now()
    body = {"type": "m.login.application_service", "username": "alice2", "user": "alice2"}
    answer = wire.ask("POST", alice.prefix + call, json.dumps(body).encode(), AS_TOKEN)
    assert told(answer) == {"status": 400, "errcode": "M_EXCLUSIVE"}
    assert alice.now() == before


def test_events_of_one_room_are_for_those_in_it(server: ServerProcess, place: Place) -> None:
    """The room stands in the query, where no table of routes shows it."""
    answer = logged_in(server, "bob").call("GET", "/events", room_id=place.room_id)
    assert (answer.status_code, answer.json()["errcode"]) == (403, "M_FORBIDDEN")


@pytest.mark.usefixtures("place")
def test_devices_of_others_are_not_deleted(server: ServerProcess, alice: Client) -> None:
    """They stand in the body."""
    before, bob = alice.now(), logged_in(server, "bob")
    bob.must(
        "POST",
        "/delete_devices",
        {"devices": ["TABLET"], "auth": {"type": "m.login.password", "password": PASSWORD}},
    )
    assert alice.now() == before
