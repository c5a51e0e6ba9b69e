"""That the comparison at the end of every test of a whole server finds what it looks for."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.torture.rebuilt_views import ViewsDiffer, assert_views_are_as_rebuilt
from eventlog.engines import open_log
from projections import accounts
from projections.accounts import Account
from projections.follower import open_views
from projections.tables import key
from projections.view import WritableView
from server.config import log_url, views_path
from tests.harness.local_homeserver import fast_directory
from tests.harness.server_process import serving

ALICE = "@alice:localhost"
[ACCOUNTS] = accounts.PROJECTION.tables


@pytest.fixture(scope="module")
def left() -> Iterator[Path]:
    """The data of a server that made an account and a room."""
    with fast_directory() as directory:
        with serving(directory / "data") as server:
            server.client().register("alice").create_room()
            assert server.stop() == 0
        yield directory / "data"


@pytest.fixture
def data(left: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return shutil.copytree(left, tmp_path / "data")


def tamper(data: Path, change: Callable[[WritableView], object]) -> None:
    """Write into the views behind the log's back."""

    async def run() -> None:
        async with open_log(log_url(data), read_only=True) as log:
            views = open_views(views_path(data), log)
            update = views.update()
            change(update.view)
            update.commit(update.checkpoints())
            views.close()

    asyncio.run(run())


def one_row_less(view: WritableView) -> None:
    assert view.delete(ACCOUNTS, key(ALICE))


def one_row_more(view: WritableView) -> None:
    view.put(ACCOUNTS, key("@bob:localhost"), Account("@bob:localhost", "hash", 1))


def another_row(view: WritableView) -> None:
    view.put(ACCOUNTS, key(ALICE), Account(ALICE, "another hash", 1))


def test_what_a_server_leaves_is_as_rebuilt(left: Path) -> None:
    assert_views_are_as_rebuilt(left)


@pytest.mark.parametrize("change", [one_row_less, one_row_more, another_row])
def test_one_false_row_is_found(data: Path, change: Callable[[WritableView], object]) -> None:
    tamper(data, change)
    with pytest.raises(ViewsDiffer, match=r": accounts$"):
        assert_views_are_as_rebuilt(data)


def serve_and_spoil(data: Path, *, compares_views: bool = True, fails: bool = False) -> None:
    with serving(data, compares_views=compares_views) as server:
        server.stop()
        tamper(data, one_row_less)
        if fails:
            raise ZeroDivisionError


def test_false_views_fail_the_test_that_leaves_them(data: Path) -> None:
    with pytest.raises(ViewsDiffer):
        serve_and_spoil(data)


def test_who_spoils_views_on_purpose_says_so(data: Path) -> None:
    serve_and_spoil(data, compares_views=False)


def test_a_failure_of_the_test_itself_is_not_hidden(data: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        serve_and_spoil(data, fails=True)


def test_nothing_is_changed_by_looking(left: Path) -> None:
    before = sorted(str(path) for path in left.parent.rglob("*"))
    assert_views_are_as_rebuilt(left)
    assert sorted(str(path) for path in left.parent.rglob("*")) == before
