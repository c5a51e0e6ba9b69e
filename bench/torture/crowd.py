"""Who sends to a tortured server: clients that retry, under the same transaction id, until they are answered.

A message says its own transaction id, so that whoever reads the log afterwards can tell which messages
were made, and how often, without believing the transaction index that is on trial.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote, urlsplit

import msgspec

from bench.author import authoring, token_of
from bench.connection import Answer, Connection, Refused, request_bytes
from bench.workload import write_log
from eventlog.engines import open_log
from projections.dictionary import entry_dictionary
from server.config import log_url

PEOPLE = 8
ROOMS = 3


@dataclass
class Sender:
    """One user on one connection, who sends one message after the other into one room."""

    number: int
    token: str
    room_id: str
    sent: int = 0
    """The number of the message whose answer is awaited, or was when the connection was lost."""

    @property
    def text(self) -> str:
        """Of that message; its transaction id too."""
        return f"{self.number}.{self.sent}"

    def request(self, text: str) -> bytes:
        path = f"/_matrix/client/v3/rooms/{quote(self.room_id, safe='')}/send/m.room.message/{text}"
        body = {"msgtype": "m.text", "body": text}
        return request_bytes("PUT", path, self.token, msgspec.json.encode(body))


@dataclass
class Crowd:
    """All senders, and what they were told."""

    senders: Sequence[Sender]
    random: Random
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The event ids that were answered, by the texts."""
    findings: list[str] = field(default_factory=list)
    """Answers that nobody may get."""

    async def send_until_lost(self, address: str) -> None:
        """Everybody sends until the server is gone. What was not answered then is repeated the next time."""
        host, port = urlsplit(address).hostname, urlsplit(address).port
        assert host is not None
        assert port is not None
        await asyncio.gather(*(self._send(sender, host, port) for sender in self.senders))

    async def _send(self, sender: Sender, host: str, port: int) -> None:
        try:
            connection = await Connection.open(host, port)
        except OSError:
            return
        try:
            # A client that lost an answer repeats; one that is not sure whether it had it does too.
            if sender.sent and self.random.random() < 0.5:
                await self._ask(connection, sender, f"{sender.number}.{sender.sent - 1}")
            while True:
                await self._ask(connection, sender, sender.text)
                sender.sent += 1
        except (Refused, OSError):
            connection.close()

    async def _ask(self, connection: Connection, sender: Sender, text: str) -> None:
        answer = await connection.request(sender.request(text))
        if answer.status != 200:
            self.findings.append(f"message {text} was answered {answer.status}: {answer.body.decode()}")
            raise Refused
        event_id = _event_id_in(answer)
        if self.acknowledged.setdefault(text, event_id) != event_id:
            known = self.acknowledged[text]
            self.findings.append(f"message {text} is event {known}, and {event_id} when it is sent again")


async def begin(data: Path, seed: int) -> Crowd:
    """Make the log of a server with people and rooms, without the server."""
    with authoring(seed) as author:
        entries = [author.name_server()]
        users = []
        for number in range(PEOPLE):
            user, facts = author.register(f"user{number}")
            users.append(user)
            entries.append(facts)
        room_ids = []
        for number in range(ROOMS):
            room, facts = author.create_room(users[number])
            entries.append(facts)
            entries += (author.join(room, user) for user in users if user != users[number])
            room_ids.append(room.room_id)
        async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
            await write_log(log, entries)
    senders = [
        Sender(number, token_of(user.user_id), room_ids[number % ROOMS]) for number, user in enumerate(users)
    ]
    return Crowd(senders, Random(seed))


def _event_id_in(answer: Answer) -> str:
    return str(msgspec.json.decode(answer.body)["event_id"])
