"""What every test can count on: the event loop of the server, and `--long` for the patient forms."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.harness.client import close_own_connections

settings.register_profile("roomlog", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("roomlog")
"""Of Hypothesis, as it chose by itself for here or for CI, but how long an example takes is no property."""


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Who runs the tests in the background of a shell has Ctrl-C ignored, and so would every process that a
    # test starts and then interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked `long`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="takes long; run with --long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """asyncio on uvloop, as in production."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def _no_connection_left_open() -> Iterator[None]:
    yield
    close_own_connections()
