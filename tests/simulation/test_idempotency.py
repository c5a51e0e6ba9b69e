"""A request with a transaction id makes one event, however often it comes and whatever happens in between.

The scope of an id is the device and the path, whichever version of the API the path is of.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.config import views_path
from tests.harness.client import PREFIXES, V1, V3, Client, path_of
from tests.harness.server_process import ServerProcess, serving

TWINS = 50
CONTENT = {"msgtype": "m.text", "body": "only once"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with serving(tmp_path / "data", "--rate-limits", "off") as server:
        yield server


@pytest.fixture
def alice(server: ServerProcess) -> Client:
    return server.client().register("alice")


def events_in(client: Client, room_id: str) -> list[str]:
    chunk = client.messages(room_id, limit=1000)["chunk"]
    return [event["event_id"] for event in chunk if event["type"] == "m.room.message"]


@pytest.mark.anyio
@pytest.mark.requirement("T01")
async def test_fifty_twins_at_once_make_one_event(server: ServerProcess, alice: Client) -> None:
    """Who comes while the first one is under way waits for it, and gets its answer."""
    room_id = alice.create_room()
    path = path_of("rooms", room_id, "send", "m.room.message", "twins")
    headers = {"Authorization": f"Bearer {alice.token}"}
    async with httpx.AsyncClient(base_url=server.address, headers=headers, timeout=30) as http:
        twins = (http.put(PREFIXES[n % len(PREFIXES)] + path, json=CONTENT) for n in range(TWINS))
        answers = await asyncio.gather(*twins)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["event_id"] for answer in answers} == set(events_in(alice, room_id))
    assert len(events_in(alice, room_id)) == 1


@pytest.mark.requirement("T02", "T03")
def test_an_id_counts_for_one_room_type_and_device(server: ServerProcess, alice: Client) -> None:
    room_id, other_room_id = alice.create_room(), alice.create_room()
    other_device = server.client().log_in("alice")
    made = [
        alice.send(room_id, CONTENT, txn_id="1"),
        alice.send(other_room_id, CONTENT, txn_id="1"),
        alice.send(room_id, CONTENT, event_type="com.example.other", txn_id="1"),
        other_device.send(room_id, CONTENT, txn_id="1"),
    ]
    assert len(set(made)) == len(made)


@pytest.mark.requirement("T01")
def test_a_repeat_after_a_kill_is_answered_with_the_first_event(server: ServerProcess, alice: Client) -> None:
    room_id = alice.create_room()
    first = alice.send(room_id, CONTENT, txn_id="1")
    server.restart()
    again = alice.over(server.client())
    assert again.send(room_id, CONTENT, txn_id="1") == first
    assert events_in(again, room_id) == [first]


@pytest.mark.requirement("T01")
def test_a_repeat_after_a_rebuild_is_answered_with_the_first_event(
    server: ServerProcess, alice: Client, tmp_path: Path
) -> None:
    room_id = alice.create_room()
    first = alice.send(room_id, CONTENT, txn_id="1")
    server.kill()
    shutil.rmtree(views_path(tmp_path / "data"))
    server.start()
    again = alice.over(server.client())
    assert again.send(room_id, CONTENT, txn_id="1") == first
    assert events_in(again, room_id) == [first]


@pytest.mark.requirement("T01", "T04")
@pytest.mark.parametrize("loses_views", [False, True], ids=["kill", "rebuild"])
def test_what_is_no_single_event_is_answered_again_too(
    server: ServerProcess, alice: Client, tmp_path: Path, loses_views: bool
) -> None:
    """Rooms made and memberships changed by `PUT …/{txnId}` of 2015. What changed since stays changed."""
    bob = server.client().register("bob")
    alice, bob = alice.under(V1), bob.under(V1)
    room_id = alice.must("PUT", "/createRoom/1", {"preset": "public_chat"})["room_id"]
    for path in (path_of("join", room_id, "1"), path_of("rooms", room_id, "join", "2")):
        assert bob.must("PUT", path, {}) == {"room_id": room_id}
    assert bob.must("PUT", path_of("rooms", room_id, "leave", "3"), {}) == {}
    before = alice.messages(room_id)["chunk"][0]["event_id"]
    server.kill()
    if loses_views:
        shutil.rmtree(views_path(tmp_path / "data"))
    server.start()
    alice, bob = alice.over(server.client()), bob.over(server.client())
    assert alice.must("PUT", "/createRoom/1", {"preset": "public_chat"}) == {"room_id": room_id}
    for path in (path_of("join", room_id, "1"), path_of("rooms", room_id, "join", "2")):
        assert bob.must("PUT", path, {}) == {"room_id": room_id}
    assert bob.must("PUT", path_of("rooms", room_id, "leave", "3"), {}) == {}
    assert alice.messages(room_id)["chunk"][0]["event_id"] == before
    assert alice.must("GET", "/joined_rooms") == {"joined_rooms": [room_id]}
    assert bob.must("GET", "/joined_rooms") == {"joined_rooms": []}


def test_a_refused_request_may_be_tried_again(server: ServerProcess, alice: Client) -> None:
    """Only successes are remembered."""
    bob = server.client().register("bob")
    room_id = alice.create_room(preset="public_chat")
    path = path_of("rooms", room_id, "send", "m.room.message", "1")
    assert bob.call("PUT", path, CONTENT).status_code == 403
    bob.join(room_id)
    assert bob.call("PUT", path, CONTENT).status_code == 200


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_redaction_is_made_once(alice: Client, prefix: str) -> None:
    room_id = alice.create_room()
    path = path_of("rooms", room_id, "redact", alice.send(room_id, CONTENT), "1")
    first = alice.must("PUT", path, {})["event_id"]
    assert alice.under(prefix).must("PUT", path, {})["event_id"] == first
    assert alice.prefix == V3
