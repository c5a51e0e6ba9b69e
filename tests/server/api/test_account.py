"""A user's own account: whether a name is to be had, a new password, the end of it."""

from typing import Any

import httpx
import pytest

from tests.harness.client import PASSWORD, Client, error_of, path_of
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import serving
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

UNKNOWN = (401, "M_UNKNOWN_TOKEN")
PROOF = {"type": "m.login.password", "password": PASSWORD}
NEW_PASSWORD = "a horse of another colour"


def log_in(anybody: Client, client: Client, password: str) -> Any:
    body = {"type": "m.login.password", "user": client.user_id, "password": password}
    return anybody.call("POST", "/login", body)


def change_password(client: Client, **more: object) -> None:
    client.must("POST", "/account/password", {"new_password": NEW_PASSWORD, "auth": PROOF, **more})


@every_prefix
def test_a_free_name_is_to_be_had(anybody: Client) -> None:
    assert anybody.must("GET", "/register/available", username="nobody.yet") == {"available": True}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"username": "alice"}, "M_USER_IN_USE"),
        ({"username": "Not A Name"}, "M_INVALID_USERNAME"),
        ({"username": ""}, "M_INVALID_USERNAME"),
        ({"username": "a" * 255}, "M_INVALID_USERNAME"),
        ({}, "M_MISSING_PARAM"),
    ],
)
def test_a_name_that_is_not_is_told(alice: Client, anybody: Client, query: dict[str, Any], code: str) -> None:
    assert error_of(anybody.call("GET", "/register/available", **query)) == (400, code)


@every_prefix
def test_a_new_password_opens_the_account(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    change_password(phone)
    assert error_of(log_in(anybody, phone, PASSWORD)) == (403, "M_FORBIDDEN")
    assert log_in(anybody, phone, NEW_PASSWORD).status_code == 200


def test_the_path_of_2015_changes_it_too(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    change_password(phone.under("/_matrix/client/v2_alpha"))
    assert log_in(anybody, phone, NEW_PASSWORD).status_code == 200


def test_a_new_password_logs_other_devices_out(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    change_password(phone)
    assert error_of(laptop.call("GET", "/account/whoami")) == UNKNOWN
    assert phone.must("GET", "/account/whoami")["device_id"] == phone.device_id


def test_it_leaves_them_if_asked(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    change_password(phone, logout_devices=False)
    assert laptop.call("GET", "/account/whoami").status_code == 200


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"new_password": None}, "M_MISSING_PARAM"),
        ({"new_password": ""}, "M_WEAK_PASSWORD"),
        ({"new_password": "x" * 513}, "M_INVALID_PARAM"),
        ({"new_password": 1}, "M_BAD_JSON"),
        ({"logout_devices": "no"}, "M_BAD_JSON"),
    ],
)
def test_a_bad_new_password_is_refused(alice: Client, change: dict[str, object], code: str) -> None:
    body = {"new_password": NEW_PASSWORD, "auth": PROOF} | change
    assert error_of(alice.call("POST", "/account/password", body)) == (400, code)


def test_the_capabilities_tell_of_it(alice: Client) -> None:
    assert alice.must("GET", "/capabilities")["capabilities"]["m.change_password"] == {"enabled": True}


@every_prefix
def test_nobody_logs_in_to_a_deactivated_account(new_user: NewUser, anybody: Client) -> None:
    leaver = new_user()
    answer = leaver.must("POST", "/account/deactivate", {"auth": PROOF})
    assert answer == {"id_server_unbind_result": "success"}
    assert error_of(leaver.call("GET", "/account/whoami")) == UNKNOWN
    assert error_of(log_in(anybody, leaver, PASSWORD)) == (403, "M_USER_DEACTIVATED")


def test_only_its_owner_is_told_that_it_is_deactivated(new_user: NewUser, anybody: Client) -> None:
    leaver = new_user()
    leaver.must("POST", "/account/deactivate", {"auth": PROOF})
    assert error_of(log_in(anybody, leaver, "wrong")) == (403, "M_FORBIDDEN")


def test_the_name_of_a_deactivated_account_stays_taken(new_user: NewUser, anybody: Client) -> None:
    leaver = new_user()
    leaver.must("POST", "/account/deactivate", {"auth": PROOF})
    name = leaver.user_id[1:].partition(":")[0]
    assert error_of(anybody.call("GET", "/register/available", username=name)) == (400, "M_USER_IN_USE")


def test_its_owner_is_seen_to_leave(new_user: NewUser, alice: Client, shared_room: str) -> None:
    leaver = new_user()
    leaver.join(shared_room)
    leaver.must("POST", "/account/deactivate", {"auth": PROOF, "erase": True})
    path = path_of("rooms", shared_room, "state", "m.room.member", leaver.user_id)
    assert alice.must("GET", path)["membership"] == "leave"


def test_what_became_of_accounts_survives() -> None:
    with fast_directory() as directory:
        with serving(directory / "data") as server, httpx.Client(base_url=server.address) as http:
            changed, gone = (Client("", http=http).register(name) for name in ("changed", "gone"))
            change_password(changed)
            gone.must("POST", "/account/deactivate", {"auth": PROOF})
            server.kill()
        with serving(directory / "data") as server, httpx.Client(base_url=server.address) as http:
            anybody = Client("", http=http)
            assert log_in(anybody, changed, NEW_PASSWORD).status_code == 200
            assert error_of(log_in(anybody, gone, PASSWORD)) == (403, "M_USER_DEACTIVATED")
