"""Delivery to application services: everything once, in the order of the log, whatever the service does."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from eventlog.errors import Full
from eventlog.log import Erased, Log, Position
from projections import appservices, timeline
from projections.appservices import AppserviceTransaction
from server.app import Running
from server.appservices import delivery
from server.appservices.connection import connections_to
from server.appservices.delivery import delivering, seconds_to_pause
from server.appservices.registration import Namespace, Namespaces
from server.appservices.transactions import BeginTransaction, begin_transaction
from server.writer import Decided, Turn
from tests.harness.application_service import (
    AS_TOKEN,
    HS_TOKEN,
    ApplicationService,
    Received,
    Reply,
    application_service,
    fail,
)
from tests.harness.local_homeserver import local_homeserver
from tests.server.appservices.conftest import Delivering, Pauses
from tests.server.appservices.people import GHOST, Room, bridged_room, new_room
from tests.server.test_writer import LogBetween

pytestmark = pytest.mark.anyio

EVERYBODY = Namespaces(users=(Namespace("@.*", exclusive=False),))
SECONDS_TO_STOP_MAX = 2


async def arrival(service: ApplicationService, event_id: str) -> None:
    await asyncio.to_thread(service.wait_for, event_id)


def fails_first(times: int) -> Any:
    """Answers 500 so many times, then 200."""
    left = [Reply(500)] * times
    return lambda _: left.pop() if left else Reply()


def newest(parts: Running, service_id: str = "irc") -> AppserviceTransaction | None:
    with parts.homeserver.views.read() as view:
        return appservices.newest_transaction(view, service_id)


async def test_events_come_in_the_order_of_the_log(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    async with deliver(parts, service.registration()):
        said = [await room.say(str(n)) for n in range(20)]
        await arrival(service, said[-1])
    assert service.event_ids == said


async def test_a_new_service_is_not_told_of_the_past(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    await room.say("before")
    async with deliver(parts, service.registration()):
        first = await room.say("after")
        await arrival(service, first)
    assert service.event_ids == [first]


async def test_what_does_not_concern_a_service_is_not_sent(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    private, bridged = await new_room(parts), await bridged_room(parts)
    async with deliver(parts, service.registration()):
        await private.say("secret")
        await private.invite()
        await private.say("still secret")
        open_event = await bridged.say("open")
        await arrival(service, open_event)
    texts = [event["content"].get("body") for sent in service.transactions for event in sent.events]
    assert texts == [None, "open"]


async def test_a_transaction_has_at_most_100_events(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    """Also if they come with a single entry of the log, in the middle of which one then ends."""
    async with deliver(parts, service.registration(namespaces=EVERYBODY)):
        room = await new_room(parts, states=230)
        await arrival(service, await room.say("last"))
    with parts.homeserver.views.read() as view:
        in_log = [found.event_id for found in timeline.events_between(view, 0, parts.writer.head)]
    assert service.event_ids == in_log
    assert [len(sent.events) for sent in service.transactions[:2]] == [100, 100]
    assert [int(sent.id) for sent in service.transactions] == [*range(1, len(service.transactions) + 1)]


async def test_large_events_make_small_transactions(
    parts: Running, service: ApplicationService, deliver: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await bridged_room(parts)
    async with deliver(parts, service.registration()):
        await arrival(service, await room.say("it has begun"))
    monkeypatch.setattr(delivery, "_BYTES_MAX", 1)
    said = [await room.say(str(n)) for n in range(3)]
    service.received.clear()
    async with deliver(parts, service.registration()):
        await arrival(service, said[-1])
    assert [sent.event_ids for sent in service.transactions[1:]] == [[event_id] for event_id in said]


async def test_a_failed_transaction_comes_again_as_it_was(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    """However much has been said since."""
    room = await bridged_room(parts)
    service.respond = fail
    async with deliver(parts, service.registration()):
        first = await room.say("first")
        await arrival(service, first)
        second = await room.say("second")
        await asyncio.to_thread(service.wait_until, lambda: len(service.received) > 3)
        service.respond = lambda _: Reply()
        await arrival(service, second)
    sent = [(sent.id, sent.event_ids) for sent in service.transactions]
    assert sent[:-1] == [("1", [first])] * (len(sent) - 1)
    assert sent[-1] == ("2", [second])


async def test_pauses_between_attempts_double(
    parts: Running, service: ApplicationService, deliver: Delivering, pauses: Pauses
) -> None:
    room = await bridged_room(parts)
    service.respond = fails_first(4)
    async with deliver(parts, service.registration()):
        await room.say("first")
        await asyncio.to_thread(service.wait_until, lambda: len(service.received) == 5)
        await arrival(service, await room.say("second"))
    assert pauses.seconds == [1, 2, 4, 8]


def test_no_pause_is_longer_than_five_minutes() -> None:
    assert [seconds_to_pause(failures) for failures in (1, 8, 9, 10, 10_000)] == [1, 128, 256, 300, 300]


async def test_after_a_restart_the_last_transaction_comes_again(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    """Nobody has noted whether it was acknowledged; a service drops it by its id."""
    room = await bridged_room(parts)
    async with deliver(parts, service.registration()):
        last = await room.say("last")
        await arrival(service, last)
    unheard = await room.say("unheard")
    async with deliver(parts, service.registration()):
        await arrival(service, unheard)
    assert [(sent.id, sent.event_ids) for sent in service.transactions] == [
        ("1", [last]),
        ("1", [last]),
        ("2", [unheard]),
    ]


async def test_what_was_begun_and_never_sent_is_sent(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    await parts.writer.decide(begin_transaction, BeginTransaction("irc", (), (parts.writer.head + 1) << 16))
    said = await room.say("hello")
    with parts.homeserver.views.read() as view:
        found = timeline.event_by_id(view, said)
    assert found is not None
    await parts.writer.decide(begin_transaction, BeginTransaction("irc", (found.order,), found.order))
    async with deliver(parts, service.registration()):
        await arrival(service, said)
    assert [(sent.id, sent.event_ids) for sent in service.transactions] == [("1", [said])]


def forget_to_begin(turn: Turn, request: BeginTransaction) -> Decided[AppserviceTransaction]:
    """As if the transaction were kept in memory and nowhere else."""
    return Decided(begin_transaction(turn, request).answer)


async def interrupted_delivery(
    directory: Path, service: ApplicationService, deliver: Delivering
) -> list[str]:
    """A server ends while a service fails, and another one goes on; returns what was said."""
    async with local_homeserver(directory) as parts:
        room = await bridged_room(parts)
        service.respond = fail
        async with deliver(parts, service.registration()):
            said = [await room.say("first")]
            await arrival(service, said[0])
            said.append(await room.say("second"))
    service.respond = lambda _: Reply()
    async with local_homeserver(directory) as parts:
        room = Room(parts, room.room_id)
        async with deliver(parts, service.registration()):
            said.append(await room.say("third"))
            await arrival(service, said[-1])
    return said


async def test_an_outage_across_a_restart_loses_nothing(
    directory: Path, service: ApplicationService, deliver: Delivering
) -> None:
    said = await interrupted_delivery(directory, service, deliver)
    assert service.event_ids == said


async def test_progress_that_is_not_on_record_is_lost(
    directory: Path, service: ApplicationService, deliver: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: it would notice."""
    monkeypatch.setattr(delivery, "begin_transaction", forget_to_begin)
    said = await interrupted_delivery(directory, service, deliver)
    assert service.event_ids != said


async def test_a_place_without_events_is_put_on_record_now_and_then(
    parts: Running, service: ApplicationService, deliver: Delivering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a restart does not look through the whole log for a service that little concerns."""
    monkeypatch.setattr(delivery, "ENTRIES_UNRECORDED_MAX", 5)
    private, bridged = await new_room(parts), await bridged_room(parts)
    async with deliver(parts, service.registration()):
        for n in range(20):
            await private.say(str(n))
        await arrival(service, await bridged.say("hello"))
    [sent] = service.transactions
    assert int(sent.id) > 1


async def test_an_older_service_is_asked_on_its_path(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    """With the token where such a service looks for it."""

    def knows_old_paths(request: Received) -> Reply:
        is_old = not request.path.startswith("/_matrix/app/v1/")
        return Reply() if is_old else Reply(404, b"Cannot PUT")

    room = await bridged_room(parts)
    service.respond = knows_old_paths
    async with deliver(parts, service.registration()):
        await arrival(service, await room.say("first"))
        await arrival(service, await room.say("second"))
        await asyncio.to_thread(service.wait_until, lambda: len(service.received) == 4)
    old = [request for request in service.received if request.path.startswith("/transactions/")]
    assert [urlsplit(request.target)[2:4] for request in old] == [
        ("/transactions/1", f"access_token={HS_TOKEN}"),
        ("/transactions/2", f"access_token={HS_TOKEN}"),
    ]
    assert {request.authorization for request in service.received} == {f"Bearer {HS_TOKEN}"}


async def test_events_have_the_form_that_clients_see(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    await room.set("m.room.topic", {"topic": "tea"})
    async with deliver(parts, service.registration()):
        topic = await room.set("m.room.topic", {"topic": "coffee"})
        await arrival(service, topic)
    [event] = service.transactions[0].events
    unsigned = event.pop("unsigned")
    assert (event.pop("event_id"), event.pop("origin_server_ts") > 0) == (topic, True)
    assert event == {
        "content": {"topic": "coffee"},
        "room_id": room.room_id,
        "sender": "@alice:localhost",
        "state_key": "",
        "type": "m.room.topic",
    }
    assert unsigned.keys() == {"age", "prev_content", "replaces_state"}
    assert unsigned["prev_content"] == {"topic": "tea"}


async def test_an_invitation_says_where_to(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await new_room(parts)
    async with deliver(parts, service.registration()):
        await room.invite()
        await asyncio.to_thread(service.wait_until, lambda: bool(service.received))
    [[invitation]] = [sent.events for sent in service.transactions]
    assert invitation["state_key"] == GHOST.user_id
    known = {event["type"] for event in invitation["unsigned"]["invite_room_state"]}
    assert {"m.room.create", "m.room.join_rules", "m.room.member"} <= known


async def test_what_was_redacted_meanwhile_is_not_shown(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    service.respond = fail
    async with deliver(parts, service.registration()):
        regretted = await room.say("regretted")
        await arrival(service, regretted)
        redaction = await room.redact(regretted)
        sent_before = len(service.received)
        await asyncio.to_thread(service.wait_until, lambda: len(service.received) > sent_before + 1)
        service.respond = lambda _: Reply()
        await arrival(service, redaction)
    *_, again = [sent for sent in service.transactions if sent.id == "1"]
    [event] = again.events
    assert (event["event_id"], event["content"]) == (regretted, {})
    because = event["unsigned"]["redacted_because"]
    assert (because["event_id"], "membership" in because["unsigned"]) == (redaction, False)


async def test_a_service_that_hangs_holds_up_nobody(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    """Neither who sends, nor other services, nor the end."""
    room = await bridged_room(parts)
    service.respond = service.hang
    with application_service() as quick:
        async with deliver(parts, service.registration(), quick.registration("quick")):
            first = await room.say("first")
            await arrival(service, first)
            said = [first, *[await room.say(str(n)) for n in range(50)]]
            await arrival(quick, said[-1])
            asyncio.get_running_loop().call_later(SECONDS_TO_STOP_MAX, service.release)
            begun = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - begun < SECONDS_TO_STOP_MAX
    assert len(service.received) == 1
    assert quick.event_ids == said


async def test_a_service_without_address_is_told_nothing(
    parts: Running, service: ApplicationService, deliver: Delivering
) -> None:
    room = await bridged_room(parts)
    async with deliver(parts, service.registration(url=None), service.registration("other")):
        await arrival(service, await room.say("hello"))
    assert newest(parts) is None
    assert newest(parts, "other") is not None


async def test_an_outage_is_told_twice(
    parts: Running, service: ApplicationService, deliver: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    """When it begins and when it is over, and never with a token."""
    caplog.set_level(logging.DEBUG)
    room = await bridged_room(parts)
    service.respond = fails_first(3)
    async with deliver(parts, service.registration()):
        await room.say("first")
        await asyncio.to_thread(service.wait_until, lambda: len(service.received) == 4)
        await arrival(service, await room.say("second"))
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [
        "application service irc does not take transaction 1 (status 500); it will be tried again",
        "application service irc takes transactions again; 1 was sent 4 times",
    ]
    assert HS_TOKEN not in caplog.text
    assert AS_TOKEN not in caplog.text


async def test_who_cannot_be_reached_is_tried_again(
    parts: Running, deliver: Delivering, pauses: Pauses, caplog: pytest.LogCaptureFixture
) -> None:
    room = await bridged_room(parts)
    with application_service() as gone:
        pass
    async with deliver(parts, gone.registration()):
        await room.say("hello")
        await pauses.wait_for(3)
    assert "transaction 1 (cannot connect)" in caplog.text


class FullLog(LogBetween):
    """Has no room for the next two transactions, and for everything else."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.refusals = 2

    async def append(self, payloads: Sequence[bytes | Erased], *, after: Position) -> Position:
        appended = [payload for payload in payloads if isinstance(payload, bytes)]
        if self.refusals and any(b"appservice_transaction_begun" in payload for payload in appended):
            self.refusals -= 1
            raise Full("no room")
        return await super().append(payloads, after=after)


async def test_what_cannot_be_written_now_is_begun_later(
    tmp_path: Path, service: ApplicationService, deliver: Delivering, pauses: Pauses
) -> None:
    async with local_homeserver(tmp_path, through=FullLog) as parts:
        room = await bridged_room(parts)
        async with deliver(parts, service.registration()):
            await pauses.wait_for(2)  # what shares a batch with a refused transaction is refused as well
            said = await room.say("hello")
            await arrival(service, said)
    assert (service.event_ids, pauses.seconds) == ([said], [1, 2])


async def test_a_bug_in_a_delivery_is_not_kept_secret(
    parts: Running, service: ApplicationService, caplog: pytest.LogCaptureFixture
) -> None:
    complaint = asyncio.Event()

    async def broken(_: float) -> None:
        asyncio.get_running_loop().call_soon(complaint.set)
        raise LookupError("a bug")

    room = await bridged_room(parts)
    service.respond = fail
    async with (
        connections_to([service.registration()]) as connections,
        delivering(connections, parts.homeserver, parts.writer, broken),
    ):
        await room.say("hello")
        await complaint.wait()
        await asyncio.sleep(0)
    assert caplog.records[-1].levelno == logging.CRITICAL
    assert "LookupError: a bug" in caplog.text
    assert HS_TOKEN not in caplog.text
