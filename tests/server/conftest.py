"""A server that tests share, and people who live on it.

One server for each worker, without rate limits: whoever uses it makes rooms of their own. Making an account
costs a slow hash, on purpose; so Alice, Bob and Carol are made once, and `new_user` is for tests in which
it matters what else somebody has done.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import TypeAlias

import httpx
import pytest

from tests.harness.client import PREFIXES, V3, Client
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import ServerProcess, serving

every_prefix = pytest.mark.parametrize("prefix", PREFIXES, ids=["v1", "r0", "v3"])
"""The test holds under each version of the API."""

NewUser: TypeAlias = Callable[[], Client]


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """Whatever it is asked, it has nothing to complain about at the end."""
    with fast_directory() as directory, serving(directory / "data", "--rate-limits", "off") as server:
        yield server
        assert (server.stop(), server.rest_of_output()) == (0, "")


@pytest.fixture(scope="session")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=30) as http:
        yield http


@pytest.fixture(scope="session")
def resident(http: httpx.Client) -> Callable[[str], Client]:
    """Somebody by name: registered when first asked for."""
    known: dict[str, Client] = {}

    def find(localpart: str) -> Client:
        if localpart not in known:
            known[localpart] = Client("", http=http).register(localpart)
        return known[localpart]

    return find


@pytest.fixture
def prefix() -> str:
    """Under which the clients of a test speak, unless it says otherwise by `every_prefix`."""
    return V3


@pytest.fixture
def alice(resident: Callable[[str], Client], prefix: str) -> Client:
    return resident("alice").under(prefix)


@pytest.fixture
def bob(resident: Callable[[str], Client], prefix: str) -> Client:
    return resident("bob").under(prefix)


@pytest.fixture
def carol(resident: Callable[[str], Client], prefix: str) -> Client:
    return resident("carol").under(prefix)


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    return (f"user{number}" for number in itertools.count(1))


@pytest.fixture
def new_user(http: httpx.Client, names: Iterator[str], prefix: str) -> NewUser:
    """Makes a user who has done nothing yet."""
    return lambda: Client("", http=http, prefix=prefix).register(next(names))


@pytest.fixture
def anybody(http: httpx.Client, prefix: str) -> Client:
    """A client without a token."""
    return Client("", http=http, prefix=prefix)


@pytest.fixture
def room(alice: Client) -> str:
    """A room of Alice's that nobody else is in."""
    return alice.create_room()


@pytest.fixture
def shared_room(alice: Client, bob: Client) -> str:
    """A room of Alice's that Bob is in too."""
    room_id = alice.create_room(preset="public_chat")
    bob.join(room_id)
    return room_id
