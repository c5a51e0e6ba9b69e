"""A homeserver without HTTP, and what its log and views say about a user."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from projections.facts import Fact, decode_entry
from projections.sessions import Session
from projections.view import View
from server.app import Running
from server.users.registration import Register, register
from server.users.sessions import NewSession
from tests.harness.local_homeserver import Ticking, fast_directory, local_homeserver

ALICE = Session("@alice:localhost", "PHONE")
PASSWORD_HASH = "what argon2 made of it"


class Users:
    """Alice, her devices, and the clock that she lives by."""

    def __init__(self, running: Running, clock: Ticking, data: Path) -> None:
        self.decide = running.writer.decide
        self.homeserver = running.homeserver
        self.clock = clock
        self.data = data

    @contextmanager
    def view(self) -> Iterator[View]:
        with self.homeserver.views.read() as view:
            yield view

    async def facts(self) -> list[Fact]:
        """Everything that was put on record after Alice had registered."""
        return [
            fact async for entry in self.homeserver.log.read(after=1) for fact in decode_entry(entry.payload)
        ]


@pytest.fixture
async def users() -> AsyncIterator[Users]:
    clock = Ticking()
    with fast_directory() as directory:
        async with local_homeserver(directory, now=clock) as running:
            session = NewSession(ALICE.device_id, "access 1", "Phone", "refresh 1")
            await running.writer.decide(register, Register("alice", PASSWORD_HASH, session))
            yield Users(running, clock, directory)
