"""A homeserver for tests of decisions: without HTTP, and what it writes is gone with the test."""

from collections.abc import AsyncIterator

import pytest

from server.app import Running
from tests.harness.local_homeserver import fast_directory, local_homeserver


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    with fast_directory() as data:
        async with local_homeserver(data) as running:
            yield running
