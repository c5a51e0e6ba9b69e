"""Who sends, into which rooms, and how a server did: what all parts share that send messages.

Everybody has an account of their own and sends on one connection. Most figures are of many users in a few
rooms. Two extremes stand beside them: all in one hot room, whose events form one line, and the same users
spread over so many rooms that hardly two events of a batch are of the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from bench import report
from bench.author import Author, Facts, Room, token_of
from bench.figures import LatencySpread, Spread
from bench.load import Sender, SendMessages, Sent, put_load_on_server
from bench.processes import Places, Server
from bench.workload import message
from projections.sessions import Session

SLICES = 3
"""Of a repetition, to compare servers: a machine changes its speed within seconds, so turns are short."""
_BODIES = 256
_BOUND_BY_THE_GENERATOR = 0.9
"""Above this share of a core the load generator may be what limits."""


class Senders:
    """Users who come to a log; there is one for each connection. Empty before `entries` is exhausted."""

    def __init__(self, connections: int, rooms: int, *, spread: int = 0, many_rooms: int = 0) -> None:
        """The first `spread` of them are also in a hot room, and have `many_rooms` rooms among them."""
        self._connections = connections
        self._rooms = rooms
        self._spread = spread
        self._many_rooms = many_rooms
        self.in_a_few_rooms: list[Sender] = []
        """Evenly over `rooms`, each in one of them."""
        self.in_one_room: list[Sender] = []
        self.in_many_rooms: list[Sender] = []
        self.bodies: list[str] = []

    def entries(self, author: Author) -> Iterator[Facts]:
        users: list[Session] = []
        for number in range(max(self._connections, self._spread)):
            user, facts = author.register(f"sender{number}")
            users.append(user)
            yield facts
        yield from self._enter_a_few(author, users[: self._connections])
        if self._spread:
            yield from self._enter_one(author, users[: self._spread])
            yield from self._enter_many(author, users[: self._spread])
        self.bodies += bodies_of(author)

    def _enter_a_few(self, author: Author, users: Sequence[Session]) -> Iterator[Facts]:
        rooms: list[Room] = []
        for number, user in enumerate(users):
            if number < self._rooms:
                room, facts = author.create_room(user)
                rooms.append(room)
            else:
                room = rooms[number % self._rooms]
                facts = author.join(room, user)
            yield facts
            self.in_a_few_rooms.append(Sender(token_of(user.user_id), [room.room_id]))

    def _enter_one(self, author: Author, users: Sequence[Session]) -> Iterator[Facts]:
        room, facts = author.create_room(users[0])
        yield facts
        for user in users[1:]:
            yield author.join(room, user)
        self.in_one_room += (Sender(token_of(user.user_id), [room.room_id]) for user in users)

    def _enter_many(self, author: Author, users: Sequence[Session]) -> Iterator[Facts]:
        owned: list[list[str]] = [[] for _ in users]
        for number in range(max(self._many_rooms, len(users))):
            room, facts = author.create_room(users[number % len(users)])
            owned[number % len(users)].append(room.room_id)
            yield facts
        self.in_many_rooms += (
            Sender(token_of(user.user_id), rooms) for user, rooms in zip(users, owned, strict=True)
        )


def bodies_of(author: Author) -> list[str]:
    """What is sent: different messages; after the last the first comes again."""
    return [msgspec.json.encode(message(author)).decode() for _ in range(_BODIES)]


class Answering(msgspec.Struct, frozen=True):
    """How a server did."""

    per_second: Spread
    latency: LatencySpread
    cpu_us: Spread
    """Of the server's process, for each request."""
    generator_cpu_share: Spread

    @classmethod
    def of(cls, runs: Sequence[Sent]) -> "Answering":
        return cls(
            per_second=Spread.of([per_second(sent) for sent in runs]),
            latency=LatencySpread.of([sent.latencies for sent in runs]),
            cpu_us=Spread.of([cpu_us(sent) for sent in runs]),
            generator_cpu_share=Spread.of([sent.generator_cpu_share for sent in runs]),
        )

    def cells(self) -> tuple[str, str, str, str]:
        """Per second, p50, p99, CPU time, for a table."""
        of = self.per_second, self.latency.p50_ms, self.latency.p99_ms, self.cpu_us
        first, second, third, fourth = map(report.cell, of)
        return first, second, third, fourth

    @property
    def is_bound_by_the_generator(self) -> bool:
        return self.generator_cpu_share.maximum >= _BOUND_BY_THE_GENERATOR


class Load:
    """Puts senders on a server, with transaction ids that were never used before."""

    def __init__(self, where: Places, bodies: list[str], seconds: float) -> None:
        """`seconds`: how long each run measures."""
        self._where = where
        self._bodies = bodies
        self._seconds = seconds
        self._runs = 0

    def on(self, server: Server, senders: Sequence[Sender], log_file: Path | None = None) -> Sent:
        """`log_file`: the server's, if its batches are to be counted."""
        self._runs += 1
        wanted = SendMessages(
            host=server.host,
            port=server.port,
            server_pid=server.pid,
            log_file=None if log_file is None else str(log_file),
            senders=list(senders),
            bodies=self._bodies,
            run=f"run{self._runs}",
            seconds=self._seconds,
            warm_up_seconds=self._seconds / 5,
        )
        return put_load_on_server(wanted, Sent, cores=self._where.measuring)


def per_second(sent: Sent) -> float:
    return sent.events / sent.seconds


def cpu_us(sent: Sent) -> float:
    return sent.server_cpu_seconds / sent.events * 1e6


def serve_options(data: Path) -> tuple[str, ...]:
    """Of `server.cli`, as users start it, but for two things.

    Rate limits are there to stop just this. And a generated history was made long ago: what was redacted
    in it would all be due to be erased at once, which a history that grew would have behind it.
    """
    lenient = ("--rate-limits", "off", "--redaction-retention", "99999d")
    return "serve", "--port", "0", "--data", str(data), *lenient
