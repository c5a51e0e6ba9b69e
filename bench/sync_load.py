"""The load generator's clients that read: who waits for an event, and who comes back for one.

They know what they wait for: an answer without the event that was sent is no measurement but an error.
Both sides of a delay are read off one clock, because sender and readers are in one process; what this
process needs to read the answers of many readers, some 20 µs each, is part of what the last of them sees.
"""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Literal, NamedTuple
from urllib.parse import quote

import msgspec

from bench.connection import Answer, Connection, Refused, accepted, request_bytes
from bench.figures import Latencies

_CLIENT = "/_matrix/client/v3"
_WAIT_MS = 60_000


class WaitForNews(msgspec.Struct, frozen=True, tag=True):
    """Send one event after the other into a room while clients wait; some of them are in the room."""

    host: str
    port: int
    call: Literal["sync", "events"]
    sender: str
    """Its access token, as with the others."""
    room_id: str
    in_room: list[str]
    """Wait, and are answered."""
    elsewhere: list[str]
    """Wait, and go on waiting."""
    elsewhere_room_id: str
    """A room that these are in."""
    run: str
    seconds: float


class CompareReaders(msgspec.Struct, frozen=True, tag=True):
    """Send one event after the other; two users who are both in the room come and ask what is new."""

    host: str
    port: int
    sender: str
    room_id: str
    readers: tuple[str, str]
    run: str
    seconds: float


class Waited(msgspec.Struct, frozen=True):
    after_200: Latencies
    """From the sender's 200 to the answers of those who waited; may be negative."""
    send: Latencies


class Compared(msgspec.Struct, frozen=True):
    """Of the two readers, in their order."""

    first: Latencies
    second: Latencies


class _Reader:
    """A client that asks what is new, again and again."""

    def __init__(self, connection: Connection, token: str, call: str, since: str) -> None:
        self._connection = connection
        self._token = token
        self._call = call
        self._since = since

    @classmethod
    async def begin(cls, plan: WaitForNews | CompareReaders, token: str, call: str) -> "_Reader":
        connection = await Connection.open(plan.host, plan.port)
        answer = await connection.must(request_bytes("GET", f"{_CLIENT}/sync?timeout=0", token))
        return cls(connection, token, call, msgspec.json.decode(answer.body)["next_batch"])

    def ask(self, timeout_ms: int) -> asyncio.Future[Answer]:
        parameter = "since" if self._call == "sync" else "from"
        path = f"{_CLIENT}/{self._call}?{parameter}={self._since}&timeout={timeout_ms}"
        return self._connection.request(request_bytes("GET", path, self._token))

    def take(self, answer: Answer, event_id: bytes) -> Answer:
        """Raises `Refused` unless the event is in the answer."""
        if event_id not in accepted(answer).body:
            raise Refused(f"/{self._call} was answered without the event: {answer.body!r}")
        news = msgspec.json.decode(answer.body)
        self._since = news["next_batch" if self._call == "sync" else "end"]
        return answer

    def close(self) -> None:
        self._connection.close()


class _Event(NamedTuple):
    event_id: bytes
    requested_at: float
    answered_at: float


class _Sender:
    def __init__(self, connection: Connection, plan: WaitForNews | CompareReaders) -> None:
        self._connection = connection
        self._token = plan.sender
        self._run = plan.run
        self._count = 0

    async def send(self, room_id: str) -> _Event:
        self._count += 1
        txn_id = f"{self._run}.{self._count}"
        path = f"{_CLIENT}/rooms/{quote(room_id, safe='')}/send/m.room.message/{txn_id}"
        content = b'{"msgtype":"m.text","body":"Is anybody waiting for this?"}'
        started = perf_counter()
        answer = await self._connection.must(request_bytes("PUT", path, self._token, content))
        event_id = msgspec.json.decode(answer.body)["event_id"]
        return _Event(event_id.encode(), started, answer.at)

    async def let_others_arrive(self) -> None:
        """Return when the server has read whatever was sent to it before on other connections.

        In one turn its event loop reads all that has arrived: with the answer to the first request
        everything sent before it has been read, with that to the second it has been begun.
        """
        for _ in range(2):
            await self._connection.must(request_bytes("GET", "/_matrix/client/versions", ""))

    def close(self) -> None:
        self._connection.close()


async def wait_for_news(plan: WaitForNews) -> Waited:
    sender = _Sender(await Connection.open(plan.host, plan.port), plan)
    waiting = [await _Reader.begin(plan, token, plan.call) for token in plan.in_room]
    others = [await _Reader.begin(plan, token, plan.call) for token in plan.elsewhere]
    undisturbed = [reader.ask(_WAIT_MS) for reader in others]
    after_200: list[float] = []
    sends: list[float] = []
    until = perf_counter() + plan.seconds
    while perf_counter() < until:
        polls = [reader.ask(_WAIT_MS) for reader in waiting]
        await sender.let_others_arrive()
        event = await sender.send(plan.room_id)
        sends.append(event.answered_at - event.requested_at)
        for reader, answer in zip(waiting, await asyncio.gather(*polls), strict=True):
            after_200.append(reader.take(answer, event.event_id).at - event.answered_at)
    await _let_go(sender, plan.elsewhere_room_id, undisturbed)
    sender.close()
    for reader in (*waiting, *others):
        reader.close()
    return Waited(Latencies.of(after_200), Latencies.of(sends))


async def _let_go(sender: _Sender, room_id: str, undisturbed: Sequence[asyncio.Future[Answer]]) -> None:
    """Have those answered who still wait: of a client that just goes away the server learns nothing."""
    if any(answer.done() for answer in undisturbed):
        raise Refused("somebody was answered who was not in the room")
    if undisturbed:
        await sender.send(room_id)
        for answer in await asyncio.gather(*undisturbed):
            accepted(answer)


async def compare_readers(plan: CompareReaders) -> Compared:
    """How long an incremental /sync takes each of the two; they take turns in being the first."""
    sender = _Sender(await Connection.open(plan.host, plan.port), plan)
    readers = [await _Reader.begin(plan, token, "sync") for token in plan.readers]
    seconds: tuple[list[float], list[float]] = ([], [])
    order = [0, 1]
    until = perf_counter() + plan.seconds
    while perf_counter() < until:
        event = await sender.send(plan.room_id)
        for index in order:
            started = perf_counter()
            answer = readers[index].take(await readers[index].ask(0), event.event_id)
            seconds[index].append(answer.at - started)
        order.reverse()
    sender.close()
    for reader in readers:
        reader.close()
    return Compared(Latencies.of(seconds[0]), Latencies.of(seconds[1]))
