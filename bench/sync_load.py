"""The load generator's clients that read: who waits for an event, and who comes back for one.

They know what they wait for: an answer without the event that was sent is no measurement but an error.
Both sides of a delay are read off one clock, because sender and readers are in one process; what this
process needs to read the answers of many readers, some 20 µs each, is part of what the last of them sees.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Literal, NamedTuple, Self
from urllib.parse import quote

import msgspec

from bench.connection import Answer, Connection, Refused, accepted, request_bytes
from bench.figures import Latencies

CLIENT = "/_matrix/client/v3"
WAIT_MS = 60_000
_LITTLE = quote('{"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true}}}')
"""A filter for who only wants to know where one is: 1,000 users in one room need not all read of all."""


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
    """Send one event after the other; users who are all in the room come and ask what is new."""

    host: str
    port: int
    sender: str
    room_id: str
    readers: list[str]
    run: str
    seconds: float


class Question(msgspec.Struct, frozen=True):
    token: str
    path: str
    """Of a GET, escaped already."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Ask one question after the other, in turn, on one connection."""

    host: str
    port: int
    questions: list[Question]
    seconds: float


class Waited(msgspec.Struct, frozen=True):
    after_200: Latencies
    """From the sender's 200 to the answers of those who waited; may be negative."""
    send: Latencies


class Compared(msgspec.Struct, frozen=True):
    readers: list[Latencies]
    """In the plan's order."""


class Asked(msgspec.Struct, frozen=True):
    """Of the questions, in the plan's order."""

    latencies: list[Latencies]
    answer_bytes: list[int]


class Reader:
    """A client that asks what is new, again and again."""

    def __init__(self, connection: Connection, token: str, call: str, since: str) -> None:
        self._connection = connection
        self._token = token
        self._call = call
        self._since = since

    @classmethod
    async def begin(cls, host: str, port: int, token: str, call: str) -> Self:
        connection = await Connection.open(host, port)
        answer = await connection.must(
            request_bytes("GET", f"{CLIENT}/sync?timeout=0&filter={_LITTLE}", token)
        )
        return cls(connection, token, call, msgspec.json.decode(answer.body)["next_batch"])

    def ask(self, timeout_ms: int) -> asyncio.Future[Answer]:
        parameter = "since" if self._call == "sync" else "from"
        path = f"{CLIENT}/{self._call}?{parameter}={self._since}&timeout={timeout_ms}"
        return self._connection.request(request_bytes("GET", path, self._token))

    def take(self, answer: Answer, event_id: bytes) -> Answer:
        """Raises `Refused` unless the event is in the answer."""
        if event_id not in accepted(answer).body:
            raise Refused(f"/{self._call} was answered without the event: {answer.body!r}")
        self.new_event_ids(answer)
        return answer

    def new_event_ids(self, answer: Answer) -> list[str]:
        """Of the events in the rooms' timelines; the next request is for what comes after them."""
        if self._call == "events":
            chunk = _EVENTS.decode(accepted(answer).body)
            self._since = chunk.end
            return [event.event_id for event in chunk.chunk]
        news = _SYNC.decode(accepted(answer).body)
        self._since = news.next_batch
        rooms = news.rooms.join.values()
        return [event.event_id for room in rooms for event in room.timeline.events]

    def close(self) -> None:
        self._connection.close()


class _Shown(msgspec.Struct, frozen=True):
    event_id: str = ""


class _Timeline(msgspec.Struct, frozen=True):
    events: tuple[_Shown, ...] = ()


class _Room(msgspec.Struct, frozen=True):
    timeline: _Timeline = _Timeline()


class _Rooms(msgspec.Struct, frozen=True):
    join: dict[str, _Room] = msgspec.field(default_factory=dict)


class _News(msgspec.Struct, frozen=True):
    """What is looked at of an answer to /sync."""

    next_batch: str
    rooms: _Rooms = _Rooms()


class _Chunk(msgspec.Struct, frozen=True):
    """And of one to /events."""

    chunk: tuple[_Shown, ...]
    end: str


_SYNC = msgspec.json.Decoder(_News)
_EVENTS = msgspec.json.Decoder(_Chunk)


class Event(NamedTuple):
    event_id: bytes
    requested_at: float
    answered_at: float


class NewsSender:
    def __init__(self, connection: Connection, token: str, run: str) -> None:
        """`run`: goes into the transaction ids; different for each sender."""
        self._connection = connection
        self._token = token
        self._run = run
        self._count = 0

    async def send(self, room_id: str) -> Event:
        self._count += 1
        txn_id = f"{self._run}.{self._count}"
        path = f"{CLIENT}/rooms/{quote(room_id, safe='')}/send/m.room.message/{txn_id}"
        content = b'{"msgtype":"m.text","body":"Is anybody waiting for this?"}'
        started = perf_counter()
        answer = await self._connection.must(request_bytes("PUT", path, self._token, content))
        event_id = msgspec.json.decode(answer.body)["event_id"]
        return Event(event_id.encode(), started, answer.at)

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
    sender = NewsSender(await Connection.open(plan.host, plan.port), plan.sender, plan.run)
    waiting = [await Reader.begin(plan.host, plan.port, token, plan.call) for token in plan.in_room]
    others = [await Reader.begin(plan.host, plan.port, token, plan.call) for token in plan.elsewhere]
    undisturbed = [reader.ask(WAIT_MS) for reader in others]
    after_200: list[float] = []
    sends: list[float] = []
    until = perf_counter() + plan.seconds
    while perf_counter() < until:
        polls = [reader.ask(WAIT_MS) for reader in waiting]
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


async def _let_go(sender: NewsSender, room_id: str, undisturbed: Sequence[asyncio.Future[Answer]]) -> None:
    """Have those answered who still wait: of a client that just goes away the server learns nothing."""
    if any(answer.done() for answer in undisturbed):
        raise Refused("somebody was answered who was not in the room")
    if undisturbed:
        await sender.send(room_id)
        for answer in await asyncio.gather(*undisturbed):
            accepted(answer)


async def compare_readers(plan: CompareReaders) -> Compared:
    """How long an incremental /sync takes each of them; they take turns in being the first."""
    sender = NewsSender(await Connection.open(plan.host, plan.port), plan.sender, plan.run)
    readers = [await Reader.begin(plan.host, plan.port, token, "sync") for token in plan.readers]
    seconds: list[list[float]] = [[] for _ in readers]
    order = deque(range(len(readers)))
    until = perf_counter() + plan.seconds
    while perf_counter() < until or not seconds[0]:
        event = await sender.send(plan.room_id)
        for index in order:
            started = perf_counter()
            answer = readers[index].take(await readers[index].ask(0), event.event_id)
            seconds[index].append(answer.at - started)
        order.rotate()
    sender.close()
    for reader in readers:
        reader.close()
    return Compared([Latencies.of(of_reader) for of_reader in seconds])


async def ask(plan: Ask) -> Asked:
    """How long each answer takes to come, all of it. Raises `Refused` if one is not a 200."""
    connection = await Connection.open(plan.host, plan.port)
    requests = [request_bytes("GET", question.path, question.token) for question in plan.questions]
    seconds: list[list[float]] = [[] for _ in requests]
    sizes = [0 for _ in requests]
    until = perf_counter() + plan.seconds
    while perf_counter() < until or not seconds[0]:
        for index, request in enumerate(requests):
            started = perf_counter()
            answer = await connection.must(request)
            seconds[index].append(answer.at - started)
            sizes[index] = len(answer.body)
    connection.close()
    return Asked([Latencies.of(of_question) for of_question in seconds], sizes)
