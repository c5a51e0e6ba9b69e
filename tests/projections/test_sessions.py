"""The fold of devices and their tokens, against every order in which things can happen to them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import sessions
from projections.facts import (
    DeviceRenamed,
    Fact,
    RefreshConfirmed,
    SessionClosed,
    SessionOpened,
    SessionRefreshed,
    decode_entry,
)
from projections.follower import open_views
from projections.projection import Fold
from projections.sessions import AccessToken, Session, Tokens
from projections.view import View
from projections.views import Views
from tests.projections.payloads import Payloads

USERS = ("@alice:localhost", "@bob:localhost")
ALICE = USERS[0]
PHONE = Session(ALICE, "PHONE")


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    path = tmp_path_factory.mktemp("views")
    views = open_views(path, Payloads(), projections=(sessions.PROJECTION,))
    yield views
    views.close()


@contextmanager
def folded(views: Views, *facts: Fact) -> Iterator[View]:
    """What is there after these facts, and only them."""
    update = views.update()
    try:
        Fold([sessions.PROJECTION]).apply(update.view, 1 << 16, facts)
        yield update.view
    finally:
        update.abort()


def opened(number: int, at: Session = PHONE, name: str | None = None) -> SessionOpened:
    return SessionOpened(
        at.user_id, at.device_id, f"access {number}", 1, name, f"refresh {number}", expires_ts=10
    )


def refreshed(number: int, at: Session = PHONE) -> SessionRefreshed:
    return SessionRefreshed(at.user_id, at.device_id, f"access {number}", f"refresh {number}", 20, 11)


def confirmed(at: Session = PHONE) -> RefreshConfirmed:
    return RefreshConfirmed(at.user_id, at.device_id)


def closed(at: Session = PHONE) -> SessionClosed:
    return SessionClosed(at.user_id, at.device_id)


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """Anything that can be said of four devices; every token is another one."""
    facts: list[Fact] = []
    for number in range(draw(st.integers(1, 20))):
        at = Session(draw(st.sampled_from(USERS)), draw(st.sampled_from(["PHONE", "LAPTOP"])))
        choices: list[Fact] = [opened(number, at), refreshed(number, at), confirmed(at), closed(at)]
        facts.append(draw(st.sampled_from(choices)))
    return facts


def held(view: View) -> dict[str, Session]:
    """The numbers of all tokens that devices hold, and whose they are."""
    return {
        tokens.access.removeprefix("access "): Session(known.user_id, known.device_id)
        for user_id in USERS
        for known in sessions.devices(view, user_id)
        for tokens in (known.tokens, known.successor, known.predecessor)
        if tokens is not None
    }


@given(facts=histories())
def test_a_token_is_known_while_a_device_holds_it(views: Views, facts: list[Fact]) -> None:
    with folded(views, *facts) as view:
        holders = held(view)
        for number in map(str, range(len(facts))):
            access = sessions.access_token(view, f"access {number}")
            assert (access.session if access else None) == holders.get(number)
            assert sessions.session_of_refresh_token(view, f"refresh {number}") == holders.get(number)


@given(facts=histories())
def test_only_an_unconfirmed_successor_is_unused(views: Views, facts: list[Fact]) -> None:
    with folded(views, *facts) as view:
        for known in (known for user_id in USERS for known in sessions.devices(view, user_id)):
            for tokens in (known.tokens, known.successor, known.predecessor):
                access = sessions.access_token(view, tokens.access) if tokens else None
                assert access is None or access.is_unused == (tokens is known.successor)


def test_a_token_stands_for_its_device(views: Views) -> None:
    with folded(views, opened(1)) as view:
        assert sessions.access_token(view, "access 1") == AccessToken(PHONE, 10, is_unused=False)
        assert sessions.access_token(view, "refresh 1") is None


def test_a_refresh_leaves_the_tokens_before_it(views: Views) -> None:
    with folded(views, opened(1), refreshed(2)) as view:
        known = sessions.device(view, ALICE, "PHONE")
        assert known is not None
        assert known.tokens == Tokens("access 1", "refresh 1", 10)
        assert known.successor == Tokens("access 2", "refresh 2", 20)


def test_a_confirmed_refresh_takes_their_place(views: Views) -> None:
    with folded(views, opened(1), refreshed(2), confirmed()) as view:
        known = sessions.device(view, ALICE, "PHONE")
        assert known is not None
        assert known.tokens == Tokens("access 2", "refresh 2", 20)
        assert known.successor is None
        assert known.predecessor == Tokens("access 1", "refresh 1", 10)


def test_a_refresh_that_is_repeated_voids_the_unused_one(views: Views) -> None:
    with folded(views, opened(1), refreshed(2), refreshed(3)) as view:
        assert sessions.access_token(view, "access 2") is None
        assert sessions.session_of_refresh_token(view, "refresh 2") is None
        assert sessions.access_token(view, "access 3") is not None


def test_nothing_is_made_of_a_device_that_is_gone(views: Views) -> None:
    renamed = DeviceRenamed(ALICE, "PHONE", "Phone")
    with folded(views, opened(1), closed(), refreshed(2), confirmed(), renamed, closed()) as view:
        assert list(sessions.devices(view, ALICE)) == []
        assert sessions.access_token(view, "access 2") is None


def test_a_session_opened_again_keeps_the_name(views: Views) -> None:
    with folded(views, opened(1, name="Phone"), opened(2)) as view:
        known = sessions.device(view, ALICE, "PHONE")
        assert known is not None
        assert known.display_name == "Phone"


def test_an_entry_from_before_refresh_tokens_is_read(views: Views) -> None:
    entry = (
        b'[{"fact":"session_opened","user_id":"@alice:localhost","device_id":"PHONE",'
        b'"token_digest":"access 1","opened_ts":1}]'
    )
    with folded(views, *decode_entry(entry)) as view:
        assert sessions.access_token(view, "access 1") == AccessToken(PHONE, None, is_unused=False)
