"""Proving more than a token: what is asked for, what is remembered, and for which call."""

from typing import Any

import httpx
import pytest

from tests.harness.client import PASSWORD, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

DUMMY = {"type": "m.login.dummy"}
UNKNOWN_SESSION = (400, "M_UNKNOWN")

every_call = pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/account/password"),
        ("POST", "/account/deactivate"),
        ("DELETE", "/devices/UNHEARD-OF"),
        ("POST", "/delete_devices"),
    ],
)
"""The test holds for each call of a logged-in user that asks for the password."""


def stage(session: str | None = None, password: str = PASSWORD, **more: object) -> dict[str, Any]:
    named = {} if session is None else {"session": session}
    return {"type": "m.login.password", "password": password, **named, **more}


def body_of(path: str) -> dict[str, Any]:
    return {"new_password": PASSWORD} if path == "/account/password" else {"devices": []}


def session_of(answer: httpx.Response) -> str:
    """What a client that is asked for its password goes on with."""
    assert answer.status_code == 401, answer.text
    session: str = answer.json()["session"]
    return session


@every_prefix
@every_call
def test_the_first_request_is_asked_for_the_password(alice: Client, method: str, path: str) -> None:
    for body in (body_of(path), {}):
        asked = alice.call(method, path, body)
        assert asked.status_code == 401
        assert asked.json().keys() == {"flows", "params", "session"}
        assert asked.json()["flows"] == [{"stages": ["m.login.password"]}]


@every_call
def test_without_a_token_nothing_is_asked_for(anybody: Client, method: str, path: str) -> None:
    assert error_of(anybody.call(method, path, body_of(path))) == (401, "M_MISSING_TOKEN")


@pytest.mark.parametrize("device", ["/devices/UNHEARD-OF", "/devices/%C3%A9%2F"])
def test_the_password_in_its_session_is_enough(alice: Client, device: str) -> None:
    session = session_of(alice.call("DELETE", device, {}))
    assert alice.must("DELETE", device, {"auth": stage(session)}) == {}


def test_a_wrong_password_may_be_tried_again(alice: Client) -> None:
    refused = alice.call("DELETE", "/devices/UNHEARD-OF", {"auth": stage(password="wrong")})
    assert error_of(refused) == (401, "M_FORBIDDEN")
    assert refused.json().keys() == {"flows", "params", "session", "errcode", "error"}
    session = refused.json()["session"]
    again = alice.call("DELETE", "/devices/UNHEARD-OF", {"auth": stage(session, password="worse")})
    assert error_of(again) == (401, "M_FORBIDDEN")
    assert again.json()["session"] == session
    alice.must("DELETE", "/devices/UNHEARD-OF", {"auth": stage(session)})


def test_how_far_it_is_can_be_asked(alice: Client) -> None:
    session = session_of(alice.call("DELETE", "/devices/UNHEARD-OF", {}))
    asked = alice.call("DELETE", "/devices/UNHEARD-OF", {"auth": {"session": session}})
    assert (asked.status_code, asked.json()["session"]) == (401, session)
    assert "errcode" not in asked.json()


def test_an_unknown_session_is_refused(alice: Client) -> None:
    refused = alice.call("DELETE", "/devices/UNHEARD-OF", {"auth": stage("unheard of")})
    assert error_of(refused) == UNKNOWN_SESSION


def test_a_session_is_of_one_path(alice: Client) -> None:
    session = session_of(alice.call("DELETE", "/devices/UNHEARD-OF", {}))
    for method, path in (("DELETE", path_of("devices", alice.device_id)), ("POST", "/delete_devices")):
        refused = alice.call(method, path, {"auth": stage(session), "devices": [alice.device_id]})
        assert error_of(refused) == UNKNOWN_SESSION
    assert alice.call("GET", "/account/whoami").status_code == 200


def test_a_session_is_of_one_user(alice: Client, bob: Client) -> None:
    session = session_of(alice.call("POST", "/delete_devices", {"devices": []}))
    refused = bob.call("POST", "/delete_devices", {"devices": [], "auth": stage(session)})
    assert error_of(refused) == UNKNOWN_SESSION


def test_a_session_is_of_every_version(alice: Client) -> None:
    """A client that speaks two of them speaks to one server."""
    session = session_of(alice.under("/_matrix/client/r0").call("POST", "/delete_devices", {"devices": []}))
    alice.must("POST", "/delete_devices", {"devices": [], "auth": stage(session)})


def test_a_session_serves_once(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    session = session_of(phone.call("POST", "/delete_devices", {"devices": []}))
    phone.must("POST", "/delete_devices", {"devices": [], "auth": stage(session)})
    for auth in (stage(session), {"session": session}):
        again = phone.call("POST", "/delete_devices", {"devices": [laptop.device_id], "auth": auth})
        assert error_of(again) == UNKNOWN_SESSION
    assert laptop.call("GET", "/account/whoami").status_code == 200


@requirement("M15")
def test_a_finished_stage_is_remembered(anybody: Client, names: Any) -> None:
    """The call failed for another reason; only that has to be mended."""
    body = {"username": next(names), "auth": DUMMY}
    session = session_of(anybody.call("POST", "/register", {"username": body["username"]}))
    body["auth"] = {"session": session}
    asked = anybody.call("POST", "/register", body | {"auth": DUMMY | {"session": session}})
    assert error_of(asked) == (400, "M_MISSING_PARAM")
    assert error_of(anybody.call("POST", "/register", body | {"password": ""})) == (400, "M_WEAK_PASSWORD")
    assert anybody.call("POST", "/register", body | {"password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("auth", [{"type": "m.login.dummy"}, {"type": "m.login.magic"}, {"type": ""}])
def test_another_stage_is_not_accepted(alice: Client, auth: dict[str, str]) -> None:
    refused = alice.call("POST", "/delete_devices", {"devices": [], "auth": auth})
    assert error_of(refused) == (401, "M_FORBIDDEN")


@pytest.mark.parametrize(
    "named",
    [
        {"identifier": {"type": "m.id.user", "user": "Alice"}},
        {"identifier": {"type": "m.id.user", "user": "@alice:localhost"}},
        {"user": "alice"},
        {"identifier": {"type": "m.id.user"}},
    ],
)
def test_the_user_may_be_named(alice: Client, named: dict[str, Any]) -> None:
    alice.must("POST", "/delete_devices", {"devices": [], "auth": stage(**named)})


@pytest.mark.parametrize(
    ("auth", "error"),
    [
        ([], (400, "M_BAD_JSON")),
        ({"type": 1}, (400, "M_BAD_JSON")),
        ({"session": 1}, (400, "M_BAD_JSON")),
        (stage() | {"password": 1}, (400, "M_BAD_JSON")),
        (stage(identifier="alice"), (400, "M_BAD_JSON")),
        (stage(identifier={"type": "m.id.phone"}), (400, "M_UNKNOWN")),
        ({"type": "m.login.password"}, (401, "M_FORBIDDEN")),
        (stage(password="x" * 10_000), (401, "M_FORBIDDEN")),
    ],
)
def test_a_malformed_proof_is_refused(alice: Client, auth: Any, error: tuple[int, str]) -> None:
    assert error_of(alice.call("POST", "/delete_devices", {"devices": [], "auth": auth})) == error
