"""Nothing that anybody sends is the server's fault: every route, and requests with one thing wrong in them.

In every run the same requests, few of each kind; with `--long` more of them, and others each time. That
nothing comes of it in the server's log is asserted where the server ends.
"""

import http.client
import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.app import ROUTES
from server.http.routing import Route
from tests.harness.client import Client
from tests.harness.odd_requests import Place, mutated, odd_requests
from tests.harness.route_requests import name_of
from tests.harness.server_process import ServerProcess
from tests.harness.wire import Answer, Wire, check

requirement = pytest.mark.requirement

ROOMS_MAX = 50
"""Of one victim: whoever is in many rooms waits long for a first answer about all of them."""

brief = settings(derandomize=True, database=None, max_examples=12, phases=[Phase.generate])
long = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
every_route = pytest.mark.parametrize("route", ROUTES, ids=name_of)

Victim = Callable[[], Place]

_numbers = itertools.count(1)
"""Of victims, on a server that outlives this module's fixtures."""


@pytest.fixture(scope="module")
def wire(server: ServerProcess) -> Iterator[Wire]:
    wire = Wire(server.address)
    yield wire
    assert wire.ask("GET", "/_matrix/client/versions").status == 200
    wire.close()


@pytest.fixture(scope="module")
def victim(http: httpx.Client) -> Victim:
    """Somebody with a room; another one once they are logged out, or in too many rooms."""
    current: list[Place] = []

    def find() -> Place:
        if not current or not is_fit(current[0].client):
            client = Client("", http=http).register(f"target{next(_numbers)}")
            current[:] = [Place(client, client.create_room())]
        return current[0]

    return find


def is_fit(client: Client) -> bool:
    answer = client.call("GET", "/joined_rooms")
    return answer.status_code == 200 and 0 < len(answer.json()["joined_rooms"]) <= ROOMS_MAX


def try_one(wire: Wire, place: Place, route: Route, data: st.DataObject) -> None:
    request = data.draw(odd_requests(route)).at(place)
    answer = wire.ask(request.method, request.target, request.body, place.client.token, request.headers)
    check(answer, repr(request)[:1_000])


@every_route
@requirement("R01", "R02", "S05", "S09")
@brief
@given(data=st.data())
def test_nothing_odd_is_the_servers_fault(
    wire: Wire, victim: Victim, route: Route, data: st.DataObject
) -> None:
    try_one(wire, victim(), route, data)


@pytest.mark.long
@every_route
@requirement("R01", "R02", "S05", "S09")
@long
@given(data=st.data())
def test_much_that_is_odd_is_not_the_servers_fault(
    wire: Wire, victim: Victim, route: Route, data: st.DataObject
) -> None:
    try_one(wire, victim(), route, data)


GOOD = {"Access-Control-Allow-Origin": "*", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, GOOD, b'{"errcode":"M_UNKNOWN","error":"Internal server error"}'),
        (400, GOOD | {"Access-Control-Allow-Origin": "x"}, b'{"errcode":"M_UNKNOWN","error":"No."}'),
        (400, GOOD | {"Content-Type": "text/html"}, b'{"errcode":"M_UNKNOWN","error":"No."}'),
        (400, GOOD, b'{"errcode":"OWN","error":"No."}'),
        (400, GOOD, b'{"errcode":"M_UNKNOWN","error":""}'),
    ],
)
def test_a_faulty_answer_would_be_found(status: int, headers: dict[str, str], body: bytes) -> None:
    """A check of the check that all of this comes down to."""
    message = http.client.HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    with pytest.raises(AssertionError):
        check(Answer(status, message, body), "a request")


def test_a_mutation_changes_one_place() -> None:
    body = {"a": [1, {"b": 2}], "c": 3}
    assert mutated(body, ("a", 1, "b"), lambda _: None) == {"a": [1, {"b": None}], "c": 3}
    assert body == {"a": [1, {"b": 2}], "c": 3}
