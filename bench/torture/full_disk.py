"""Full disk: somebody else fills a running server's disk, down to its floor and down to the last block.

The server has a disk of its own (`loop_disk.py`), on which there is another file that grows and goes away.
While it is there

* every write is answered 503 with a Matrix error, and the server stays up for all of them;
* reading goes on: the last messages and `/sync` are answered, and show what was acknowledged;

and when it is gone

* the same request, under the same transaction id, succeeds soon and without anybody's help;
* the log has every acknowledged message once, the views equal views folded from nothing, and what the
  server said to its own log on all this is a few lines and not one for each refusal.

A server without views that is started on a full disk either answers or says that there is no room: it must
not be ended by a signal, though making views means writing through a map.

The server keeps a floor of free space, below which it refuses while there is still room to do so in good
order. The control is a server without that floor, which meets the full disk in the middle of a write and
has to end.

Needs root, the tools of ext4, and loop devices.
"""

import asyncio
import contextlib
import errno
import http.client
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from bench.processes import Failed
from bench.torture.crowd import Sender, begin
from bench.torture.loop_disk import make_image, mounted
from bench.torture.part import Part, Result, Trial
from bench.torture.rebuilt_views import ViewsDiffer, assert_views_are_as_rebuilt
from bench.torture.server_process import CARELESS_SERVER, ROOMLOG_SERVE, ServerProcess
from eventlog.engines import open_log
from eventlog.errors import LogError
from eventlog.lmdb_log import FREE_BYTES_MIN
from projections.facts import RoomEvent, decode_entry
from server.config import log_url, views_path

DISK_BYTES = 256 * 1024**2
"""The floor takes a quarter of it."""
REFUSALS = 200
_BLOCK_BYTES = 1024
"""The least that ext4 allocates, on a disk as small as this one."""
_SENT_AT_MOST = 2_000
"""A server that still accepts that many is not one whose disk is full."""
_SENT_IN_PEACE = 50
_STARTS = 8
_LEFT_TO_START_WITH = 64 * 1024
_SECONDS_TO_RESUME = 10
_SAID_BYTES_MAX = 16 * 1024
_SECONDS_TO_ANSWER = 30
_SECONDS_TO_END = 2


class _Broken(Exception):
    """A promise was; says which."""


@dataclass
class _Tally:
    times: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)


@dataclass
class _Answer:
    status: int
    body: Any


class _Client:
    """One sender of the crowd, who asks one thing after the other and looks at the answers."""

    def __init__(self, address: str, sender: Sender) -> None:
        place = urlsplit(address)
        assert place.hostname is not None
        self._http = http.client.HTTPConnection(place.hostname, place.port, timeout=_SECONDS_TO_ANSWER)
        self._sender = sender
        self._room = f"/rooms/{quote(sender.room_id, safe='')}"
        self.acknowledged: list[str] = []
        """Texts, in order."""

    def ask(self, method: str, path: str, body: object = None) -> _Answer:
        """Raises `_Broken` if there is no answer, or none of Matrix."""
        data = b"" if body is None else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {self._sender.token}"}
        try:
            self._http.request(method, f"/_matrix/client/v3{path}", data, headers)
            answer = self._http.getresponse()
            return _Answer(answer.status, msgspec.json.decode(answer.read()))
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            self._http.close()
            raise _Broken(f"{method} {path.split('?')[0]} was not answered: {error!r}") from error

    def send(self) -> _Answer:
        """The next message, or the one that was refused once more."""
        text = self._sender.text
        answer = self.ask(
            "PUT", f"{self._room}/send/m.room.message/{text}", {"msgtype": "m.text", "body": text}
        )
        if answer.status == 200:
            self.acknowledged.append(text)
            self._sender.sent += 1
        elif answer.status != 503 or not {"errcode", "error"} <= answer.body.keys():
            raise _Broken(f"a message was answered {answer.status}: {answer.body}")
        return answer

    def read(self) -> None:
        """Messages and sync have to be answered, with the last acknowledged message."""
        page = self.ask("GET", f"{self._room}/messages?dir=b&limit=10")
        sync = self.ask("GET", "/sync?timeout=0")
        if (page.status, sync.status) != (200, 200):
            raise _Broken(f"reading was answered {page.status} and {sync.status}")
        timeline = sync.body["rooms"]["join"][self._sender.room_id]["timeline"]["events"]
        for events in (page.body["chunk"], timeline):
            texts = [event["content"].get("body") for event in events]
            if self.acknowledged and self.acknowledged[-1] not in texts:
                raise _Broken(f"message {self.acknowledged[-1]} was acknowledged and cannot be read")

    def close(self) -> None:
        self._http.close()


def torture(trial: Trial) -> list[Result]:
    return [
        _start_without_room(trial, "server started on a full disk"),
        _fill_until_over(trial, "disk full under a server", ROOMLOG_SERVE),
    ]


def control(trial: Trial) -> list[Result]:
    return [_fill_until_over(trial, "no floor under the log", (CARELESS_SERVER, "no-floor"))]


def _fill_until_over(trial: Trial, what: str, command: tuple[str, ...]) -> Result:
    tally, random = _Tally(), Random(trial.seed)
    with disk_in(trial.directory) as disk, contextlib.ExitStack() as cleanup:
        data = disk / "data"
        crowd = asyncio.run(begin(data, trial.seed))
        server = ServerProcess(data, "--rate-limits", "off", command=command)
        cleanup.callback(server.release)
        try:
            server.start()
            client = _Client(server.address, crowd.senders[0])
            cleanup.callback(client.close)
            while tally.times < 2 or not trial.is_over:
                # To the last block every other time, and in between to somewhere below the floor.
                left = 0 if tally.times % 2 == 0 else random.randrange(FREE_BYTES_MIN // 2)
                tally.times += 1
                _fill_once(disk / "others", left, client, tally)
                trial.says(f"filled {tally.times} times, {tally.refused:,} messages refused")
            client.close()
            tally.findings += _end(server, data, client.acknowledged)
        except (_Broken, Failed) as error:
            tally.findings.append(f"time {tally.times}: {error}{_end_of(server)}")
    return Result(what, tally.times, tally.findings, f"{tally.refused:,} messages refused")


def _start_without_room(trial: Trial, what: str) -> Result:
    times, findings, random = 0, list[str](), Random(trial.seed)
    with disk_in(trial.directory) as disk:
        data, others = disk / "data", disk / "others"
        asyncio.run(begin(data, trial.seed))
        while times < _STARTS and (times == 0 or not trial.is_over):
            times += 1
            trial.says(f"start {times} on a full disk")
            rmtree(views_path(data), ignore_errors=True)
            fill(others, left=random.randrange(_LEFT_TO_START_WITH))
            findings += (f"start {times}: {found}" for found in _findings_at_start(data))
            others.unlink()
    return Result(what, times, findings)


def _findings_at_start(data: Path) -> Iterator[str]:
    server = ServerProcess(data)
    try:
        server.start()
    except Failed as error:
        status = server.status_within(0)
        if status is None or status < 0:
            yield str(error)
    finally:
        server.release()


@contextlib.contextmanager
def disk_in(directory: Path) -> Iterator[Path]:
    """An empty one, which is gone afterwards."""
    image, disk = directory / "disk.img", directory / "disk"
    make_image(image, DISK_BYTES)
    with mounted(image, disk):
        yield disk
    image.unlink()


def _end_of(server: ServerProcess) -> str:
    status = server.status_within(_SECONDS_TO_END)
    if status is None:
        return ""
    return f"; the server ended with status {status}: {server.rest_of_output().strip()[-300:]}"


def _fill_once(others: Path, left: int, client: _Client, tally: _Tally) -> None:
    for _ in range(_SENT_IN_PEACE):
        if (answer := client.send()).status != 200:
            raise _Broken(f"with room on the disk a message was answered {answer}")
    fill(others, left=left)
    for _ in range(_SENT_AT_MOST):
        if client.send().status == 503:
            break
    else:
        raise _Broken(f"{_SENT_AT_MOST} messages were accepted on a disk with {left} bytes left")
    for _ in range(REFUSALS):
        if client.send().status == 200:
            raise _Broken("a message was accepted on a full disk after others had been refused")
        tally.refused += 1
    client.read()
    others.unlink()
    deadline = time.monotonic() + _SECONDS_TO_RESUME
    while (answer := client.send()).status != 200:
        if time.monotonic() > deadline:
            raise _Broken(
                f"{_SECONDS_TO_RESUME} s after there was room again a message was answered {answer}"
            )
        time.sleep(0.01)
    client.read()


def fill(file: Path, *, left: int) -> None:
    """Make the file so large that only so many bytes are left on its disk; 0: to the last block."""
    with file.open("wb") as opened:
        size, step = 0, DISK_BYTES
        while step >= _BLOCK_BYTES:
            disk = os.statvfs(file)
            if left and disk.f_bavail * disk.f_frsize - step < left:
                step //= 2
                continue
            try:
                os.posix_fallocate(opened.fileno(), size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2


def _end(server: ServerProcess, data: Path, acknowledged: Sequence[str]) -> Iterator[str]:
    status = server.stop()
    if status != 0:
        yield f"asked to end, the server ended with status {status}"
    said = server.rest_of_output()
    if len(said) > _SAID_BYTES_MAX:
        yield f"the server said {len(said)} characters on all this: {said[:200]} …"
    try:
        texts = asyncio.run(_texts_in(data))
        assert_views_are_as_rebuilt(data)
    except (LogError, ViewsDiffer) as error:
        yield str(error)
        return
    for text in acknowledged:
        if (times := texts.count(text)) != 1:
            yield f"message {text} was acknowledged and is there {times} times"


async def _texts_in(data: Path) -> list[str]:
    async with open_log(log_url(data), read_only=True) as log:
        return [
            str(fact.event.content["body"])
            async for entry in log.read()
            for fact in decode_entry(entry.payload)
            if isinstance(fact, RoomEvent) and fact.event.type == "m.room.message"
        ]


PART = Part(
    name="full-disk",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="the floor of free space",
)
