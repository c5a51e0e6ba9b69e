"""The load generator's senders who keep a rate, while others wait for what they send.

Sending by the clock is an open loop: a server that is slow gets no fewer requests, so what waits behind a
slow one is counted and not left out. Each event is awaited by whoever is in its room; the time is taken
from its sender's 200 to the reader's answer, also where the reader was just about to ask again.
"""

import asyncio
import itertools
from collections import Counter
from time import perf_counter
from typing import Literal, NamedTuple

import msgspec

from bench.connection import Connection, Refused
from bench.figures import Latencies
from bench.sync_load import WAIT_MS, Event, NewsSender, Reader

_WARM_UP_SHARE = 0.2
"""Of the seconds; what is sent in them is not counted."""
_SECONDS_TO_ARRIVE = 5.0
_SECONDS_BETWEEN_LOOKS = 0.005


class Waiter(msgspec.Struct, frozen=True):
    token: str
    room_id: str
    """The only room of theirs into which anything is sent."""


class SendSteadily(msgspec.Struct, frozen=True, tag=True):
    """Send so many events a second into the rooms in turn, while the waiters wait for theirs."""

    host: str
    port: int
    call: Literal["sync", "events"]
    sender: str
    """A token, for all connections."""
    room_ids: list[str]
    waiters: list[Waiter]
    per_second: float
    connections: int
    """Over which the events are spread; each sends its next when it has the answer to its last."""
    run: str
    seconds: float


class SentSteadily(msgspec.Struct, frozen=True):
    per_second: float
    """As many as there were, if the server could not keep up."""
    after_200: Latencies
    """From a sender's 200 to the answer of each who waited for the event."""
    send: Latencies
    send_slowest_ms: float
    lost: int
    """Events that somebody waited for and had not seen seconds after the last of them."""


class _Seen(NamedTuple):
    event_id: str
    at: float


async def send_steadily(plan: SendSteadily) -> SentSteadily:
    readers = [await Reader.begin(plan.host, plan.port, one.token, plan.call) for one in plan.waiters]
    connections = [await Connection.open(plan.host, plan.port) for _ in range(plan.connections)]
    senders = [
        NewsSender(connection, plan.sender, f"{plan.run}.{number}")
        for number, connection in enumerate(connections)
    ]
    seen: list[_Seen] = []
    following = [asyncio.create_task(_follow(reader, seen)) for reader in readers]
    await senders[0].let_others_arrive()
    begin = perf_counter() + 1 / plan.per_second
    sent = await _send_all(plan, senders, begin)
    in_room = Counter(waiter.room_id for waiter in plan.waiters)
    wanted = sum(in_room[room_id] for room_id, _ in sent)
    await _until_seen(seen, wanted, following)
    for task in following:
        task.cancel()
    for reader in readers:
        reader.close()
    for sender in senders:
        sender.close()
    events = [event for _, event in sent]
    warm = [event for event in events if event.requested_at >= begin + _WARM_UP_SHARE * plan.seconds]
    answered_at = {event.event_id.decode(): event.answered_at for event in warm}
    return SentSteadily(
        per_second=len(events) / (max(event.answered_at for event in events) - begin),
        after_200=Latencies.of(
            [one.at - answered_at[one.event_id] for one in seen if one.event_id in answered_at]
        ),
        send=Latencies.of([event.answered_at - event.requested_at for event in warm]),
        send_slowest_ms=1_000 * max(event.answered_at - event.requested_at for event in warm),
        lost=wanted - len(seen),
    )


async def _send_all(plan: SendSteadily, senders: list[NewsSender], begin: float) -> list[tuple[str, Event]]:
    """Each event at its time, or as soon after it as there is a connection without a request under way."""
    rooms = itertools.cycle(plan.room_ids)
    due = [
        (begin + number / plan.per_second, room_id)
        for number, room_id in zip(range(max(1, int(plan.seconds * plan.per_second))), rooms, strict=False)
    ]
    sent: list[tuple[str, Event]] = []

    async def send_some(sender: NewsSender, first: int) -> None:
        for at, room_id in due[first :: len(senders)]:
            await asyncio.sleep(max(0.0, at - perf_counter()))
            sent.append((room_id, await sender.send(room_id)))

    async with asyncio.TaskGroup() as group:
        for first, sender in enumerate(senders):
            group.create_task(send_some(sender, first))
    return sent


async def _follow(reader: Reader, seen: list[_Seen]) -> None:
    while True:
        answer = await reader.ask(WAIT_MS)
        seen += (_Seen(event_id, answer.at) for event_id in reader.new_event_ids(answer))


async def _until_seen(seen: list[_Seen], wanted: int, following: list[asyncio.Task[None]]) -> None:
    until = perf_counter() + _SECONDS_TO_ARRIVE
    while len(seen) < wanted and perf_counter() < until:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        for task in following:
            if task.done():
                raise Refused("a reader was refused") from task.exception()
