"""However a request to send comes over the wire, whole or in pieces, it is the same request."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.harness.client import Client, path_of, texts

SECONDS = 30
V3 = "/_matrix/client/v3"


class Line:
    """A connection on which every byte is sent when the test says so."""

    def __init__(self, client: Client) -> None:
        address = urlsplit(str(client.http.base_url))
        self.socket = socket.create_connection((address.hostname, address.port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)
            time.sleep(0.01)  # so that it arrives by itself; if it does not, the test shows less

    def answer(self) -> tuple[int, dict[str, str]]:
        """The next one: its status and its JSON."""
        head = self._until(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
        )
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return int(head.split(b" ")[1]), json.loads(body)

    def continued(self) -> bytes:
        return self._until(b"\r\n\r\n")

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(end)
        return head

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        assert data, f"closed after {self._received!r}"
        self._received += data


@pytest.fixture
def line(alice: Client) -> Iterator[Line]:
    line = Line(alice)
    yield line
    line.socket.close()


def request(client: Client, room: str, text: str, *headers: str, txn_id: str = "") -> tuple[bytes, bytes]:
    """Head and body of a send."""
    path = V3 + path_of("rooms", room, "send", "m.room.message", txn_id or f"t-{text}")
    body = json.dumps({"msgtype": "m.text", "body": text}).encode()
    lines = [
        f"PUT {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {client.token}",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode(), body


Arrival = Callable[[bytes, bytes], tuple[bytes, ...]]
ARRIVALS: dict[str, Arrival] = {
    "whole": lambda head, body: (head + body,),
    "head, then body": lambda head, body: (head, body),
    "body in pieces": lambda head, body: (head + body[:5], body[5:9], body[9:]),
    "head in pieces": lambda head, body: (head[:30], head[30:] + body),
    "byte by byte at the end": lambda head, body: (head + body[:-2], body[-2:-1], body[-1:]),
}
every_arrival = pytest.mark.parametrize("arrival", ARRIVALS.values(), ids=ARRIVALS)


@every_arrival
def test_a_send_is_answered_and_there(alice: Client, room: str, line: Line, arrival: Arrival) -> None:
    line.send(*arrival(*request(alice, room, "hello")))
    status, answered = line.answer()
    assert status == 200
    assert alice.event(room, answered["event_id"])["content"]["body"] == "hello"


@every_arrival
def test_a_repeat_is_answered_the_first_event(alice: Client, room: str, line: Line, arrival: Arrival) -> None:
    line.send(b"".join(request(alice, room, "hello", txn_id="1")))
    first = line.answer()
    line.send(*arrival(*request(alice, room, "again", txn_id="1")))
    assert line.answer() == first
    assert texts(alice.messages(room, limit=1)["chunk"]) == ["hello"]


@every_arrival
@pytest.mark.parametrize(
    ("was", "becomes", "refused"),
    [
        (b'"body": "', b'"body": ', (400, "M_NOT_JSON")),
        (b"Bearer ", b"Bearer no", (401, "M_UNKNOWN_TOKEN")),
        (b"rooms/%21", b"rooms/%21nowhere", (403, "M_FORBIDDEN")),
    ],
)
def test_a_refusal_is_the_same(
    alice: Client,
    room: str,
    line: Line,
    arrival: Arrival,
    was: bytes,
    becomes: bytes,
    refused: tuple[int, str],
) -> None:
    head, body = request(alice, room, "hello")
    changed = body.replace(was, becomes)
    head = head.replace(b"Length: %d" % len(body), b"Length: %d" % len(changed)).replace(was, becomes)
    line.send(*arrival(head, changed))
    status, answered = line.answer()
    assert (status, answered["errcode"]) == refused


def test_sends_ahead_of_their_turn_are_answered_in_order(alice: Client, room: str, line: Line) -> None:
    said = [str(number) for number in range(10)]
    line.send(b"".join(part for text in said for part in request(alice, room, text)))
    answers = [line.answer() for _ in said]
    assert [status for status, _ in answers] == [200] * 10
    events = [alice.event(room, answered["event_id"]) for _, answered in answers]
    assert texts(events) == said
    assert texts(alice.messages(room, limit=10)["chunk"]) == said[::-1]


def test_a_send_between_other_requests_is_answered_in_its_place(alice: Client, room: str, line: Line) -> None:
    versions = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n\r\n"
    line.send(versions + b"".join(request(alice, room, "between")) + versions)
    answers = [line.answer()[1] for _ in range(3)]
    assert [max(answered) for answered in answers] == ["versions", "event_id", "versions"]


def test_what_is_asked_behind_a_send_in_the_same_piece_sees_it(alice: Client, room: str, line: Line) -> None:
    """The answer leaves before the views commit, and the next request is not looked at before they have."""
    path = V3 + path_of("rooms", room, "messages") + "?dir=b&limit=1"
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {alice.token}", "", ""]
    for text in map(str, range(20)):
        line.send(b"".join(request(alice, room, text)) + "\r\n".join(lines).encode())
        line.answer()
        page: dict[str, Any] = line.answer()[1]
        assert texts(page["chunk"]) == [text]


def test_who_asks_first_is_told_to_go_on(alice: Client, room: str, line: Line) -> None:
    head, body = request(alice, room, "hello", "Expect: 100-continue")
    line.send(head)
    assert line.continued() == b"HTTP/1.1 100 Continue"
    line.send(body)
    assert line.answer()[0] == 200


def test_the_last_send_of_a_connection_is_answered_before_it_closes(
    alice: Client, room: str, line: Line
) -> None:
    line.send(b"".join(request(alice, room, "hello", "Connection: close")))
    assert line.answer()[0] == 200
    assert line.socket.recv(1) == b""


def test_who_does_not_wait_for_the_answer_has_sent_all_the_same(alice: Client, room: str, line: Line) -> None:
    line.send(b"".join(request(alice, room, "and gone")))
    line.socket.close()
    until = time.monotonic() + SECONDS
    while texts(alice.messages(room, limit=1)["chunk"]) != ["and gone"]:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_too_much_is_refused_also_if_it_comes_at_once(alice: Client, room: str, line: Line) -> None:
    head, body = request(alice, room, "x" * 300_000, txn_id="1")
    line.send(head + body)
    status, answered = line.answer()
    assert (status, answered["errcode"]) == (413, "M_TOO_LARGE")
