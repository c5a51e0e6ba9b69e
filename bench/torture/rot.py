"""Rot: a flipped bit, a zeroed page, a file that ends too early, in a page of every kind.

The log of a small server is copied, and a page of the copy is damaged: a meta page, a branch, a leaf, one of
a large value, a free one, one of the list of free pages. A bit that is flipped in a meta page is one of its
fields, as the rest of it is nothing. Then

* `roomlog check` must find it, name what it concerns, and say what to do; or it was harmless: everything
  that was there can still be read, because nobody had a use for what was changed;
* `roomlog export` must not hand out one entry that is not as it was written;
* a server started on it must answer what it answered before, and take a message, or refuse to start, or to
  write, and say why. It must not be ended by a signal.

The controls are readers who do not look at digests: one of them hands the damage out and has nothing to say.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import count, product
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import msgspec

from bench.author import authoring, token_of
from bench.connection import Connection, Refused, request_bytes
from bench.processes import Failed, clean_environment
from bench.torture.lmdb_pages import Kind, kinds_of
from bench.torture.part import Part, Result, Trial
from bench.torture.server_process import ServerProcess
from eventlog import check, verifying
from eventlog.compression import Compression
from eventlog.engines import open_log
from eventlog.envelope import HEADER
from eventlog.lmdb_file import DATA_FILE, LmdbTables
from eventlog.lmdb_meta import META_BYTES, read_meta
from eventlog.log import Entry, Position
from projections.dictionary import entry_dictionary
from projections.facts import encode_entry
from server.app import EXIT_LOG_FAILED
from server.config import log_path, log_url

_MESSAGES = 600
_ENTRIES_PER_APPEND = 7
"""Few, so that pages are freed and the tree grows branches."""
_LARGE = 10_000
_ADVICE = ("restore", "salvage")
_SECONDS_TO_ANSWER = 20


class Damage(Enum):
    BIT = "one bit flipped"
    ZEROED = "page zeroed"
    CUT = "file cut off"


@dataclass(frozen=True)
class _Original:
    """A data directory that is whole, and what can be learned from it."""

    data: Path
    room_id: str
    token: str
    exported: frozenset[bytes]
    """Lines, an entry each."""
    messages: Any = None
    """As the server tells them."""


@dataclass
class _Row:
    damage: Damage
    kind: Kind
    times: int = 0
    harmless: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)

    def result(self) -> Result:
        note = f"{self.harmless} did no harm, {self.refused} refused by the server"
        return Result(f"{self.damage.value}: {self.kind.value}", self.times, self.findings, note)


def torture(trial: Trial) -> list[Result]:
    original = _make(trial)
    random = Random(trial.seed)
    rows = [_Row(damage, kind) for damage, kind in product(Damage, Kind)]
    random.shuffle(rows)
    for cycle in count():
        row = rows[cycle % len(rows)]
        if cycle and trial.is_over:
            break
        trial.says(f"{row.damage.value}: {row.kind.value}, {cycle}")
        _damage_once(trial.directory / "damaged", original, row, random)
    tried = [row for row in rows if row.times]
    return [row.result() for row in sorted(tried, key=lambda row: (row.damage.value, row.kind.value))]


def control(trial: Trial) -> list[Result]:
    """The walk of `roomlog check`, which takes whatever LMDB says."""
    data = _make(trial).data
    _flip_in_the_last_payload(log_path(data))
    with patch.object(verifying, "unseal", _believe):
        found = [report for report in check.walk(log_path(data)) if isinstance(report, verifying.Finding)]
    findings = [] if found else ["a flipped bit in a payload was not found"]
    return [Result("one bit flipped, without digests", 1, findings)]


def _believe(data: bytes, position: Position, _previous: bytes | None, _: Compression | None) -> Entry:
    return Entry(position, data[HEADER.size :], b"", b"")


def _flip_in_the_last_payload(log: Path) -> None:
    with closing(LmdbTables(log, read_only=True)) as tables:
        last = tables.last()
    assert last is not None
    _, stored = last
    data = bytearray((log / DATA_FILE).read_bytes())
    data[data.rindex(stored) + len(stored) - 1] ^= 1
    (log / DATA_FILE).write_bytes(data)


def _damage_once(data: Path, original: _Original, row: _Row, random: Random) -> None:
    shutil.copytree(original.data, data)
    try:
        where = _damage(log_path(data) / DATA_FILE, row, random)
        row.times += 1
        row.findings += (f"{where}: {found}" for found in _findings(data, original, row))
    finally:
        shutil.rmtree(data)


def _damage(file: Path, row: _Row, random: Random) -> str:
    page_bytes = read_meta(file).page_bytes
    kinds = kinds_of(file)
    page = random.choice([number for number, kind in enumerate(kinds) if kind is row.kind])
    contents = bytearray(file.read_bytes())
    start = page * page_bytes
    where = f"page {page} zeroed"
    match row.damage:
        case Damage.BIT:
            bit = random.randrange(8 * (META_BYTES if row.kind is Kind.META else page_bytes))
            contents[start + bit // 8] ^= 1 << bit % 8
            where = f"bit {bit} of page {page}"
        case Damage.ZEROED:
            contents[start : start + page_bytes] = bytes(page_bytes)
        case Damage.CUT:
            del contents[start + random.randrange(page_bytes) :]
            where = f"cut off in page {page}, at {len(contents)} bytes"
    file.write_bytes(contents)
    return f"{where} ({row.kind.value})"


def _findings(data: Path, original: _Original, row: _Row) -> Iterator[str]:
    checked = _run("check", data)
    exported = frozenset(_run("export", data).stdout.splitlines())
    if exported - original.exported:
        yield f"export handed out {len(exported - original.exported)} entries that nobody wrote"
    said = checked.stdout.decode()
    if checked.returncode == 0:
        if exported == original.exported:
            row.harmless += 1
        else:
            missing = len(original.exported - exported)
            yield f"check finds nothing, but {missing} entries cannot be read"
    elif checked.returncode != 1:
        yield f"check ended with {checked.returncode}: {checked.stderr.decode().strip()[-200:]}"
    elif not any(advice in said for advice in _ADVICE):
        yield f"check does not say what to do: {said[-200:]}"
    yield from _findings_of_server(data, original, row)


def _findings_of_server(data: Path, original: _Original, row: _Row) -> Iterator[str]:
    server = ServerProcess(data, "--rate-limits", "off")
    try:
        server.start()
        messages = asyncio.run(_ask(server, original))
        if messages != original.messages:
            yield "the server answers with other messages"
        if (status := server.stop()) not in (0, EXIT_LOG_FAILED):
            yield f"the server ended with {status}: {server.rest_of_output()[-300:]}"
    except Failed as failed:
        row.refused += 1
        if (reason := str(failed)).startswith("the server ended with -"):
            yield reason[:300]
    except (Refused, TimeoutError, OSError) as error:
        status = server.stop()
        if status < 0:
            yield f"the server was ended by signal {-status} ({error!r})"
    finally:
        server.release()


async def _ask(server: ServerProcess, original: _Original) -> Any:
    """What is in the room; and then something is added, which the server may refuse."""
    async with asyncio.timeout(_SECONDS_TO_ANSWER):
        connection = await _connect(server)
        messages = await _messages(connection, original)
        path = f"{_path_of(original)}/send/m.room.message/after-the-damage"
        content = b'{"body":"","msgtype":"m.text"}'
        await connection.request(request_bytes("PUT", path, original.token, content))
        connection.close()
    return messages


async def _connect(server: ServerProcess) -> Connection:
    place = urlsplit(server.address)
    assert place.hostname is not None
    assert place.port is not None
    return await Connection.open(place.hostname, place.port)


async def _messages(connection: Connection, original: _Original) -> Any:
    path = f"{_path_of(original)}/messages?dir=f&limit=1000"
    page = await connection.must(request_bytes("GET", path, original.token))
    return [(event["event_id"], event["content"]) for event in msgspec.json.decode(page.body)["chunk"]]


def _path_of(original: _Original) -> str:
    return f"/_matrix/client/v3/rooms/{quote(original.room_id, safe='')}"


def _make(trial: Trial) -> _Original:
    data = trial.directory / "whole"
    room_id, token = asyncio.run(_write_log(trial.seed, data))
    exported = frozenset(_run("export", data).stdout.splitlines())
    original = _Original(data, room_id, token, exported)
    server = ServerProcess(data, "--rate-limits", "off")
    try:
        server.start()
        return replace(original, messages=asyncio.run(_asked(server, original)))
    finally:
        server.stop()
        server.release()


async def _asked(server: ServerProcess, original: _Original) -> Any:
    connection = await _connect(server)
    messages = await _messages(connection, original)
    connection.close()
    return messages


async def _write_log(seed: int, data: Path) -> tuple[str, str]:
    random = Random(seed)
    with authoring(seed) as author:
        entries = [author.name_server()]
        sender, facts = author.register("sender")
        room, of_room = author.create_room(sender)
        entries += [facts, of_room]
        for number in range(_MESSAGES):
            # The large ones do not get short by being compressed.
            body = random.randbytes(_LARGE // 2).hex() if number % 50 == 0 else f"message {number}"
            content = {"msgtype": "m.text", "body": body}
            entries.append(author.send(room, sender, "m.room.message", content))
    async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
        head = 0
        for first in range(0, len(entries), _ENTRIES_PER_APPEND):
            batch = [encode_entry(entry) for entry in entries[first : first + _ENTRIES_PER_APPEND]]
            head = await log.append(batch, after=head)
    return room.room_id, token_of(sender.user_id)


def _run(verb: str, data: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "server.cli", verb, "--data", str(data)],
        capture_output=True,
        env=clean_environment(),
    )


PART: Part = Part(
    name="rot",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="the digests",
)
