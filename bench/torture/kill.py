"""Kill: a server under load is ended with -9 at a random moment, over and over, and its clients retry.

Eight clients send into three rooms, each the next message as soon as it has the answer to the last. At a
random moment, seldom later than half a second after the first message, the server is killed. Then its log
is read as it was left:

* every message that was answered is there, under the event id of the answer;
* no message is there twice, though half of the clients repeat one that was answered and all of them repeat
  what was not;
* positions have no holes, digests and chain hold, and what was there after the last kill still is;
* the views that the dead server left, brought to the head of its log, equal views folded from nothing.

Then it is started again on what is there, at the first try. A log is used for ten kills, so that reading
it all takes no longer than torturing.

The controls are two servers: one that answers before the log has written, and one that keeps the
transaction index apart from the log. This part cannot see whether anything was flushed, because what a
killed process has written is safe with the kernel; that is what the power cut is for.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree

from bench.processes import Failed
from bench.torture.crowd import Crowd, begin
from bench.torture.part import Part, Result, Trial
from bench.torture.rebuilt_views import ViewsDiffer, assert_views_are_as_rebuilt
from bench.torture.server_process import CARELESS_SERVER, ROOMLOG_SERVE, ServerProcess
from eventlog.engines import open_log
from eventlog.errors import LogError
from eventlog.log import Position
from projections.facts import RoomEvent, decode_entry
from server.config import log_url

KILLS_OF_ONE_LOG = 10
_SECONDS_MAX = 0.5
_SECONDS_TO_NOTICE = 10


@dataclass
class _Tally:
    kills: int = 0
    acknowledged: int = 0
    findings: list[str] = field(default_factory=list)


def torture(trial: Trial) -> list[Result]:
    return [kill_until_over(trial, "kill -9 under load", ROOMLOG_SERVE)]


def control(trial: Trial) -> list[Result]:
    return [
        kill_until_over(
            trial, "acknowledging before the log has written", (CARELESS_SERVER, "acknowledges-early")
        ),
        kill_until_over(trial, "transaction index apart from the log", (CARELESS_SERVER, "index-apart")),
    ]


def kill_until_over(trial: Trial, what: str, command: tuple[str, ...]) -> Result:
    """Ends with the first finding: what comes after it follows from it."""
    tally, moments = _Tally(), Random(trial.seed)
    while not tally.findings and (tally.kills == 0 or not trial.is_over):
        data = trial.directory / "data"
        _torture_one_log(trial, data, command, moments, tally)
        rmtree(data)
    return Result(what, tally.kills, tally.findings, f"{tally.acknowledged:,} messages acknowledged")


def _torture_one_log(
    trial: Trial, data: Path, command: tuple[str, ...], moments: Random, tally: _Tally
) -> None:
    crowd = asyncio.run(begin(data, moments.randrange(1 << 32)))
    record = _Record()
    server = ServerProcess(data, "--rate-limits", "off", command=command)
    before = tally.acknowledged
    try:
        for _ in range(KILLS_OF_ONE_LOG):
            server.start()
            # Short times are frequent: much happens soon after the start.
            asyncio.run(_send_and_kill(server, crowd, moments.uniform(0, _SECONDS_MAX)))
            tally.kills += 1
            tally.acknowledged = before + len(crowd.acknowledged)
            trial.says(f"kill {tally.kills}, {tally.acknowledged:,} messages acknowledged")
            findings = crowd.findings + _findings(data, crowd, record)
            tally.findings += (f"kill {tally.kills}: {found}" for found in findings)
            if tally.findings or trial.is_over:
                return
    except Failed as error:
        tally.findings.append(f"kill {tally.kills + 1}: {error}")
    finally:
        server.release()


async def _send_and_kill(server: ServerProcess, crowd: Crowd, seconds: float) -> None:
    """Raises `Failed` if the server ends by itself."""
    sending = asyncio.create_task(crowd.send_until_lost(server.address))
    done, _ = await asyncio.wait([sending], timeout=seconds)
    if done and not crowd.findings:
        raise Failed(f"the server ended by itself: {server.rest_of_output()}")
    server.kill()
    # What it had answered is still on its way to who asked.
    try:
        await asyncio.wait_for(sending, _SECONDS_TO_NOTICE)
    except TimeoutError:
        raise Failed(f"{_SECONDS_TO_NOTICE} s after the kill a connection was still open") from None


@dataclass
class _Record:
    """What was read in one log so far."""

    head: Position = 0
    events: dict[str, str] = field(default_factory=dict)
    """Ids of messages, by their texts."""


def _findings(data: Path, crowd: Crowd, record: _Record) -> list[str]:
    try:
        findings = asyncio.run(_read_on(data, record))
        assert_views_are_as_rebuilt(data)
    except (LogError, ViewsDiffer) as error:
        return [str(error)]
    for text, event_id in crowd.acknowledged.items():
        if text not in record.events:
            findings.append(f"message {text} was acknowledged and is not there")
        elif record.events[text] != event_id:
            findings.append(f"message {text} was acknowledged as {event_id}, not as {record.events[text]}")
    return findings


async def _read_on(data: Path, record: _Record) -> list[str]:
    """Read what came since the last time; `read` sees to holes, digests and the chain."""
    findings = []
    async with open_log(log_url(data), read_only=True) as log:
        if (head := await log.head()) < record.head:
            findings.append(f"there were {record.head} entries, and now there are {head}")
        async for entry in log.read(after=min(record.head, head)):
            record.head = entry.position
            for fact in decode_entry(entry.payload):
                if isinstance(fact, RoomEvent) and fact.event.type == "m.room.message":
                    text = str(fact.event.content["body"])
                    if record.events.setdefault(text, fact.event_id) != fact.event_id:
                        findings.append(f"message {text} is there twice; again in entry {entry.position}")
    return findings


PART = Part(
    name="kill",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="the order of writing and answering, or the index in the entry",
)
