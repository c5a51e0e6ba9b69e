"""Application services as clients: whom their token stands for, what they may make, and what stays theirs."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest

from tests.harness.client import PASSWORD, V1, V3, Client, Json, error_of, path_of
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import ServerProcess, serving
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

IRC, XMPP, LIMITED = "as-token-of-irc", "as-token-of-xmpp", "as-token-of-limited"
LOGIN_TYPE = "m.login.application_service"
EXCLUSIVE, FORBIDDEN = (400, "M_EXCLUSIVE"), (403, "M_FORBIDDEN")
TEXT = {"msgtype": "m.text", "body": "from elsewhere"}
FEW = {"per_second": 0.001, "burst": 3}

_numbers = itertools.count(1)


def namespace(regex: str, *, exclusive: bool = True) -> Mapping[str, object]:
    return {"regex": regex, "exclusive": exclusive}


BOTH = namespace("@both_.*", exclusive=False)
REGISTRATIONS: Mapping[str, Mapping[str, Any]] = {
    IRC: {
        "id": "irc",
        "sender_localpart": "irc-bot",
        "namespaces": {"users": [namespace("@_irc_.*"), BOTH], "aliases": [namespace("#_irc_.*")]},
    },
    XMPP: {
        "id": "xmpp",
        "sender_localpart": "xmpp-bot",
        "namespaces": {"users": [namespace("@_xmpp_.*"), BOTH], "aliases": [namespace("#_xmpp_.*")]},
    },
    LIMITED: {
        "id": "limited",
        "sender_localpart": "limited-bot",
        "namespaces": {"users": [namespace("@_limited_.*")]},
        "rate_limited": True,
    },
}


def options_in(directory: Path) -> list[str]:
    """What the server is started with, so that it knows them all."""
    options: list[str] = []
    for token, registration in REGISTRATIONS.items():
        path = directory / f"{registration['id']}.yaml"
        values = {"url": None, "as_token": token, "hs_token": f"hs-{token}", **registration}
        path.write_bytes(msgspec.yaml.encode(values))
        options += ["--appservice", str(path)]
    return options


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with fast_directory() as directory:
        options = [*options_in(directory), "--rate-limits", "off"]
        with serving(directory / "data", *options) as server:
            yield server
            assert (server.stop(), server.rest_of_output()) == (0, "")


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=30) as http:
        yield http


@pytest.fixture(scope="module")
def resident(http: httpx.Client) -> Callable[[str], Client]:
    """Somebody by name, who has nothing to do with a service."""
    known: dict[str, Client] = {}

    def find(localpart: str) -> Client:
        if localpart not in known:
            known[localpart] = Client("", http=http).register(localpart)
        return known[localpart]

    return find


class Service(Client):
    """A service that acts as one of its users, or as its own."""

    def __init__(self, http: httpx.Client, token: str, prefix: str, **named: str) -> None:
        """`named` is the query that says whom it acts as."""
        super().__init__("", http=http, prefix=prefix)
        self.token = token
        self.named = named

    def acting_as(self, user_id: str, **named: str) -> "Service":
        assert self.token is not None
        acting = Service(self.http, self.token, self.prefix, user_id=user_id, **named)
        acting.user_id = user_id
        return acting

    def has_made(self, localpart: str) -> "Service":
        """Acts as a user whom it makes."""
        body = {"type": LOGIN_TYPE, "username": localpart, "inhibit_login": True}
        return self.acting_as(self.must("POST", "/register", body)["user_id"])

    def _request(self, method: str, path: str, query: Mapping[str, object], **more: Any) -> httpx.Response:
        return super()._request(method, path, {**self.named, **query}, **more)


AsService: TypeAlias = Callable[[str], Service]


@pytest.fixture
def as_service(http: httpx.Client, prefix: str) -> AsService:
    """The service with this token, as its own user."""
    return lambda token: Service(http, token, prefix)


@pytest.fixture
def irc(as_service: AsService) -> Service:
    return as_service(IRC)


@pytest.fixture
def ann(irc: Service) -> Service:
    """A user of the service's, made for the test."""
    return irc.has_made(new_name("_irc_"))


def new_name(begin: str) -> str:
    return f"{begin}{next(_numbers)}"


def whoami(client: Client, **query: object) -> Json:
    return client.must("GET", "/account/whoami", **query)


def send_path(room_id: str, *txn_id: str) -> str:
    return path_of("rooms", room_id, "send", "m.room.message", *txn_id)


# Whom the token stands for.


@every_prefix
@requirement("A02", "A05")
def test_without_a_user_it_acts_as_its_own(irc: Service) -> None:
    assert whoami(irc) == {"user_id": "@irc-bot:localhost", "is_guest": False}
    assert irc.create_room()


@every_prefix
@requirement("A01", "A02", "A04")
def test_its_token_is_heard_in_header_and_query(irc: Service, ann: Service) -> None:
    assert whoami(ann)["user_id"] == ann.user_id
    irc.token = None
    assert whoami(irc, access_token=IRC, user_id=ann.user_id)["user_id"] == ann.user_id


@every_prefix
@requirement("A04")
def test_it_lives_in_rooms_as_the_user_it_names(irc: Service, ann: Service, alice: Client) -> None:
    room = alice.create_room(preset="public_chat")
    ann.join(room)
    event = alice.event(room, ann.say(room, "hello"))
    assert event["sender"] == ann.user_id
    assert ann.sync()["rooms"]["join"].keys() == {room}
    assert error_of(irc.call("PUT", send_path(room, "1"), TEXT)) == FORBIDDEN


@every_prefix
@requirement("A05")
def test_it_may_name_its_own_user(irc: Service) -> None:
    assert whoami(irc.acting_as("@irc-bot:localhost"))["user_id"] == "@irc-bot:localhost"


@pytest.mark.parametrize(
    "user_id",
    [
        "@alice:localhost",
        "@xmpp-bot:localhost",
        "@_xmpp_ann:localhost",
        "@_irc_none:localhost",
        "_irc_ann",
        "",
    ],
)
@every_prefix
@requirement("A05")
@pytest.mark.usefixtures("alice")
def test_it_acts_for_nobody_else(irc: Service, user_id: str) -> None:
    """Nor for users of its own whom it has not made."""
    assert error_of(irc.acting_as(user_id).call("GET", "/account/whoami")) == FORBIDDEN


def test_it_does_not_act_for_who_is_gone(irc: Service, anybody: Client) -> None:
    user = anybody.register(new_name("both_"))
    auth = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": user.user_id},
        "password": PASSWORD,
    }
    user.must("POST", "/account/deactivate", {"auth": auth})
    refused = irc.acting_as(user.user_id).call("GET", "/account/whoami")
    assert error_of(refused) == (403, "M_USER_DEACTIVATED")


@pytest.mark.parametrize("path", ["/account/password", "/account/deactivate", "/logout", "/logout/all"])
@every_prefix
@requirement("A04")
def test_it_does_not_manage_accounts(irc: Service, ann: Service, path: str) -> None:
    for service in (irc, ann):
        assert error_of(service.call("POST", path, {})) == FORBIDDEN
    assert whoami(ann)["user_id"] == ann.user_id


@every_prefix
@requirement("A09")
def test_other_tokens_name_nobody(alice: Client, ann: Service) -> None:
    known = {"user_id": alice.user_id, "device_id": alice.device_id, "is_guest": False}
    assert whoami(alice, user_id=ann.user_id, device_id="OTHER") == known
    room = alice.create_room()
    answer = alice.must("POST", send_path(room), TEXT, user_id=ann.user_id)
    assert alice.event(room, answer["event_id"])["sender"] == alice.user_id


@every_prefix
@requirement("A03")
def test_another_services_secret_is_no_token(irc: Service) -> None:
    irc.token = f"hs-{IRC}"
    assert error_of(irc.call("GET", "/account/whoami")) == (401, "M_UNKNOWN_TOKEN")


# Devices.


@every_prefix
def test_it_may_name_a_device_of_the_user(irc: Service, ann: Service) -> None:
    assert ann.call("PUT", "/devices/PHONE", {"display_name": "Phone"}).status_code == 201
    assert ann.call("PUT", "/devices/PHONE", {"display_name": "Desk"}).status_code == 200
    phone = irc.acting_as(ann.user_id, device_id="PHONE")
    assert whoami(phone) == {"user_id": ann.user_id, "device_id": "PHONE", "is_guest": False}
    assert ann.must("GET", "/devices/PHONE")["display_name"] == "Desk"


@pytest.mark.parametrize("device_id", ["UNKNOWN", "", "\0irc"])
@every_prefix
def test_an_unknown_device_is_refused(irc: Service, ann: Service, device_id: str) -> None:
    refused = irc.acting_as(ann.user_id, device_id=device_id).call("GET", "/account/whoami")
    assert error_of(refused) == (400, "M_UNKNOWN_DEVICE")


@pytest.mark.parametrize("device_id", ["\0irc", "x" * 256])
def test_what_is_no_device_id_makes_none(ann: Service, device_id: str) -> None:
    assert error_of(ann.call("PUT", path_of("devices", device_id), {})) == (400, "M_INVALID_PARAM")
    assert ann.must("GET", "/devices") == {"devices": []}


@every_prefix
def test_it_removes_devices_without_a_password(ann: Service) -> None:
    for device_id in ("A", "B", "C"):
        assert ann.call("PUT", f"/devices/{device_id}", {}).status_code == 201
    ann.must("DELETE", "/devices/A", {})
    ann.must("POST", "/delete_devices", {"devices": ["B"]})
    assert [device["device_id"] for device in ann.must("GET", "/devices")["devices"]] == ["C"]


# Transactions.


@every_prefix
@requirement("T01")
def test_a_repeat_is_answered_with_the_first_event(ann: Service) -> None:
    room = ann.create_room()
    assert ann.send(room, TEXT, txn_id="1") == ann.send(room, TEXT, txn_id="1")


@every_prefix
@requirement("T02")
def test_transactions_of_two_of_its_users_are_apart(irc: Service, ann: Service) -> None:
    room, bill = ann.create_room(preset="public_chat"), irc.has_made(new_name("_irc_"))
    bill.join(room)
    assert ann.send(room, TEXT, txn_id="1") != bill.send(room, TEXT, txn_id="1")


@every_prefix
@requirement("T02")
def test_transactions_of_a_users_device_are_apart(irc: Service, ann: Service) -> None:
    ann.call("PUT", "/devices/PHONE", {})
    phone, room = irc.acting_as(ann.user_id, device_id="PHONE"), ann.create_room()
    assert ann.send(room, TEXT, txn_id="1") != phone.send(room, TEXT, txn_id="1")


@every_prefix
@requirement("T02")
def test_transactions_of_two_services_are_apart(irc: Service, as_service: AsService) -> None:
    one = irc.has_made(new_name("both_"))
    other, room = as_service(XMPP).acting_as(one.user_id), one.create_room()
    assert one.send(room, TEXT, txn_id="1") != other.send(room, TEXT, txn_id="1")


@every_prefix
def test_the_id_is_shown_to_the_sender_alone(ann: Service, alice: Client) -> None:
    room = alice.create_room(preset="public_chat")
    ann.join(room)
    event_id = ann.send(room, TEXT, txn_id="mine")
    assert ann.event(room, event_id)["unsigned"]["transaction_id"] == "mine"
    assert "transaction_id" not in alice.event(room, event_id)["unsigned"]


# When an event was sent.


@every_prefix
@requirement("A06")
def test_it_may_say_when_a_message_was_sent(ann: Service) -> None:
    room, before = ann.create_room(), ann.now()
    first = ann.must("PUT", send_path(room, "1"), TEXT, ts=1_234_567_890_123)["event_id"]
    second = ann.must("POST", send_path(room), TEXT, ts=0)["event_id"]
    third = ann.must("PUT", send_path(room, "3"), TEXT, ts=2**53 - 1)["event_id"]
    sent = ann.messages(room, dir="f", from_=before)["chunk"]
    assert [(event["event_id"], event["origin_server_ts"]) for event in sent] == [
        (first, 1_234_567_890_123),
        (second, 0),
        (third, 2**53 - 1),
    ]


@every_prefix
@requirement("A06")
def test_it_may_say_when_state_was_set(ann: Service) -> None:
    room = ann.create_room()
    ann.must("PUT", path_of("rooms", room, "state", "m.room.topic"), {"topic": "then"}, ts=7)
    path = path_of("rooms", room, "state", "m.room.member", ann.user_id)
    ann.must("PUT", path, {"membership": "join", "displayname": "Ann"}, ts=8)
    times = {event["type"]: event["origin_server_ts"] for event in ann.state(room)}
    assert (times["m.room.topic"], times["m.room.member"]) == (7, 8)


@pytest.mark.parametrize("ts", ["", "-1", "1.5", "soon", "٣", str(2**53), "9" * 5000])
@every_prefix
@requirement("A06")
def test_what_is_no_time_is_refused(ann: Service, ts: str) -> None:
    room = ann.create_room()
    paths = send_path(room, "1"), path_of("rooms", room, "state", "m.room.topic")
    for path in paths:
        assert error_of(ann.call("PUT", path, TEXT, ts=ts)) == (400, "M_INVALID_PARAM")
    assert ann.call("PUT", send_path(room, "1"), TEXT, ts="1").status_code == 200


@pytest.mark.parametrize("ts", ["7", "soon"])
@every_prefix
@requirement("A06")
def test_others_say_no_time(alice: Client, ts: str) -> None:
    room = alice.create_room()
    sent = alice.must("POST", send_path(room), TEXT, ts=ts)["event_id"]
    assert alice.event(room, sent)["origin_server_ts"] > 1_700_000_000_000


# Making users, and logging in as them.


@pytest.mark.parametrize(("prefix", "name_key"), [(V1, "user"), (V3, "user"), (V3, "username")])
@requirement("A07")
def test_it_makes_a_user_without_a_password(irc: Service, anybody: Client, name_key: str) -> None:
    name = new_name("_irc_")
    made = irc.must("POST", "/register", {"type": LOGIN_TYPE, name_key: name})
    assert made["user_id"] == f"@{name}:localhost"
    anybody.token = made["access_token"]
    assert whoami(anybody)["device_id"] == made["device_id"]
    login = {"type": "m.login.password", "user": name, "password": ""}
    assert error_of(irc.call("POST", "/login", login)) == FORBIDDEN


@every_prefix
@requirement("A07")
def test_the_new_user_need_not_be_logged_in(irc: Service) -> None:
    name = new_name("_irc_")
    body = {"type": LOGIN_TYPE, "username": name, "inhibit_login": True}
    assert irc.must("POST", "/register", body) == {"user_id": f"@{name}:localhost"}
    assert irc.acting_as(f"@{name}:localhost").must("GET", "/devices") == {"devices": []}


@requirement("A01", "A07")
def test_the_request_of_2015_registers(irc: Service) -> None:
    """The token stands in the query, as it did then."""
    client, name = irc.under(V1), new_name("_irc_")
    client.token = None
    body = {"type": LOGIN_TYPE, "user": name}
    assert client.must("POST", "/register", body, access_token=IRC)["user_id"] == f"@{name}:localhost"


@pytest.mark.parametrize("localpart", ["irc-bot", "_irc_again"])
@every_prefix
@requirement("A07")
def test_who_is_there_is_not_made_again(irc: Service, localpart: str) -> None:
    """Nor is its own user, whom a service may ask for whenever it starts."""
    body = {"type": LOGIN_TYPE, "username": localpart}
    irc.call("POST", "/register", body)
    assert error_of(irc.call("POST", "/register", body)) == (400, "M_USER_IN_USE")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "M_MISSING_PARAM"),
        ({"username": ""}, "M_MISSING_PARAM"),
        ({"username": "_irc_Ann"}, "M_INVALID_USERNAME"),
        ({"user": 7}, "M_BAD_JSON"),
    ],
)
@every_prefix
def test_it_has_to_name_the_new_user(irc: Service, body: dict[str, Any], error: str) -> None:
    assert error_of(irc.call("POST", "/register", {"type": LOGIN_TYPE, **body})) == (400, error)


@pytest.mark.parametrize("path", ["/register", "/login"])
@every_prefix
@requirement("A03", "A07")
def test_only_a_service_registers_and_logs_in_so(anybody: Client, alice: Client, path: str) -> None:
    body = {"type": LOGIN_TYPE, "user": "_irc_nobody"}
    assert error_of(anybody.call("POST", path, body)) == (401, "M_MISSING_TOKEN")
    for token in ("unknown", alice.token):
        anybody.token = token
        assert error_of(anybody.call("POST", path, body)) == (401, "M_UNKNOWN_TOKEN")


@every_prefix
def test_it_logs_in_as_its_users(irc: Service, ann: Service, anybody: Client) -> None:
    """Today's form and that of 2015."""
    identifier = {"type": "m.id.user", "user": ann.user_id}
    named: list[dict[str, Any]] = [
        {"identifier": identifier},
        {"user": ann.user_id},
        {"user": ann.user_id[1:].split(":")[0]},
    ]
    for form in named:
        session = irc.must("POST", "/login", {"type": LOGIN_TYPE, **form, "device_id": "DESK"})
        anybody.token = session["access_token"]
        assert whoami(anybody) == {"user_id": ann.user_id, "device_id": "DESK", "is_guest": False}


@pytest.mark.parametrize(
    ("user", "refusal"),
    [
        ("alice", EXCLUSIVE),
        ("_xmpp_ann", EXCLUSIVE),
        ("@_irc_ann:elsewhere", FORBIDDEN),
        ("_irc_none", FORBIDDEN),
        (None, (400, "M_MISSING_PARAM")),
    ],
)
@every_prefix
@requirement("A08")
@pytest.mark.usefixtures("alice")
def test_it_logs_in_as_nobody_else(irc: Service, user: str | None, refusal: tuple[int, str]) -> None:
    body = {"type": LOGIN_TYPE} | ({} if user is None else {"user": user})
    assert error_of(irc.call("POST", "/login", body)) == refusal


@every_prefix
def test_its_way_to_log_in_is_listed(anybody: Client) -> None:
    flows = anybody.must("GET", "/login")["flows"]
    assert flows == [{"type": "m.login.password"}, {"type": LOGIN_TYPE}]


# What is whose.


@pytest.mark.parametrize("localpart", ["anybody", "_xmpp_ann"])
@every_prefix
@requirement("A08")
def test_it_makes_no_user_outside_its_namespace(irc: Service, localpart: str) -> None:
    body = {"type": LOGIN_TYPE, "username": localpart}
    assert error_of(irc.call("POST", "/register", body)) == EXCLUSIVE


@every_prefix
@requirement("A08")
def test_an_exclusive_name_is_not_to_be_had(anybody: Client) -> None:
    """Which is said before anything is asked for."""
    body = {"username": new_name("_irc_"), "password": PASSWORD}
    assert error_of(anybody.call("POST", "/register", body)) == EXCLUSIVE
    refused = anybody.call("GET", "/register/available", username=body["username"])
    assert error_of(refused) == EXCLUSIVE


def test_a_registration_is_a_services_if_it_says_so(irc: Service) -> None:
    body = {"username": new_name("_irc_"), "password": PASSWORD}
    assert error_of(irc.call("POST", "/register", body)) == EXCLUSIVE


@every_prefix
def test_a_name_that_is_not_exclusive_is_anybodys(anybody: Client, irc: Service) -> None:
    user = anybody.register(new_name("both_"))
    assert whoami(irc.acting_as(user.user_id))["user_id"] == user.user_id


@every_prefix
@requirement("A08")
def test_an_exclusive_alias_is_its_services(irc: Service, alice: Client) -> None:
    name = new_name("_irc_")
    path = path_of("directory", "room", f"#{name}:localhost")
    target = {"room_id": alice.create_room()}
    assert error_of(alice.call("PUT", path, target)) == EXCLUSIVE
    assert error_of(alice.call("POST", "/createRoom", {"room_alias_name": name})) == EXCLUSIVE
    room = irc.create_room(room_alias_name=name)
    assert alice.must("GET", path)["room_id"] == room
    irc.must("PUT", path_of("directory", "room", f"#{name}_too:localhost"), {"room_id": room})


@pytest.mark.parametrize("begin", ["anything", "_xmpp_"])
@every_prefix
@requirement("A08")
def test_it_makes_no_alias_outside_its_namespace(irc: Service, begin: str) -> None:
    name = new_name(begin)
    room, path = irc.create_room(), path_of("directory", "room", f"#{name}:localhost")
    assert error_of(irc.call("PUT", path, {"room_id": room})) == EXCLUSIVE
    assert error_of(irc.call("POST", "/createRoom", {"room_alias_name": name})) == EXCLUSIVE


@every_prefix
@requirement("A08")
def test_it_alone_takes_its_aliases_away(irc: Service, ann: Service, alice: Client) -> None:
    """Whichever of its users has made them."""
    name = new_name("_irc_")
    ann.create_room(room_alias_name=name)
    path = path_of("directory", "room", f"#{name}:localhost")
    assert error_of(alice.call("DELETE", path)) == EXCLUSIVE
    irc.must("DELETE", path)
    assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")


# What the operator decides.


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Client]:
    """Somebody at a server where nobody may register, or do anything more than a few times."""
    limits = "".join(
        f"[rate_limit.{name}]\nper_second = {FEW['per_second']}\nburst = {FEW['burst']}\n"
        for name in ("join", "register", "login")
    )
    file = tmp_path / "roomlog.toml"
    file.write_text('query_tokens = "off"\n' + limits)
    with fast_directory() as directory:
        options = [*options_in(directory), "--config", str(file), "--registration", "closed"]
        with serving(directory / "data", *options) as server:
            yield server.client()


def joins(client: Client, times: int) -> list[int]:
    room = client.create_room()
    return [client.call("POST", path_of("join", room), {}).status_code for _ in range(times)]


@requirement("A07", "R04")
def test_a_service_is_held_to_no_limits(strict: Client) -> None:
    """Nor by closed registration; unless it was said that its users are to be like others."""
    irc, limited = (Service(strict.http, token, V3) for token in (IRC, LIMITED))
    made = [irc.has_made(f"_irc_{number}") for number in range(6)]
    for number in range(6):
        irc.must("POST", "/login", {"type": LOGIN_TYPE, "user": f"_irc_{number}"})
    assert joins(made[0], 6) == [200] * 6
    assert joins(limited, 6) == [200] * 6
    assert joins(limited.has_made("_limited_ann"), 6) == [200] * 3 + [429] * 3
    refused = strict.call("POST", "/register", {"username": "alice", "password": PASSWORD})
    assert error_of(refused) == FORBIDDEN


@requirement("A01")
def test_its_token_is_not_heard_where_no_query_is(strict: Client) -> None:
    assert error_of(strict.call("GET", "/account/whoami", access_token=IRC)) == (401, "M_MISSING_TOKEN")
    assert whoami(strict.under(V1), access_token=IRC)["user_id"] == "@irc-bot:localhost"
    body = {"type": LOGIN_TYPE, "username": "_irc_ann"}
    refused = strict.call("POST", "/register", body, access_token=IRC)
    assert error_of(refused) == (401, "M_MISSING_TOKEN")
