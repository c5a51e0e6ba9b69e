"""A long poll whose session ends while it waits: what comes after that is not for it any more."""

import pytest

from tests.harness.client import Client, error_of
from tests.server.conftest import every_prefix


@pytest.fixture
def device(anybody: Client, bob: Client) -> Client:
    """A second session of Bob's."""
    return anybody.log_in(bob.user_id)


@every_prefix
def test_a_waiting_sync_ends_with_its_session(alice: Client, device: Client, shared_room: str) -> None:
    since = device.sync()["next_batch"]
    waiting = device.begin("/sync", since=since, timeout=30_000)
    device.must("POST", "/logout", {})
    alice.say(shared_room, "Is he gone?")
    assert error_of(waiting.result()) == (401, "M_UNKNOWN_TOKEN")


@every_prefix
def test_waiting_events_end_with_their_session(alice: Client, device: Client, shared_room: str) -> None:
    waiting = device.begin("/events", from_=device.now(), timeout=30_000)
    device.must("POST", "/logout", {})
    alice.say(shared_room, "Is he gone?")
    assert error_of(waiting.result()) == (401, "M_UNKNOWN_TOKEN")
