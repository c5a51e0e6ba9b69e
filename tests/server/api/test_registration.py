"""Making an account: today's form, that of 2015, and what is refused before anything is asked for."""

import itertools

import pytest

from tests.harness.client import PASSWORD, PREFIXES, R0, V1, V3, Client, error_of
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

DUMMY = {"type": "m.login.dummy"}
V2_ALPHA = "/_matrix/client/v2_alpha"

_numbers = itertools.count(1)


def new_name() -> str:
    return f"registered{next(_numbers)}"


@every_prefix
@requirement("M15")
def test_the_first_request_may_do(anybody: Client) -> None:
    """A client that knows what is asked for need not ask."""
    name = new_name()
    answer = anybody.must("POST", "/register", {"username": name, "password": PASSWORD, "auth": DUMMY})
    assert answer.keys() == {"user_id", "access_token", "device_id", "home_server"}
    assert (answer["user_id"], answer["home_server"]) == (f"@{name}:localhost", "localhost")


@pytest.mark.parametrize("prefix", [*PREFIXES, V2_ALPHA])
@requirement("M15")
def test_without_a_stage_it_is_asked_for(anybody: Client, prefix: str) -> None:
    body = {"username": new_name(), "password": PASSWORD}
    asked = anybody.call("POST", "/register", body)
    assert asked.status_code == 401
    assert asked.json().keys() == {"flows", "params", "session"}
    assert asked.json()["flows"] == [{"stages": ["m.login.dummy"]}]
    auth = DUMMY | {"session": asked.json()["session"]}
    assert anybody.call("POST", "/register", body | {"auth": auth}).status_code == 200


@every_prefix
def test_an_unknown_stage_is_not_accepted(anybody: Client) -> None:
    body = {"username": new_name(), "password": PASSWORD, "auth": {"type": "m.login.magic"}}
    refused = anybody.call("POST", "/register", body)
    assert error_of(refused) == (401, "M_FORBIDDEN")
    assert refused.json()["flows"] == [{"stages": ["m.login.dummy"]}]


def test_the_form_of_2015_registers(anybody: Client) -> None:
    name, client = new_name(), anybody.under(V1)
    assert client.must("GET", "/register") == {"flows": [{"type": "m.login.password"}]}
    body = {"type": "m.login.password", "user": name, "password": PASSWORD}
    assert client.must("POST", "/register", body)["user_id"] == f"@{name}:localhost"
    assert error_of(
        client.call("POST", "/register", body | {"type": "m.login.magic", "user": new_name()})
    ) == (
        400,
        "M_UNKNOWN",
    )


@pytest.mark.parametrize("prefix", [R0, V3])
def test_the_form_of_2015_is_of_2015(anybody: Client, prefix: str) -> None:
    assert error_of(anybody.call("GET", "/register")) == (405, "M_UNRECOGNIZED")
    body = {"type": "m.login.password", "user": new_name(), "password": PASSWORD}
    assert anybody.call("POST", "/register", body).json()["flows"] == [{"stages": ["m.login.dummy"]}]


@every_prefix
@requirement("M15")
def test_the_server_makes_up_a_name(anybody: Client) -> None:
    body = {"password": PASSWORD, "auth": DUMMY, "bind_email": False}
    made = {anybody.must("POST", "/register", body)["user_id"] for _ in range(2)}
    assert len(made) == 2


def test_registering_need_not_log_in(anybody: Client) -> None:
    name = new_name()
    body = {"username": name, "password": PASSWORD, "auth": DUMMY, "inhibit_login": True}
    assert anybody.must("POST", "/register", body) == {"user_id": f"@{name}:localhost"}
    laptop = anybody.log_in(name)
    assert len(laptop.must("GET", "/devices")["devices"]) == 1


def test_the_first_device_is_the_one_asked_for(anybody: Client) -> None:
    body = {
        "username": new_name(),
        "password": PASSWORD,
        "auth": DUMMY,
        "device_id": "PHONE",
        "initial_device_display_name": "My phone",
    }
    client = anybody.under(V3)
    client.token = client.must("POST", "/register", body)["access_token"]
    [device] = client.must("GET", "/devices")["devices"]
    assert (device["device_id"], device["display_name"]) == ("PHONE", "My phone")


@pytest.mark.parametrize("auth", [None, DUMMY, {"type": "m.login.magic"}])
@every_prefix
@requirement("M15", "R03")
def test_a_taken_name_is_told_at_once(alice: Client, anybody: Client, auth: object) -> None:
    body = {"username": "alice", "password": PASSWORD} | ({} if auth is None else {"auth": auth})
    assert error_of(anybody.call("POST", "/register", body)) == (400, "M_USER_IN_USE")


@pytest.mark.parametrize("name", ["Alice", "a b", "a:b", "@a", "é", "a\0", "a#", "a" * 255])
@every_prefix
@requirement("V07")
def test_a_name_that_nobody_may_have_is_refused(anybody: Client, name: str) -> None:
    body = {"username": name, "password": PASSWORD, "auth": DUMMY}
    assert error_of(anybody.call("POST", "/register", body)) == (400, "M_INVALID_USERNAME")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": None}, "M_MISSING_PARAM"),
        ({"password": ""}, "M_WEAK_PASSWORD"),
        ({"password": "x" * 513}, "M_INVALID_PARAM"),
        ({"password": 1}, "M_BAD_JSON"),
        ({"username": 1}, "M_BAD_JSON"),
        ({"auth": "dummy"}, "M_BAD_JSON"),
        ({"device_id": "x" * 256}, "M_INVALID_PARAM"),
        ({"device_id": "\0"}, "M_INVALID_PARAM"),
        ({"initial_device_display_name": "x" * 101}, "M_INVALID_PARAM"),
        ({"inhibit_login": "yes"}, "M_BAD_JSON"),
    ],
)
@requirement("R03")
def test_a_bad_registration_is_refused(anybody: Client, change: dict[str, object], code: str) -> None:
    name = new_name()
    body = {"username": name, "password": PASSWORD, "auth": DUMMY}
    assert error_of(anybody.call("POST", "/register", body | change)) == (400, code)
    assert anybody.call("POST", "/register", {"username": name}).status_code == 401  # is still to be had


@every_prefix
def test_there_are_no_guests(anybody: Client) -> None:
    answer = anybody.call("POST", "/register", {"auth": DUMMY}, kind="guest")
    assert error_of(answer) == (403, "M_GUEST_ACCESS_FORBIDDEN")
