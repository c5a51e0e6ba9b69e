"""Who reads: the people and the rooms of all parts that measure what readers get.

sender                   makes every room, and everything that is read is theirs
waiting                  in the crowd's room, all of them, and each of the first in an own room besides
accounts in N rooms      all in one shared room, where the news is, and each in N - 1 others
"""

from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import quote

from bench.author import Author, Facts, Room, token_of
from bench.load import put_load_on_server
from bench.processes import Places, Server
from bench.steady_load import SendSteadily, SentSteadily, Waiter
from bench.sync_load import CLIENT, Ask, Asked, Compared, CompareReaders, Question, Waited, WaitForNews
from projections.sessions import Session

_STEADY_CONNECTIONS = 16


class Readers:
    """Users who come to a log. Empty before `entries` is exhausted; users are their access tokens."""

    def __init__(self, waiting: int, own_rooms: int, rooms_of_accounts: Sequence[int]) -> None:
        self._waiting = waiting
        self._own_rooms = min(own_rooms, waiting)
        self._rooms_of_accounts = rooms_of_accounts
        self.sender = ""
        self.waiting: list[str] = []
        self.crowd_room_id = ""
        self.own_room_ids: list[str] = []
        """In each there are the sender and one who waits, in their order."""
        self.quiet_room_ids: list[str] = []
        """One less than those, with nobody but the sender."""
        self.shared_room_id = ""
        self.accounts: list[str] = []
        """As many rooms each as was asked for, in that order."""

    def entries(self, author: Author) -> Iterator[Facts]:
        sender, facts = author.register("sender-of-news")
        yield facts
        self.sender = token_of(sender.user_id)
        yield from self._let_wait(author, sender)
        yield from self._give_accounts_rooms(author, sender)

    def _let_wait(self, author: Author, sender: Session) -> Iterator[Facts]:
        crowd, facts = author.create_room(sender)
        yield facts
        self.crowd_room_id = crowd.room_id
        for number in range(self._waiting):
            user, facts = author.register(f"waiting{number}")
            yield facts
            self.waiting.append(token_of(user.user_id))
            yield author.join(crowd, user)
            if number < self._own_rooms:
                own, facts = author.create_room(sender)
                yield facts
                yield author.join(own, user)
                self.own_room_ids.append(own.room_id)
        for _ in range(self._own_rooms - 1):
            quiet, facts = author.create_room(sender)
            yield facts
            self.quiet_room_ids.append(quiet.room_id)

    def _give_accounts_rooms(self, author: Author, sender: Session) -> Iterator[Facts]:
        rooms: list[Room] = []
        for _ in range(max(self._rooms_of_accounts)):
            room, facts = author.create_room(sender)
            rooms.append(room)
            yield facts
        self.shared_room_id = rooms[0].room_id
        for number in self._rooms_of_accounts:
            user, facts = author.register(f"in-{number}-rooms")
            yield facts
            self.accounts.append(token_of(user.user_id))
            for room in rooms[:number]:
                yield author.join(room, user)


class ReadLoad:
    """Puts readers on a server, with transaction ids of their sender that were never used before."""

    def __init__(
        self, server: Server, where: Places, readers: Readers, seconds: float, *, name: str = "read"
    ) -> None:
        """`seconds`: how long each run measures. `name`: another one for each load on the same log."""
        self._server = server
        self._where = where
        self._readers = readers
        self._seconds = seconds
        self._name = name
        self._runs = 0

    def wait_for_news(self, call: Literal["sync", "events"], waiting: int, in_room: int) -> Waited:
        """One or all of those who wait are in the room."""
        readers, tokens = self._readers, self._readers.waiting[:waiting]
        wanted = WaitForNews(
            host=self._server.host,
            port=self._server.port,
            call=call,
            sender=readers.sender,
            room_id=readers.own_room_ids[0] if in_room == 1 else readers.crowd_room_id,
            in_room=tokens[:in_room],
            elsewhere=tokens[in_room:],
            elsewhere_room_id=readers.crowd_room_id,
            run=self._next_run(),
            seconds=self._seconds,
        )
        return put_load_on_server(wanted, Waited, cores=self._where.measuring)

    def send_steadily(
        self, call: Literal["sync", "events"], waiting: int, per_second: float, *, in_one_room: bool
    ) -> SentSteadily:
        """Into as many rooms as there are who wait: each in one of them, or all in the first."""
        readers, own = self._readers, self._readers.own_room_ids[:waiting]
        rooms = [readers.crowd_room_id, *readers.quiet_room_ids] if in_one_room else own
        wanted = SendSteadily(
            host=self._server.host,
            port=self._server.port,
            call=call,
            sender=readers.sender,
            room_ids=rooms,
            waiters=[
                Waiter(token, rooms[0] if in_one_room else room_id)
                for token, room_id in zip(readers.waiting, own, strict=False)
            ],
            per_second=per_second,
            connections=_STEADY_CONNECTIONS,
            run=self._next_run(),
            seconds=self._seconds,
        )
        return put_load_on_server(wanted, SentSteadily, cores=self._where.measuring)

    def sync_at_first(self) -> Asked:
        """What the accounts ask when they come for the first time."""
        path = f"{CLIENT}/sync?timeout=0"
        return self.ask([Question(token, path) for token in self._readers.accounts])

    def read_state(self) -> Asked:
        """All state of the crowd's room, and one piece of it."""
        token, room = self._readers.sender, quote(self._readers.crowd_room_id, safe="")
        path = f"{CLIENT}/rooms/{room}/state"
        return self.ask([Question(token, path), Question(token, f"{path}/m.room.topic")])

    def ask(self, questions: list[Question]) -> Asked:
        wanted = Ask(self._server.host, self._server.port, questions, self._seconds)
        return put_load_on_server(wanted, Asked, cores=self._where.measuring)

    def compare_accounts(self) -> Compared:
        wanted = CompareReaders(
            host=self._server.host,
            port=self._server.port,
            sender=self._readers.sender,
            room_id=self._readers.shared_room_id,
            readers=self._readers.accounts,
            run=self._next_run(),
            seconds=self._seconds,
        )
        return put_load_on_server(wanted, Compared, cores=self._where.measuring)

    def _next_run(self) -> str:
        self._runs += 1
        return f"{self._name}{self._runs}"
