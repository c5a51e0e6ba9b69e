"""A real server in a process of its own, which makes clients for a test and is judged at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.torture import server_process
from bench.torture.rebuilt_views import assert_views_are_as_rebuilt
from tests.harness.client import Client


class ServerProcess(server_process.ServerProcess):
    """`roomlog serve` on a free port of the loopback address."""

    def client(self) -> Client:
        """Somebody without a session yet."""
        return Client(self.address)


@contextmanager
def serving(data: Path, *options: str, compares_views: bool = True) -> Iterator[ServerProcess]:
    """A server for as long as the context lasts, restarted as often as the test likes.

    However it ended, the views that it leaves must be those that its log folds to; `compares_views` is for
    who damages them on purpose.
    """
    server = ServerProcess(data, *options)
    try:
        server.start()
        yield server
    finally:
        server.release()
    if compares_views:
        assert_views_are_as_rebuilt(data)
