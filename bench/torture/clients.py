"""Clients that misbehave in the ways that cost them nothing, by the thousand, beside some that do not.

A server with 10,000 idle long polls gets 1,000 connections that send a head a byte at a time, some that
never finish a body, that never read what they asked for, and that send headers without end; and meanwhile
ordinary clients send messages. Then

* all who dawdle have been closed a while after their deadline, and nobody who just waits was;
* what the server's memory grew by is bounded for each connection;
* the ordinary clients' 99th percentile is within a factor of what it is when they are alone;
* SIGTERM answers every poll with 200, and the server has ended in 5 s, with new dawdlers on it.

The deadlines are those of the product made shorter, so that a minute is enough. The control is a server
without deadlines, on which the dawdlers stay. Where the limit of open files is low, fewer polls are opened,
and the note says so.
"""

import asyncio
import resource
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeAlias, cast
from urllib.parse import quote, urlsplit

import msgspec
import uvloop

from bench.author import authoring, token_of
from bench.connection import Answer, Connection, Refused, accepted, request_bytes
from bench.figures import Latencies
from bench.torture.altered_server import MODULE
from bench.torture.part import Part, Result, Trial
from bench.torture.server_process import ServerProcess
from bench.workload import write_log
from eventlog.engines import open_log
from projections.dictionary import entry_dictionary
from server.config import log_url
from server.http.doorkeeper import FILES_FOR_OTHERS
from server.sync.audience import WAITING_PER_USER_MAX

_CLIENT = "/_matrix/client/v3"
_SENDERS = 4
_WALKS = 3
"""Deadlines after which everybody has to be gone: an unread answer is not noticed at once."""
_UNREAD_MESSAGES, _UNREAD_BYTES = 100, 10_000
"""In the room, and in each: asking for all of it a few times fills what the kernel keeps for a client."""
_SECONDS_TO_END = 5.0
_P99_FACTOR_MAX = 10
_P99_MS_ANYWAY = 100.0
"""What nobody would call slow, however fast it is for those who are alone."""
_BYTES_PER_CONNECTION_MAX = 64 * 1024
_BYTES_ANYWAY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Plan:
    polls: int = 10_000
    trickling: int = 1_000
    unfinished: int = 200
    """Bodies of which a first piece comes, and then a byte a second."""
    unread: int = 50
    """Who ask for more than fits into all buffers on the way, and read nothing of it."""
    floods: int = 100
    """Heads without end, as fast as they are taken."""
    alone_seconds: float = 3.0
    deadline_seconds: float = 3.0
    """Of the server; 0 for none."""

    @property
    def dawdlers(self) -> int:
        return self.trickling + self.unfinished + self.unread + self.floods

    @property
    def seconds_to_close(self) -> float:
        return _WALKS * self.deadline_seconds + 1


Place: TypeAlias = tuple[str, int]


class Dawdler(asyncio.Protocol):
    """Sends how it begins, and then piece after piece whenever it is told, until the server has enough."""

    def __init__(self, kind: str, begins: bytes, goes_on: bytes, *, reads: bool = True) -> None:
        self.kind = kind
        self.is_closed = False
        self._begins, self._goes_on, self._reads = begins, goes_on, reads
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._reads:
            self._transport.pause_reading()
        self._transport.write(self._begins)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True

    def go_on(self) -> None:
        assert self._transport is not None
        # What a server does not take piles up here, and is nothing that would trouble the server.
        if not self.is_closed and self._transport.get_write_buffer_size() < 1 << 16:
            self._transport.write(self._goes_on)

    def close(self) -> None:
        assert self._transport is not None
        self._transport.abort()


def _dawdlers(plan: Plan, room_id: str) -> list[Dawdler]:
    get = b"GET /_matrix/client/versions HTTP/1.1\r\nHost: x\r\n"
    path = f"{_CLIENT}/rooms/{quote(room_id, safe='')}"
    put = f"PUT {path}/send/m.room.message/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".encode()
    put += b"Authorization: Bearer token-of-sender\r\n\r\n"
    much = request_bytes("GET", f"{path}/messages?dir=b&limit={_UNREAD_MESSAGES}", "token-of-sender")
    return [
        *(Dawdler("trickle a path", b"GET /", b"a") for _ in range(plan.trickling // 2)),
        *(Dawdler("trickle headers", get, b"a") for _ in range(plan.trickling - plan.trickling // 2)),
        *(Dawdler("never end a body", put, b"1\r\n \r\n") for _ in range(plan.unfinished)),
        *(Dawdler("never read", much * 12, b"\r\n", reads=False) for _ in range(plan.unread)),
        *(Dawdler("flood headers", get, b"a:\r\n" * 4_000) for _ in range(plan.floods)),
    ]


FEW = Plan(50, 20, 5, 5, 5, alone_seconds=0.3, deadline_seconds=0.3)
"""Three seconds."""
_SECONDS_FOR_ALL = 20


def torture(trial: Trial) -> list[Result]:
    return _run(trial, Plan() if trial.seconds >= _SECONDS_FOR_ALL else FEW)


def control(trial: Trial) -> list[Result]:
    """Few are enough: what is shown is that those who stay are seen."""
    return _run(trial, replace(FEW, deadline_seconds=0))[:1]


def _run(trial: Trial, plan: Plan) -> list[Result]:
    """The first result is about who dawdles."""
    return uvloop.run(_torture(trial, plan, min(plan.polls, _room_for_polls(plan))))


def _room_for_polls(plan: Plan) -> int:
    """This process has a file for each connection, and so has the server, which keeps a quarter back."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard == resource.RLIM_INFINITY:
        return plan.polls
    return max(1, (hard - FILES_FOR_OTHERS) * 3 // 4 - 2 * plan.dawdlers - _SENDERS)


async def _torture(trial: Trial, plan: Plan, polls: int) -> list[Result]:
    data = trial.directory / "data"
    room_id, pollers = await _write_history(trial.seed, data, polls)
    command = (MODULE, "--deadlines", str(plan.deadline_seconds))
    server = ServerProcess(data, "--rate-limits", "off", command=command)
    with ExitStack() as cleanup:
        cleanup.callback(server.release)
        server.start()
        place = urlsplit(server.address)
        assert place.hostname is not None
        assert place.port is not None
        crowd = _Crowd(trial, plan, polls, (place.hostname, place.port), server, room_id)
        cleanup.callback(crowd.close)
        return await crowd.run(pollers)


async def _write_history(seed: int, data: Path, polls: int) -> tuple[str, list[str]]:
    """A room, its sender, and enough users for the polls; returns the room's id and the users' tokens."""
    users = -(-polls // (WAITING_PER_USER_MAX // 2))
    content = {"msgtype": "m.text", "body": "a" * _UNREAD_BYTES}
    async with open_log(log_url(data), dictionary=entry_dictionary()) as log:
        with authoring(seed) as author:
            entries = [author.name_server()]
            sender, facts = author.register("sender")
            room, of_room = author.create_room(sender)
            entries += [facts, of_room]
            entries += [author.send(room, sender, "m.room.message", content) for _ in range(_UNREAD_MESSAGES)]
            sessions = [author.register(f"poller{number}") for number in range(users)]
            await write_log(log, [*entries, *(facts for _, facts in sessions)])
    return room.room_id, [token_of(session.user_id) for session, _ in sessions]


class _Crowd:
    def __init__(
        self, trial: Trial, plan: Plan, polls: int, place: Place, server: ServerProcess, room_id: str
    ) -> None:
        self._trial, self._plan, self._place, self._server = trial, plan, place, server
        self._polls_wanted, self._room_id = polls, room_id
        self._send_path = f"{_CLIENT}/rooms/{quote(room_id, safe='')}/send/m.room.message"
        self._numbers = count()
        self._polls: list[Connection] = []
        self._answers: list[asyncio.Future[Answer]] = []
        self._dawdlers: list[Dawdler] = []

    def close(self) -> None:
        for poll in self._polls:
            poll.close()
        for dawdler in self._dawdlers:
            dawdler.close()

    async def run(self, pollers: Sequence[str]) -> list[Result]:
        self._trial.says("ordinary clients alone")
        alone = await self._send_for(self._plan.alone_seconds)
        before = _anonymous_bytes(self._server.pid)
        self._trial.says(f"{self._polls_wanted:,} long polls")
        await self._open_polls(pollers)
        self._trial.says(f"{self._plan.dawdlers:,} dawdlers")
        crowded, peak = await self._bear_dawdlers()
        findings = self._still_there()
        polls = self._polls_lost()
        memory = _memory_findings(peak - before, len(self._polls) + self._plan.dawdlers)
        self._trial.says("SIGTERM")
        ending = await self._end()
        return [
            Result("connections that dawdle", self._plan.dawdlers, findings, _note_of_kinds(self._plan)),
            Result("idle long polls", len(self._polls), polls, self._note_of_polls()),
            Result("memory", 1, memory, f"{(peak - before) / 1e6:.0f} MB more"),
            _result_of_senders(alone, crowded),
            ending,
        ]

    async def _send_for(self, seconds: float) -> list[float]:
        """Ordinary clients at work; how long each answer took, in seconds."""
        until = time.perf_counter() + seconds

        async def send(connection: Connection) -> list[float]:
            taken = []
            while time.perf_counter() < until:
                path = f"{self._send_path}/{next(self._numbers)}"
                content = b'{"msgtype":"m.text","body":"beside a crowd"}'
                begun = time.perf_counter()
                answer = await connection.must(request_bytes("PUT", path, "token-of-sender", content))
                taken.append(answer.at - begun)
            connection.close()
            return taken

        connections = [await Connection.open(*self._place) for _ in range(_SENDERS)]
        return [one for taken in await asyncio.gather(*map(send, connections)) for one in taken]

    async def _open_polls(self, pollers: Sequence[str]) -> None:
        for number, token in enumerate(pollers):
            first = await Connection.open(*self._place)
            answer = await first.must(request_bytes("GET", f"{_CLIENT}/sync?timeout=0", token))
            first.close()
            since = msgspec.json.decode(answer.body)["next_batch"]
            poll = request_bytes("GET", f"{_CLIENT}/sync?since={since}&timeout=120000", token)
            share = self._polls_wanted * (number + 1) // len(pollers) - len(self._polls)
            opened = await asyncio.gather(*(Connection.open(*self._place) for _ in range(share)))
            self._polls += opened
            self._answers += [connection.request(poll) for connection in opened]

    async def _bear_dawdlers(self) -> tuple[list[float], int]:
        """How long the ordinary clients waited meanwhile, and the most memory that the server had."""
        await self._open_dawdlers()
        peak = 0

        async def go_on() -> None:
            nonlocal peak
            while True:
                peak = max(peak, _anonymous_bytes(self._server.pid))
                for dawdler in self._dawdlers:
                    dawdler.go_on()
                await asyncio.sleep(0.5)

        going_on = asyncio.create_task(go_on())
        try:
            return await self._send_for(self._plan.seconds_to_close), peak
        finally:
            going_on.cancel()

    async def _open_dawdlers(self) -> None:
        loop = asyncio.get_running_loop()
        self._dawdlers = _dawdlers(self._plan, self._room_id)
        for dawdler in self._dawdlers:
            await loop.create_connection(lambda dawdler=dawdler: dawdler, *self._place)  # type: ignore[misc]

    def _still_there(self) -> list[str]:
        left = [dawdler.kind for dawdler in self._dawdlers if not dawdler.is_closed]
        return [
            f"{left.count(kind):,} that {kind} are open after {self._plan.seconds_to_close:.0f} s"
            for kind in sorted(set(left))
        ]

    def _polls_lost(self) -> list[str]:
        lost = sum(answer.done() for answer in self._answers)
        return [f"{lost:,} of {len(self._answers):,} long polls ended before their time"] if lost else []

    def _note_of_polls(self) -> str:
        wanted = self._plan.polls
        return f"not {wanted:,}: no more files may be open" if len(self._polls) < wanted else ""

    async def _end(self) -> Result:
        for dawdler in self._dawdlers:
            dawdler.close()
        await self._open_dawdlers()
        await asyncio.sleep(0)
        begun = time.monotonic()
        try:
            status = await asyncio.get_running_loop().run_in_executor(None, self._server.stop)
        except subprocess.TimeoutExpired as error:
            return Result("SIGTERM", 1, [f"the server did not end: {error}"])
        seconds = time.monotonic() - begun
        outcomes = await asyncio.gather(*self._answers, return_exceptions=True)
        findings = []
        if status:
            findings.append(f"the server ended with status {status}")
        if seconds > _SECONDS_TO_END:
            findings.append(f"it took {seconds:.1f} s to end")
        if unanswered := sum(not _is_accepted(outcome) for outcome in outcomes):
            findings.append(f"{unanswered:,} of {len(outcomes):,} long polls were not answered")
        return Result("SIGTERM", 1, findings, f"ended in {seconds:.1f} s, {len(outcomes):,} polls answered")


def _is_accepted(outcome: Answer | BaseException) -> bool:
    if isinstance(outcome, BaseException):
        return False
    try:
        return accepted(outcome).status == 200
    except Refused:
        return False


def _note_of_kinds(plan: Plan) -> str:
    return (
        f"{plan.trickling:,} heads a byte at a time, {plan.unfinished:,} bodies, "
        f"{plan.unread:,} never read, {plan.floods:,} floods"
    )


def _memory_findings(grown: int, connections: int) -> list[str]:
    allowed = _BYTES_ANYWAY + connections * _BYTES_PER_CONNECTION_MAX
    if grown <= allowed:
        return []
    return [f"the server's memory grew by {grown / 1e6:.0f} MB; {allowed / 1e6:.0f} MB are allowed"]


def _result_of_senders(alone: Sequence[float], crowded: Sequence[float]) -> Result:
    before, after = Latencies.of(alone).p99, Latencies.of(crowded).p99
    findings = []
    if after > max(_P99_MS_ANYWAY, _P99_FACTOR_MAX * before):
        findings.append(f"the 99th percentile went from {before:.1f} to {after:.1f} ms")
    note = f"99th percentile {after:.1f} ms, {before:.1f} ms alone"
    return Result("messages sent by others", len(crowded), findings, note)


def _anonymous_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"the kernel does not say how much memory process {pid} has")


PART: Part = Part(
    name="clients",
    method=__doc__ or "",
    run=torture,
    control=control,
    safeguard="the deadlines",
    share=0.3,
)
