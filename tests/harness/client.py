"""A client with the verbs of the domain.

The verbs set a test up: they must succeed, and say what came instead if they do not. `call` is for what a
test is about, and hands out the answer whatever it is, as long as the specification allows it: every answer
is held against its schemas.
"""

import itertools
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeAlias
from urllib.parse import quote

import httpx

from tests.contract.judging import faults

Json: TypeAlias = Any
"""Decoded JSON of an answer; the test that reads it says what it expects."""

V1 = "/_matrix/client/api/v1"
R0 = "/_matrix/client/r0"
V3 = "/_matrix/client/v3"
PREFIXES = (V1, R0, V3)

PASSWORD = "correct horse battery staple"
_numbers = itertools.count(1)
_SECONDS_TO_SEND = 10


def path_of(*segments: str) -> str:
    """A path of these segments; whatever has a meaning in a path is percent-encoded within them."""
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, once it is made sure that it has the form that all refusals have."""
    body = answer.json()
    assert answer.headers["content-type"] == "application/json", answer.headers
    assert answer.headers["access-control-allow-origin"] == "*", answer.headers
    assert isinstance(body["errcode"], str), body
    assert isinstance(body["error"], str), body
    assert body["error"], body
    return answer.status_code, body["errcode"]


def texts(events: Json) -> list[str]:
    """What the messages among these events say, in their order."""
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


def keep_to_the_contract(http: httpx.Client) -> None:
    """From now on, an answer over these connections that the specification does not allow fails the test.

    Among them is every answer that the server failed: who wants that takes other connections.
    """
    hooks = http.event_hooks["response"]
    if _must_keep_the_contract not in hooks:
        hooks.append(_must_keep_the_contract)


def _must_keep_the_contract(answer: httpx.Response) -> None:
    answer.read()
    request = answer.request
    path = request.url.raw_path.decode()
    found = faults(request.method, path, answer.status_code, answer.content)
    assert not found, "\n".join(["The specification does not allow this answer:", *map(str, found)])


_own_connections: list[httpx.Client] = []


def close_own_connections() -> None:
    """Of all clients that share nobody's; called after every test."""
    while _own_connections:
        _own_connections.pop().close()


class Client:
    """One session of one user; without a token before `register` or `log_in`."""

    def __init__(self, address: str, *, prefix: str = V3, http: httpx.Client | None = None) -> None:
        """`http` is shared between clients; without it this one has connections of its own."""
        if http is None:
            http = httpx.Client(base_url=address, timeout=30)
            _own_connections.append(http)
        keep_to_the_contract(http)
        self.http = http
        self.prefix = prefix
        self.token: str | None = None
        self.user_id = ""
        self.device_id = ""

    def call(
        self, method: str, path: str, body: Json = None, *, raw: bytes | None = None, **query: object
    ) -> httpx.Response:
        """A request under the client's prefix, with its token in the header if it has one.

        `raw` is for bodies that no JSON encoder would write.
        """
        return self._request(method, path, query, json=body, content=raw)

    def begin(self, path: str, **query: object) -> "Future[httpx.Response]":
        """A GET that may be answered late; returns as soon as the server has it."""
        answer: Future[httpx.Response] = Future()
        is_sent = threading.Event()

        def trace(step: str, _: object) -> None:
            if step.endswith("send_request_body.complete"):
                is_sent.set()

        def ask() -> None:
            try:
                answer.set_result(self._request("GET", path, query, extensions={"trace": trace}))
            except (httpx.HTTPError, AssertionError) as error:
                answer.set_exception(error)

        threading.Thread(target=ask, daemon=True).start()
        assert is_sent.wait(_SECONDS_TO_SEND), f"GET {path} could not be sent"
        # The server looks at its connections in turn: once it has answered twice, it has seen this request.
        for _ in range(2):
            self.http.get("/_matrix/client/versions")
        return answer

    def must(self, method: str, path: str, body: Json = None, **query: object) -> Json:
        """The JSON of an answer that has to be a 200."""
        answer = self._request(method, path, query, json=body)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def register(self, localpart: str) -> Self:
        auth = {"type": "m.login.dummy"}
        body = {"username": localpart, "password": PASSWORD, "auth": auth}
        self._adopt(self.must("POST", "/register", body))
        return self

    def log_in(self, user: str, **more: object) -> Self:
        identifier = {"type": "m.id.user", "user": user}
        body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD, **more}
        self._adopt(self.must("POST", "/login", body))
        return self

    def under(self, prefix: str) -> "Client":
        """The same session, speaking to another version of the API."""
        return self._as(Client("", prefix=prefix, http=self.http))

    def over(self, other: "Client") -> "Client":
        """The same session, over the connections of another client: to a server that came back elsewhere."""
        return self._as(Client("", prefix=self.prefix, http=other.http))

    def create_room(self, **request: object) -> str:
        room_id: str = self.must("POST", "/createRoom", request)["room_id"]
        return room_id

    def invite(self, room_id: str, user_id: str) -> None:
        self.must("POST", path_of("rooms", room_id, "invite"), {"user_id": user_id})

    def join(self, room_id_or_alias: str) -> None:
        self.must("POST", path_of("join", room_id_or_alias), {})

    def leave(self, room_id: str) -> None:
        self.must("POST", path_of("rooms", room_id, "leave"), {})

    def send(
        self,
        room_id: str,
        content: Json,
        *,
        event_type: str = "m.room.message",
        txn_id: str | None = None,
    ) -> str:
        path = path_of("rooms", room_id, "send", event_type, txn_id or f"txn{next(_numbers)}")
        event_id: str = self.must("PUT", path, content)["event_id"]
        return event_id

    def say(self, room_id: str, text: str) -> str:
        return self.send(room_id, {"msgtype": "m.text", "body": text})

    def set_state(self, room_id: str, event_type: str, content: Json, state_key: str = "") -> str:
        path = path_of("rooms", room_id, "state", event_type, state_key)
        event_id: str = self.must("PUT", path, content)["event_id"]
        return event_id

    def redact(self, room_id: str, event_id: str, **content: object) -> str:
        path = path_of("rooms", room_id, "redact", event_id, f"txn{next(_numbers)}")
        redaction_id: str = self.must("PUT", path, content)["event_id"]
        return redaction_id

    def event(self, room_id: str, event_id: str) -> Json:
        return self.must("GET", path_of("rooms", room_id, "event", event_id))

    def state(self, room_id: str) -> Json:
        return self.must("GET", path_of("rooms", room_id, "state"))

    def messages(self, room_id: str, **query: object) -> Json:
        return self.must("GET", path_of("rooms", room_id, "messages"), **{"dir": "b", **query})

    def sync(self, **query: object) -> Json:
        return self.must("GET", "/sync", **query)

    def _as(self, other: "Client") -> "Client":
        other.token, other.user_id, other.device_id = self.token, self.user_id, self.device_id
        return other

    def now(self) -> str:
        """A token of this moment, from which on everything is new; costs nothing for the rooms one is in."""
        token: str = self.must("GET", "/events")["end"]
        return token

    def _adopt(self, session: Json) -> None:
        self.token = session["access_token"]
        self.user_id = session["user_id"]
        self.device_id = session["device_id"]

    def _request(self, method: str, path: str, query: Mapping[str, object], **more: Any) -> httpx.Response:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        parameters = {name.rstrip("_"): str(value) for name, value in query.items()}
        return self.http.request(method, self.prefix + path, params=parameters, headers=headers, **more)
