"""A user's devices: listed, named, and thrown out with the password as proof."""

from typing import Any

import pytest

from tests.harness.client import PASSWORD, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

UNKNOWN = (401, "M_UNKNOWN_TOKEN")


def proof(client: Client, password: str = PASSWORD) -> dict[str, Any]:
    user = {"type": "m.id.user", "user": client.user_id}
    return {"type": "m.login.password", "identifier": user, "password": password}


def test_devices_are_listed(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    anybody.log_in(phone.user_id, device_id="LAPTOP", initial_device_display_name="Laptop")
    listed = {device["device_id"]: device for device in phone.must("GET", "/devices")["devices"]}
    assert listed.keys() == {phone.device_id, "LAPTOP"}
    assert listed["LAPTOP"]["display_name"] == "Laptop"
    assert phone.must("GET", "/devices/LAPTOP") == listed["LAPTOP"]


def test_a_device_is_given_a_name(new_user: NewUser) -> None:
    phone = new_user()
    path = path_of("devices", phone.device_id)
    assert phone.must("GET", path) == {"device_id": phone.device_id}
    assert phone.must("PUT", path, {"display_name": "Phone"}) == {}
    assert phone.must("PUT", path, {}) == {}  # nothing asked for, nothing changed
    assert phone.must("GET", path)["display_name"] == "Phone"


@every_prefix
def test_a_device_that_is_not_there_is_not_found(alice: Client, bob: Client) -> None:
    for device_id in ("UNHEARD-OF", bob.device_id):
        path = path_of("devices", device_id)
        assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")
        assert error_of(alice.call("PUT", path, {"display_name": "mine"})) == (404, "M_NOT_FOUND")
        assert error_of(alice.call("PUT", path, {})) == (404, "M_NOT_FOUND")


def test_a_long_name_is_refused(alice: Client) -> None:
    path = path_of("devices", alice.device_id)
    assert error_of(alice.call("PUT", path, {"display_name": "x" * 101})) == (400, "M_INVALID_PARAM")
    assert error_of(alice.call("PUT", path, {"display_name": 1})) == (400, "M_BAD_JSON")


@pytest.mark.parametrize("how", ["DELETE", "POST"])
def test_a_device_is_thrown_out(new_user: NewUser, anybody: Client, how: str) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    path, body = {
        "DELETE": (path_of("devices", laptop.device_id), {}),
        "POST": ("/delete_devices", {"devices": [laptop.device_id, "UNHEARD-OF"]}),
    }[how]
    asked = phone.call(how, path, body)
    assert (asked.status_code, asked.json()["flows"]) == (401, [{"stages": ["m.login.password"]}])
    assert "errcode" not in asked.json()
    assert phone.must(how, path, {**body, "auth": proof(phone)}) == {}
    assert error_of(laptop.call("GET", "/account/whoami")) == UNKNOWN
    assert phone.must("GET", "/account/whoami")["device_id"] == phone.device_id


def test_a_device_may_throw_itself_out(new_user: NewUser) -> None:
    phone = new_user()
    phone.must("DELETE", path_of("devices", phone.device_id), {"auth": proof(phone)})
    assert error_of(phone.call("GET", "/account/whoami")) == UNKNOWN


@pytest.mark.parametrize(
    "auth", [{"type": "m.login.dummy"}, {"type": "m.login.password", "password": "wrong"}]
)
def test_a_wrong_proof_throws_nothing_out(alice: Client, auth: dict[str, str]) -> None:
    refused = alice.call("DELETE", path_of("devices", alice.device_id), {"auth": auth})
    assert error_of(refused) == (401, "M_FORBIDDEN")
    assert refused.json()["flows"] == [{"stages": ["m.login.password"]}]
    assert alice.call("GET", "/account/whoami").status_code == 200


def test_anothers_password_proves_nothing(alice: Client, anybody: Client) -> None:
    """It is the token's user who has to be proved, whatever name stands beside the password."""
    name = "stubborn"
    body = {"username": name, "password": "another password", "auth": {"type": "m.login.dummy"}}
    other = anybody.under(alice.prefix)
    other.token = other.must("POST", "/register", body)["access_token"]
    [device] = other.must("GET", "/devices")["devices"]
    path = path_of("devices", device["device_id"])
    assert error_of(other.call("DELETE", path, {"auth": proof(alice)})) == (401, "M_FORBIDDEN")
    assert other.must("GET", path) == device


def test_devices_of_others_are_safe(alice: Client, bob: Client) -> None:
    alice.must("POST", "/delete_devices", {"devices": [bob.device_id], "auth": proof(alice)})
    assert bob.call("GET", "/account/whoami").status_code == 200
