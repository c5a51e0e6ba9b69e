"""The judge judged: what it must refuse, what it must let pass, and that it knows whatever is served.

That roomlog keeps the contract is shown by all other tests together: each answer they get is judged.
"""

import json
import re

import pytest

from server.app import ROUTES
from server.http.routing import RouteTable
from tests.contract.contract import Fault, Json, contract
from tests.contract.judging import Deviation, deviations, faults
from tests.harness.client import R0, V1, V3

SYNC = "GET /_matrix/client/v3/sync"
PLACE = "/rooms/join/!a/timeline/events/0"
EVENT = {
    "type": "m.room.message",
    "content": {},
    "event_id": "$a",
    "sender": "@a:b",
    "origin_server_ts": 1,
    "room_id": "!a",
}
LIMITED = {"errcode": "M_LIMIT_EXCEEDED", "error": "Later."}
UNKNOWN_TOKEN = {"errcode": "M_UNKNOWN_TOKEN", "error": "No."}
REFUSALS_WITHOUT_FORM: list[Json] = [
    {},
    [],
    {"errcode": "M_X"},
    {"errcode": "M_X", "error": ""},
    {"errcode": "no code", "error": "No."},
]
ONLY_OF_2015 = {"GET /_matrix/client/api/v1/register"}
"""Served, and nothing that today's specification has."""


def found(method: str, path: str, status: int, body: Json) -> list[tuple[str, str]]:
    """Place and keyword of each fault."""
    answer = json.dumps(body).encode()
    return [(fault.pointer, fault.keyword) for fault in faults(method, path, status, answer)]


def synced(event: Json) -> Json:
    return {"next_batch": "s1", "rooms": {"join": {"!a": {"timeline": {"events": [event]}}}}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, ("/next_batch", "required")),
        ({"next_batch": 1}, ("/next_batch", "type")),
        ([], ("", "type")),
        (synced(EVENT | {"content": []}), (PLACE + "/content", "type")),
        (synced(EVENT | {"sender": "a"}), (PLACE + "/sender", "pattern")),
        (synced(EVENT | {"unsigned": {"age": "1"}}), (PLACE + "/unsigned/age", "type")),
    ],
)
def test_a_wrong_answer_is_refused(body: Json, expected: tuple[str, str]) -> None:
    assert found("GET", V3 + "/sync", 200, body) == [expected]


def test_a_right_answer_passes() -> None:
    assert found("GET", V3 + "/sync?timeout=0", 200, synced(EVENT)) == []


def test_a_fault_says_what_and_where() -> None:
    (fault,) = faults("GET", V3 + "/sync", 200, json.dumps(synced(EVENT | {"type": [1] * 999})).encode())
    assert str(fault).startswith(f'{SYNC} 200: {PLACE}/type: it is not of type "string": [1, 1, ')
    assert len(str(fault)) < 300


def test_a_pointer_escapes_what_it_has_to() -> None:
    body: Json = {"device_keys": {"@a:b": {"~/": {}}}}
    place = "/device_keys/@a:b/~0~1/user_id"
    assert (place, "required") in found("POST", V3 + "/keys/query", 200, body)


@pytest.mark.parametrize("body", REFUSALS_WITHOUT_FORM)
def test_every_refusal_has_one_form(body: Json) -> None:
    assert found("GET", V3 + "/sync", 400, body)
    assert found("GET", V3 + "/no/such/call", 404, body)


def test_a_refusal_has_the_schema_of_its_status() -> None:
    path = V3 + "/login"
    assert found("POST", path, 429, LIMITED | {"retry_after_ms": "1"}) == [("/retry_after_ms", "type")]
    assert found("POST", path, 429, LIMITED | {"retry_after_ms": 1}) == []
    assert found("POST", path, 418, LIMITED | {"retry_after_ms": "1"}) == []


def test_more_to_be_proved_is_no_error() -> None:
    path = V3 + "/account/password"
    flows = {"flows": [{"stages": ["m.login.password"]}], "session": "a"}
    assert found("POST", path, 401, flows) == []
    assert found("POST", path, 401, flows | {"session": 1}) == [("/session", "type")]
    assert found("POST", path, 401, flows | {"errcode": "M_FORBIDDEN"}) == [("/error", "required")]
    assert found("POST", path, 401, UNKNOWN_TOKEN) == []
    assert found("GET", V3 + "/sync", 401, flows) == [("/errcode", "required"), ("/error", "required")]


@pytest.mark.parametrize("status", [201, 302, 500, 503])
def test_a_status_that_is_not_foreseen_is_a_fault(status: int) -> None:
    assert found("GET", V3 + "/sync", status, {"next_batch": "s1", **UNKNOWN_TOKEN}) == [("", "status")]


def test_a_success_where_nothing_should_be_is_a_fault() -> None:
    assert found("GET", V3 + "/no/such/call", 200, {}) == [("", "status")]


@pytest.mark.parametrize("body", [b"", b"{", b'{"next_batch": NaN}', b'"\xff"'])
def test_what_is_no_json_is_a_fault(body: bytes) -> None:
    assert [fault.keyword for fault in faults("GET", V3 + "/sync", 200, body)] == ["json"]


def test_a_file_may_be_anything() -> None:
    path = "/_matrix/client/v1/media/download/a/b"
    assert faults("GET", path, 200, b"\xff") == []
    assert [fault.keyword for fault in faults("GET", path, 404, b"\xff")] == ["json"]


def test_only_the_api_is_judged() -> None:
    assert faults("GET", "/health", 200, b"well") == []
    assert faults("OPTIONS", V3 + "/sync", 200, b"") == []


@pytest.mark.parametrize("prefix", [V1, R0, V3, "/_matrix/client/v2_alpha"])
def test_older_paths_are_judged_as_todays(prefix: str) -> None:
    assert contract().operation("GET", prefix + "/sync") == SYNC


@pytest.mark.parametrize(
    ("request_line", "operation"),
    [
        ("PUT /_matrix/client/v3/pushrules/global/override/a/enabled", "{kind}/{ruleId}/enabled"),
        ("GET /_matrix/client/v3/rooms/%2F%7B/state/a.b", "state/{eventType}/{stateKey}"),
        ("GET /_matrix/client/v3/rooms/!a/state/a.b/", "state/{eventType}/{stateKey}"),
        ("PUT /_matrix/client/api/v1/createRoom/1", "POST /_matrix/client/v3/createRoom"),
        ("GET /_matrix/media/v1/config", "/_matrix/media/v3/config"),
        ("GET /_matrix/client/v1/media/config", "/_matrix/client/v1/media/config"),
        ("POST /_matrix/client/v3/rooms/a/invite", "/rooms/{roomId}/invite"),
    ],
)
def test_an_operation_is_found_by_its_path(request_line: str, operation: str) -> None:
    assert str(contract().operation(*request_line.split(" "))).endswith(operation)


def test_everything_that_is_served_has_a_schema() -> None:
    unknown = {
        f"{method} {path}"
        for method, path in RouteTable(ROUTES).operations
        if contract().operation(method, re.sub(r"{\w+}", "x", path)) is None
    }
    assert unknown == ONLY_OF_2015


def test_every_operation_says_what_success_is() -> None:
    """Which is a redirect for some; and there are as many of them as there should be."""
    operations = contract().operations
    assert len(operations) > 150
    assert [name for name, schemas in operations.items() if not schemas.keys() & {"200", "302"}] == []


def test_nothing_is_excused_without_a_reason() -> None:
    assert all(len(deviation.reason.split()) > 5 for deviation in deviations())


def test_a_deviation_excuses_only_itself() -> None:
    deviation = Deviation(SYNC, 200, "/events/*/age", "type", reason="", request="")
    excused = Fault(SYNC, 200, "/events/3/age", "type", message="")
    assert deviation.excuses(excused)
    assert not deviation.excuses(excused._replace(operation="GET /_matrix/client/v3/events"))
    assert not deviation.excuses(excused._replace(status=201))
    assert not deviation.excuses(excused._replace(pointer="/events/3/unsigned/age"))
    assert not deviation.excuses(excused._replace(keyword="required"))
