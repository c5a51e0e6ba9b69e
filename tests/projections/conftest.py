"""Views of all projections, empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projections.folding import Folding


@pytest.fixture
def folding(tmp_path: Path) -> Iterator[Folding]:
    folding = Folding(tmp_path / "views")
    yield folding
    folding.views.abandon()
