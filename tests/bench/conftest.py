"""Logs to borrow, generated once for a process of the tests."""

import pytest

from bench.histories import Histories


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory) -> Histories:
    return Histories(tmp_path_factory.mktemp("histories"))
