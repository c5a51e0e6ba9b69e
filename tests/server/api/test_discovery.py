"""What the server says that it can do."""

from pathlib import Path

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.harness.server_process import serving
from tests.server.conftest import every_prefix

VERSIONS = "/_matrix/client/versions"


@pytest.mark.parametrize("token", [None, "wrong"])
def test_the_versions_need_no_token(anybody: Client, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    answer = anybody.http.get(VERSIONS, headers=headers)
    assert answer.status_code == 200
    assert answer.json().keys() == {"versions", "unstable_features"}
    assert set(answer.json()["versions"]) >= {"r0.6.1", "v1.1"}


@every_prefix
def test_rooms_are_made_in_the_versions_told(alice: Client) -> None:
    told = alice.must("GET", "/capabilities")["capabilities"]["m.room_versions"]
    assert told["default"] in told["available"]
    for version in told["available"]:
        assert alice.create_room(room_version=version)
    refused = alice.call("POST", "/createRoom", {"room_version": "10000"})
    assert error_of(refused) == (400, "M_UNSUPPORTED_ROOM_VERSION")


@every_prefix
def test_capabilities_are_for_users(anybody: Client) -> None:
    assert error_of(anybody.call("GET", "/capabilities")) == (401, "M_MISSING_TOKEN")


def test_the_operator_chooses_the_default_version(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--default-room-version", "11") as server:
        alice = server.client().register("alice")
        told = alice.must("GET", "/capabilities")["capabilities"]["m.room_versions"]["default"]
        made = alice.must("GET", path_of("rooms", alice.create_room(), "state", "m.room.create"))
    assert (told, made["room_version"]) == ("11", "11")
