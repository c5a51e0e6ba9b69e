"""Logging in and out, and which token stands for whom."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.harness.client import PASSWORD, PREFIXES, V1, Client, error_of, path_of
from tests.server.conftest import NewUser, every_prefix

requirement = pytest.mark.requirement

UNKNOWN = (401, "M_UNKNOWN_TOKEN")
MISSING = (401, "M_MISSING_TOKEN")


def who(client: Client, *, token: str | None = None, **query: str) -> httpx.Response:
    """Ask who one is, with the token in the header, the query, both, or neither."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return client.http.get(client.prefix + "/account/whoami", headers=headers, params=query)


@every_prefix
@requirement("A01", "A02")
def test_the_token_is_heard_in_header_and_query(alice: Client) -> None:
    assert alice.token is not None
    me = {"user_id": alice.user_id, "device_id": alice.device_id, "is_guest": False}
    assert who(alice, token=alice.token).json() == me
    assert who(alice, access_token=alice.token).json() == me


@every_prefix
@requirement("A03", "R03")
def test_a_missing_token_is_told(alice: Client) -> None:
    assert error_of(who(alice)) == MISSING
    assert error_of(who(alice, access_token="")) == MISSING
    assert (
        error_of(alice.http.get(alice.prefix + "/account/whoami", headers={"Authorization": "x"})) == MISSING
    )


@every_prefix
@requirement("A03", "R03")
def test_an_unknown_token_is_told(alice: Client) -> None:
    for token in ("wrong", alice.user_id, "é"):
        answer = who(alice, access_token=token)
        assert error_of(answer) == UNKNOWN
        assert answer.json()["soft_logout"] is False
    assert error_of(who(alice, token="wrong")) == UNKNOWN


@every_prefix
def test_two_tokens_are_one_too_many(alice: Client) -> None:
    assert alice.token is not None
    assert error_of(who(alice, token=alice.token, access_token=alice.token)) == MISSING


@every_prefix
@requirement("A09")
def test_nobody_acts_as_another_user(alice: Client, bob: Client) -> None:
    assert alice.token is not None
    assert who(alice, token=alice.token, user_id=bob.user_id).json()["user_id"] == alice.user_id


@every_prefix
@requirement("A09", "S11")
def test_nobody_sends_as_another_user_or_at_another_time(
    alice: Client, bob: Client, shared_room: str
) -> None:
    path = path_of("rooms", shared_room, "send", "com.example.own", "1")
    event_id = alice.must("PUT", path, {}, user_id=bob.user_id, ts=1)["event_id"]
    event = bob.event(shared_room, event_id)
    assert event["sender"] == alice.user_id
    assert event["origin_server_ts"] > 1_600_000_000_000


@requirement("A02")
def test_a_token_holds_under_every_prefix(alice: Client) -> None:
    told = {alice.under(prefix).must("GET", "/account/whoami")["user_id"] for prefix in PREFIXES}
    assert told == {alice.user_id}


@every_prefix
@requirement("M14")
def test_the_ways_to_log_in_are_listed(anybody: Client) -> None:
    assert anybody.must("GET", "/login") == {"flows": [{"type": "m.login.password"}]}


@pytest.mark.parametrize("user", ["localpart", "Localpart", "user id"])
@requirement("M14")
def test_the_form_of_2015_logs_in(alice: Client, anybody: Client, user: str) -> None:
    name = {"localpart": "alice", "Localpart": "Alice", "user id": alice.user_id}[user]
    body = {"type": "m.login.password", "user": name, "password": PASSWORD}
    answer = anybody.must("POST", "/login", body)
    assert answer.keys() == {"user_id", "access_token", "device_id", "home_server"}
    assert (answer["user_id"], answer["home_server"]) == (alice.user_id, "localhost")
    assert who(anybody, token=answer["access_token"]).json()["device_id"] == answer["device_id"]


@requirement("M14")
def test_the_form_of_today_logs_in(alice: Client, anybody: Client) -> None:
    laptop = anybody.log_in(alice.user_id, device_id="LAPTOP", initial_device_display_name="Laptop")
    assert (laptop.user_id, laptop.device_id) == (alice.user_id, "LAPTOP")
    assert laptop.must("GET", "/devices/LAPTOP")["display_name"] == "Laptop"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "wrong"}, (403, "M_FORBIDDEN")),
        ({"password": ""}, (403, "M_FORBIDDEN")),
        ({"password": "x" * 10_000}, (403, "M_FORBIDDEN")),
        ({"user": "nobody"}, (403, "M_FORBIDDEN")),
        ({"user": "@alice:elsewhere"}, (403, "M_FORBIDDEN")),
        ({"user": "@"}, (403, "M_FORBIDDEN")),
        ({"user": "x" * 10_000}, (403, "M_FORBIDDEN")),
        ({"type": "m.login.token"}, (400, "M_UNKNOWN")),
        ({"type": None}, (400, "M_BAD_JSON")),
        ({"password": None}, (400, "M_MISSING_PARAM")),
        ({"password": 1}, (400, "M_BAD_JSON")),
        ({"user": None}, (400, "M_MISSING_PARAM")),
        ({"user": 1}, (400, "M_BAD_JSON")),
        ({"identifier": {"type": "m.id.thirdparty"}}, (400, "M_UNKNOWN")),
        ({"identifier": {"type": "m.id.user"}}, (400, "M_MISSING_PARAM")),
        ({"identifier": {"type": "m.id.user", "user": 1}}, (400, "M_MISSING_PARAM")),
        ({"device_id": "x" * 256}, (400, "M_INVALID_PARAM")),
        ({"initial_device_display_name": "x" * 101}, (400, "M_INVALID_PARAM")),
    ],
)
@requirement("M14", "R03")
def test_a_bad_login_is_refused(
    alice: Client, anybody: Client, change: dict[str, object], error: tuple[int, str]
) -> None:
    body = {"type": "m.login.password", "user": "alice", "password": PASSWORD} | change
    assert error_of(anybody.under(V1).call("POST", "/login", body)) == error


@requirement("M14")
def test_a_wrong_name_and_a_wrong_password_look_alike(alice: Client, anybody: Client) -> None:
    answers = [
        anybody.call("POST", "/login", {"type": "m.login.password", "user": user, "password": "wrong"})
        for user in (alice.user_id, "@nobody:localhost")
    ]
    assert len({answer.text for answer in answers}) == 1


def test_many_passwords_are_checked_while_others_are_answered(anybody: Client) -> None:
    """A slow hash is nobody else's business: if all waited for it, an answer or two would come between each
    and the next.
    """
    logins, body = 8, {"type": "m.login.password", "user": "nobody", "password": "wrong"}
    answered = 0
    with ThreadPoolExecutor(logins) as crowd:
        waiting = [crowd.submit(anybody.call, "POST", "/login", body) for _ in range(logins)]
        while not all(login.done() for login in waiting):
            assert anybody.http.get("/_matrix/client/versions").status_code == 200
            answered += 1
    assert {error_of(login.result()) for login in waiting} == {(403, "M_FORBIDDEN")}
    assert answered > 5 * logins


@every_prefix
def test_logging_out_voids_the_token(new_user: NewUser) -> None:
    leaver = new_user()
    assert leaver.call("POST", "/logout").json() == {}
    assert error_of(leaver.call("GET", "/account/whoami")) == UNKNOWN
    assert error_of(leaver.call("POST", "/logout")) == UNKNOWN


def test_logging_out_leaves_other_devices_alone(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.log_in(phone.user_id)
    phone.must("POST", "/logout", {})
    assert [device["device_id"] for device in laptop.must("GET", "/devices")["devices"]] == [laptop.device_id]


@every_prefix
def test_logging_out_everywhere_voids_every_token(new_user: NewUser, anybody: Client) -> None:
    phone = new_user()
    laptop = anybody.under(phone.prefix).log_in(phone.user_id)
    phone.must("POST", "/logout/all")
    assert {error_of(device.call("GET", "/account/whoami")) for device in (phone, laptop)} == {UNKNOWN}


def test_a_login_on_a_device_voids_its_token(new_user: NewUser, anybody: Client) -> None:
    before = new_user()
    after = anybody.log_in(before.user_id, device_id=before.device_id)
    assert error_of(before.call("GET", "/account/whoami")) == UNKNOWN
    assert after.must("GET", "/account/whoami")["device_id"] == before.device_id


def test_a_device_of_that_name_may_be_anothers(new_user: NewUser, anybody: Client, alice: Client) -> None:
    """Device ids are their users' own; logging in on one touches nobody else."""
    other = anybody.log_in(new_user().user_id, device_id=alice.device_id)
    assert alice.must("GET", "/account/whoami")["user_id"] == alice.user_id
    assert other.must("GET", "/account/whoami")["user_id"] == other.user_id
