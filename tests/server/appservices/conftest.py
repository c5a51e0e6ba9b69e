"""A homeserver in the test's own process, and an application service that really listens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from server.app import Running
from server.appservices.connection import connections_to
from server.appservices.delivery import delivering
from server.appservices.registration import AppService
from tests.harness.application_service import ApplicationService, application_service
from tests.harness.local_homeserver import fast_directory, local_homeserver


@pytest.fixture
def directory() -> Iterator[Path]:
    with fast_directory() as directory:
        yield directory


@pytest.fixture
async def parts(directory: Path) -> AsyncIterator[Running]:
    async with local_homeserver(directory) as parts:
        yield parts


@pytest.fixture
def service() -> Iterator[ApplicationService]:
    with application_service() as service:
        yield service


class Pauses:
    """How long would have been paused; only others get their turn."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._changed = asyncio.Condition()

    async def __call__(self, seconds: float) -> None:
        async with self._changed:
            self.seconds.append(seconds)
            self._changed.notify_all()
        await asyncio.sleep(0)

    async def wait_for(self, count: int) -> None:
        """Return once there were so many."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.seconds) >= count)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


class Delivering(Protocol):
    def __call__(self, parts: Running, *registrations: AppService) -> AbstractAsyncContextManager[None]: ...


@pytest.fixture
def deliver(pauses: Pauses) -> Delivering:
    """Delivers for as long as the context lasts, to services that are registered so."""

    @asynccontextmanager
    async def deliver(parts: Running, *registrations: AppService) -> AsyncIterator[None]:
        async with (
            connections_to(registrations) as connections,
            delivering(connections, parts.homeserver, parts.writer, pauses),
        ):
            yield

    return deliver
