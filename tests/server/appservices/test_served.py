"""A whole server with an application service: kills, stops, and what is printed meanwhile."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.harness.application_service import (
    AS_TOKEN,
    HS_TOKEN,
    ApplicationService,
    Reply,
    Respond,
    acknowledge,
    fail,
)
from tests.harness.client import Client, path_of
from tests.harness.server_process import ServerProcess, serving

SECONDS_TO_STOP_MAX = 5
EVERYBODY = {"users": [{"regex": "@.*", "exclusive": False}]}


@pytest.fixture
def server(directory: Path, service: ApplicationService) -> Iterator[ServerProcess]:
    """It tells the service of everything."""
    registration = service.register_in(directory, namespaces=msgspec.convert(EVERYBODY, dict[str, Any]))
    options = ("--rate-limits", "off", "--appservice", str(registration))
    with serving(directory / "data", *options) as server:
        yield server


def fail_now_and_then(seed: int) -> Respond:
    chance = random.Random(seed)
    return lambda _: Reply(chance.choice([200, 200, 500]))


def everything_said(client: Client, room_id: str) -> list[str]:
    chunk = client.messages(room_id, dir="f", limit=1000)["chunk"]
    return [event["event_id"] for event in chunk if event["type"] == "m.room.message"]


def messages_in(service: ApplicationService) -> list[str]:
    """As a service has them that drops what comes again."""
    known = {sent.id: sent.events for sent in service.transactions}
    return [
        event["event_id"]
        for events in known.values()
        for event in events
        if event["type"] == "m.room.message"
    ]


def test_nothing_is_lost_or_doubled_by_kills(server: ServerProcess, service: ApplicationService) -> None:
    """While the service fails, while it takes events, and whenever in between."""
    client = server.client().register("alice")
    room_id = client.create_room()
    for round_ in range(4):
        service.respond = fail if round_ % 2 else fail_now_and_then(round_)
        for n in range(10):
            client.say(room_id, f"{round_}.{n}")
        server.restart()
        client = client.over(server.client())
    service.respond = acknowledge
    service.wait_for(client.say(room_id, "last"))
    assert messages_in(service) == everything_said(client, room_id)
    contents: dict[str, set[tuple[str, ...]]] = {}
    for sent in service.transactions:
        contents.setdefault(sent.id, set()).add(tuple(sent.event_ids))
    assert {len(versions) for versions in contents.values()} == {1}


def test_a_service_that_hangs_does_not_hold_up_the_end(
    server: ServerProcess, service: ApplicationService
) -> None:
    client = server.client().register("alice")
    service.respond = service.hang
    room_id = client.create_room()
    service.wait_until(lambda: bool(service.received))
    for n in range(20):
        client.say(room_id, str(n))
    begun = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - begun < SECONDS_TO_STOP_MAX
    assert server.rest_of_output() == ""


def test_no_token_is_printed(server: ServerProcess, service: ApplicationService) -> None:
    """Not of a service whose path of old has one in it either."""
    client = server.client().register("alice")
    service.respond = lambda request: Reply(500 if request.target.startswith("/transactions/") else 404)
    client.create_room()
    client.call("GET", path_of("directory", "room", "#_irc_tea:localhost"))
    service.wait_until(lambda: any(HS_TOKEN in request.target for request in service.received))
    service.respond = acknowledge
    service.wait_for(client.say(client.create_room(), "hello"))
    server.stop()
    printed = server.rest_of_output()
    assert printed.count("does not take transaction") == 1
    assert "takes transactions again" in printed
    assert HS_TOKEN not in printed
    assert AS_TOKEN not in printed
