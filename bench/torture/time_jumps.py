"""Time: the server's clock is set back and forth, by hours and by years, while people send and follow.

Before each message the clock jumps, or does not. Somebody sends, sometimes repeats an older message under
its transaction id, and somebody else follows with a token that was given out under whatever the clock said
then. Now and then the server is killed and started again under another time.

* Every repetition is answered with the first event id;
* who follows gets each message once, in the order in which they were acknowledged, and an old token still
  brings everything since;
* `/messages` from the beginning has that order too, and so have the views folded anew.

The clock is the server's own function for it, made wrong by what stands in a file: clocks of the machine
belong to everybody on it. The control looks at the same answers as they would be if a server ordered them
by `origin_server_ts`, which is there to be read by people.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from bench.author import authoring, token_of
from bench.connection import Connection, Refused, request_bytes
from bench.processes import Failed
from bench.torture.altered_server import MODULE
from bench.torture.part import Part, Result, Trial
from bench.torture.rebuilt_views import ViewsDiffer, assert_views_are_as_rebuilt
from bench.torture.server_process import ServerProcess
from bench.workload import write_log
from eventlog.engines import open_log
from projections.dictionary import entry_dictionary
from server.config import log_url

_CLIENT = "/_matrix/client/v3"
_HOUR_MS = 3_600_000
_YEAR_MS = 8_766 * _HOUR_MS
_JUMPS_MS = tuple(sign * wide for wide in (0, 1, _HOUR_MS, _YEAR_MS, 30 * _YEAR_MS) for sign in (1, -1))
_MESSAGES_OF_ONE_LOG = 400
_MESSAGES_BETWEEN_KILLS = 100
_PAGE = 100


@dataclass
class _Chat:
    """What was sent, and what one who follows has seen of it."""

    room_id: str
    random: Random
    sent: list[str] = field(default_factory=list)
    """Event ids; the place in the list is the transaction id."""
    followed: list[Any] = field(default_factory=list)
    tokens: list[tuple[str, int]] = field(default_factory=list)
    """Of all answers to /sync, with the number of messages that had been sent by then."""
    findings: list[str] = field(default_factory=list)
    repeated: int = 0


def torture(trial: Trial) -> list[Result]:
    results = [_run(trial, number, by_timestamp=False) for number in _numbers(trial)]
    jumps, repeated = sum(times for times, _, _ in results), sum(times for _, times, _ in results)
    findings = [finding for *_, found in results for finding in found]
    return [Result("clock jumps", jumps, findings, f"{repeated:,} messages repeated, {len(results)} logs")]


def control(trial: Trial) -> list[Result]:
    jumps, _, findings = _run(trial, 0, by_timestamp=True)
    return [Result("clock jumps, ordered by timestamp", jumps, findings)]


def _numbers(trial: Trial) -> Iterator[int]:
    number = 0
    while number == 0 or not trial.is_over:
        yield number
        number += 1


def _run(trial: Trial, number: int, *, by_timestamp: bool) -> tuple[int, int, Sequence[str]]:
    """One log; jumps, repetitions, findings."""
    data, clock = trial.directory / f"data-{number}", trial.directory / "clock"
    clock.write_text("0")
    room_id = asyncio.run(_begin(trial.seed + number, data))
    chat = _Chat(room_id, Random(trial.seed + number))
    command = (MODULE, "--clock", str(clock))
    server = ServerProcess(data, "--rate-limits", "off", command=command)
    try:
        while not chat.findings and (not chat.sent or not trial.is_over):
            server.start()
            asyncio.run(_chat_a_while(trial, server, chat, clock))
            server.kill()
            if len(chat.sent) >= _MESSAGES_OF_ONE_LOG or by_timestamp:
                break
        assert_views_are_as_rebuilt(data)
        server.start()
        asyncio.run(_look_at_everything(server, chat, by_timestamp=by_timestamp))
    except (Failed, Refused, ViewsDiffer) as error:
        chat.findings.append(str(error))
    finally:
        server.release()
    return len(chat.sent), chat.repeated, chat.findings


async def _begin(seed: int, data: Path) -> str:
    """The log of a server with two people in a room, without the server."""
    with authoring(seed) as author:
        entries = [author.name_server()]
        (sender, first), (follower, second) = author.register("sender"), author.register("follower")
        room, of_room = author.create_room(sender)
        entries += [first, second, of_room, author.join(room, follower)]
        async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
            await write_log(log, entries)
    return room.room_id


async def _chat_a_while(trial: Trial, server: ServerProcess, chat: _Chat, clock: Path) -> None:
    """Raises `Refused` for an answer that is no 200."""
    connection = await _connect(server)
    for _ in range(_MESSAGES_BETWEEN_KILLS):
        _set(clock, chat.random.choice(_JUMPS_MS))
        await _send(connection, chat, len(chat.sent))
        if chat.random.random() < 0.3:
            await _send(connection, chat, chat.random.randrange(len(chat.sent)))
        if chat.random.random() < 0.3:
            await _follow(connection, chat)
        trial.says(f"clock jump {len(chat.sent)}")
        if chat.findings:
            break
    connection.close()


async def _look_at_everything(server: ServerProcess, chat: _Chat, *, by_timestamp: bool) -> None:
    """Every message once more, by its transaction id, from old tokens, and from the beginning."""
    connection = await _connect(server)
    for number in chat.random.sample(range(len(chat.sent)), k=min(20, len(chat.sent))):
        await _send(connection, chat, number)
    await _follow(connection, chat)
    for token, number in chat.random.sample(chat.tokens, k=min(5, len(chat.tokens))):
        since = await _messages(connection, chat.room_id, token)
        chat.findings += _order_findings(f"since {token}", chat.sent[number:], since, by_timestamp)
    everything = await _messages(connection, chat.room_id, "")
    chat.findings += _order_findings("from the beginning", chat.sent, everything, by_timestamp)
    chat.findings += _order_findings("who follows", chat.sent, chat.followed, by_timestamp)
    connection.close()


def _order_findings(who: str, sent: Sequence[str], events: Sequence[Any], by_timestamp: bool) -> list[str]:
    ordered = sorted(events, key=lambda event: event["origin_server_ts"]) if by_timestamp else events
    seen = [event["event_id"] for event in ordered]
    if seen == list(sent):
        return []
    if sorted(seen) == sorted(sent):
        wrong = next(place for place, (one, other) in enumerate(zip(seen, sent, strict=True)) if one != other)
        return [f"{who}: the order is another one from message {wrong} on"]
    lost, twice = len(set(sent) - set(seen)), len(seen) - len(set(seen))
    return [f"{who}: of {len(sent)} messages {lost} are missing, and {twice} came twice"]


async def _connect(server: ServerProcess) -> Connection:
    place = urlsplit(server.address)
    assert place.hostname is not None
    assert place.port is not None
    return await Connection.open(place.hostname, place.port)


def _set(clock: Path, wrong_by_ms: int) -> None:
    """At once, for whoever may be reading."""
    fresh = clock.with_suffix(".new")
    fresh.write_text(str(wrong_by_ms))
    fresh.replace(clock)


async def _send(connection: Connection, chat: _Chat, number: int) -> None:
    path = f"{_CLIENT}/rooms/{quote(chat.room_id, safe='')}/send/m.room.message/{number}"
    body = msgspec.json.encode({"msgtype": "m.text", "body": str(number)})
    answer = await connection.must(request_bytes("PUT", path, token_of("@sender:localhost"), body))
    event_id = msgspec.json.decode(answer.body)["event_id"]
    if number == len(chat.sent):
        chat.sent.append(event_id)
        return
    chat.repeated += 1
    if chat.sent[number] != event_id:
        chat.findings.append(f"message {number} is {chat.sent[number]}, and {event_id} when it is repeated")


async def _follow(connection: Connection, chat: _Chat) -> None:
    since = f"&since={chat.tokens[-1][0]}" if chat.tokens else ""
    of_room = quote(f'{{"room":{{"timeline":{{"limit":{2 * _MESSAGES_OF_ONE_LOG}}}}}}}')
    path = f"{_CLIENT}/sync?timeout=0&filter={of_room}{since}"
    answer = msgspec.json.decode(await _get(connection, path))
    for room in answer.get("rooms", {}).get("join", {}).values():
        chat.followed += _messages_among(room["timeline"]["events"])
    chat.tokens.append((answer["next_batch"], len(chat.sent)))


async def _messages(connection: Connection, room_id: str, token: str) -> list[Any]:
    """All from a token on, or all."""
    found: list[Any] = []
    while True:
        place = f"&from={token}" if token else ""
        path = f"{_CLIENT}/rooms/{quote(room_id, safe='')}/messages?dir=f&limit={_PAGE}{place}"
        page = msgspec.json.decode(await _get(connection, path))
        found += _messages_among(page["chunk"])
        if "end" not in page:
            return found
        token = page["end"]


async def _get(connection: Connection, path: str) -> bytes:
    return (await connection.must(request_bytes("GET", path, token_of("@follower:localhost")))).body


def _messages_among(events: Sequence[Any]) -> list[Any]:
    return [event for event in events if event["type"] == "m.room.message"]


PART: Part = Part(
    name="time",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="the order of the log",
    share=0.3,
)
