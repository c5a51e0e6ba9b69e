"""Wires everything: opens log and views, makes the parts, serves them, and takes them down in order.

Starting: own the log, open the views, fold what they have not seen, put the first fact on record, then
listen. Stopping: stop listening, answer who waits, finish what is being written, close the views and the
log. If the log fails while serving, nothing is read or written any more, and the process ends with status 3,
the cause on the last line of what it says; the next start finds out by reading what is on disk.
"""

import asyncio
import gc
import logging
import secrets
import socket
import string
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import uvicorn

from eventlog.engines import open_log
from projections.dictionary import entry_dictionary
from projections.facts import ServerNamed
from projections.follower import Progress, catch_up, open_views
from projections.server_name import server_name
from server.api import (
    account,
    appservices,
    devices,
    discovery,
    event_context,
    filters,
    profiles,
    public_rooms,
    push_rules,
    registration,
    room_creation,
    room_directory,
    room_events,
    room_membership,
    room_upgrades,
    sessions,
    sync,
    sync_v1,
)
from server.appservices.connection import connections_to
from server.appservices.delivery import delivering
from server.appservices.queries import Queries
from server.config import Config, log_path, log_url, views_path
from server.homeserver import Homeserver
from server.http.application import Application
from server.http.context import Context
from server.http.doorkeeper import Doorkeeper, bounds_here
from server.http.limits import RateLimits
from server.http.metrics_page import METRICS_BOUNDS, MetricsPage
from server.http.protocol import protocol_within
from server.metrics import Metrics
from server.patrol import patrolling
from server.restore_points import keeping_restore_points
from server.sync.audience import Audience
from server.users.account import give_up_and_erase
from server.users.erasing import Eraser, erasing
from server.users.passwords import hash_password
from server.users.registration import Register, register, register_unless_known
from server.writer import Decided, Turn, Writer, storage_failed

ROUTES = (
    *discovery.routes,
    *registration.routes,
    *sessions.routes,
    *account.routes,
    *devices.routes,
    *room_creation.routes,
    *room_events.routes,
    *event_context.routes,
    *room_membership.routes,
    *room_upgrades.routes,
    *room_directory.routes,
    *public_rooms.routes,
    *sync.routes,
    *sync_v1.routes,
    *filters.routes,
    *profiles.routes,
    *push_rules.routes,
    *appservices.routes,
)

EXIT_LOG_FAILED = 3
_SECONDS_TO_SHUT_DOWN = 3
"""For who reads an answer slowly; all others are answered at once. Leaves the disk two of five seconds."""
_CONNECTIONS_WAITING_MAX = 2048
_OBJECTS_BEFORE_COLLECTING = 20_000
_LETTERS_AND_DIGITS = string.ascii_letters + string.digits

_log = logging.getLogger("roomlog")


class WrongServerName(Exception):
    """The log was begun under another name, and all its identifiers carry that one."""


class CannotListen(Exception):
    """An address that was asked for cannot be had. `prefix` is what the names of its options begin with."""

    def __init__(self, prefix: str, host: str, port: int, error: OSError) -> None:
        super().__init__(f"cannot listen on {host}:{port}: {error.strerror}")
        self.prefix = prefix


@dataclass(frozen=True)
class Running:
    """A homeserver that accepts decisions."""

    homeserver: Homeserver
    writer: Writer


@asynccontextmanager
async def running(config: Config, progress: Progress = lambda position, head: None) -> AsyncIterator[Running]:
    """Own the log and have current views of it for as long as the context lasts.

    Raises `eventlog.errors.LogError` if the log cannot be opened, `WrongServerName` if it is another's.
    """
    async with open_log(log_url(config.data), dictionary=entry_dictionary()) as log:
        views = open_views(views_path(config.data), log)
        try:
            head = await catch_up(log, views, progress)
            homeserver = Homeserver(config.server_name, log, views, _now_ms, _random_text)
            writer = Writer(homeserver, head)
            await writer.decide(_name_server, config.server_name)
            for service in config.appservices:
                await writer.decide(register_unless_known, service.sender_localpart)
            yield Running(homeserver, writer)
            await writer.close()
        except BaseException:
            views.abandon()
            raise
        if writer.failure is None:
            views.close()
        else:
            views.abandon()


async def serve(config: Config, progress: Progress, announce: Callable[[str], None]) -> int:
    """Serve until a signal says to stop. `announce` gets the address once it answers.

    Returns the exit status. Raises `CannotListen`.
    """
    aside = None
    if config.metrics_port is not None:
        aside = _listen("metrics-", config.metrics_host, config.metrics_port)
        aside.listen()  # already now, or the clients' port could be the same one
    listening = _listen("", config.host, config.port)
    async with (
        running(config, progress) as parts,
        connections_to(config.appservices) as connections,
        delivering(connections, parts.homeserver, parts.writer),
        patrolling(log_path(config.data)) as patrol,
        erasing(parts.homeserver, parts.writer, config.redaction_retention),
        keeping_restore_points(parts.homeserver.views, parts.writer),
    ):
        audience = Audience(parts.homeserver.views, parts.writer.head)
        parts.writer.listen(audience.hear)
        limits = RateLimits(msgspec.structs.replace(config.rate_limit, is_on=config.rate_limits == "on"))
        queries = Queries(connections)
        context = Context(config, parts.homeserver, parts.writer, audience, limits, queries=queries)
        application, doorkeeper = Application(ROUTES, {"context": context}), Doorkeeper(bounds_here())
        server = _Server(uvicorn_config(application, doorkeeper), audience, announce)
        metrics = Metrics(
            config, parts.homeserver, parts.writer, audience, doorkeeper, patrol, server.server_state
        )
        watching = asyncio.create_task(_stop_when_storage_fails(parts.writer, application, server))
        settle_memory()
        async with _served_aside(MetricsPage(metrics.text), aside) as server.metrics_address:
            await server.serve([listening])
        watching.cancel()
    if parts.writer.failure is None:
        return 0
    _log.critical("ended, because the log cannot be written: %s", parts.writer.failure)
    return EXIT_LOG_FAILED


async def add_user(config: Config, localpart: str, password: str) -> str:
    """Make an account from the shell; returns its user id. Raises `MatrixError` as registration does."""
    async with running(config) as parts:
        return await parts.writer.decide(register, Register(localpart, await hash_password(password), None))


async def erase_user(config: Config, user_id: str) -> bool:
    """Give an account up from the shell, and take what it said out of the log, with all else that is due.

    Answers whether the files hold none of it any more; if not, the server goes on with it when it starts.
    Raises `MatrixError` if there is no such account.
    """
    async with running(config) as parts:
        while not await parts.writer.decide(give_up_and_erase, user_id):
            pass
        eraser = Eraser(parts.homeserver, parts.writer, config.redaction_retention)
        try:
            return await eraser.erase_what_is_due()
        finally:
            await eraser.settle()


def _name_server(turn: Turn, name: str) -> Decided[None]:
    known = server_name(turn.view)
    if known is None:
        return Decided(None, [ServerNamed(name, turn.now)])
    if known != name:
        raise WrongServerName(
            f"this log was begun as {known!r}, not as {name!r}; start with --server-name {known}"
        )
    return Decided(None)


class _Server(uvicorn.Server):
    """uvicorn, but it says when it answers, and answers who waits when it stops."""

    def __init__(self, config: uvicorn.Config, audience: Audience, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._audience = audience
        self._announce = announce
        self.metrics_address: str | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        aside = "" if self.metrics_address is None else f" (metrics at {self.metrics_address}/metrics)"
        for listening in sockets or ():
            self._announce(_address_of(listening) + aside)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._audience.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike uvicorn's own, does not raise the signal again at the end: a stop asked for is a success."""
        loop = asyncio.get_running_loop()
        for number in (2, 15):  # SIGINT, SIGTERM
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (2, 15):
                loop.remove_signal_handler(number)


async def _stop_when_storage_fails(writer: Writer, application: Application, server: _Server) -> None:
    """What cannot be written may not be readable either, so that nothing is answered from it."""
    await writer.failed.wait()
    application.refuse_all(storage_failed())
    server.should_exit = True


class _Aside(uvicorn.Server):
    """uvicorn beside another one, which has the signals; says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def _served_aside(page: MetricsPage, listening: socket.socket | None) -> AsyncIterator[str | None]:
    """Serve the page, if there is a socket to do it at, for as long as the context lasts; gives its address.

    It begins before the clients' port and ends after it, so that it tells of the stop as well.
    """
    if listening is None:
        yield None
        return
    config = uvicorn_config(page, Doorkeeper(METRICS_BOUNDS), seconds_to_shut_down=1)
    server = _Aside(config)
    serving = asyncio.create_task(server.serve([listening]))
    answers = asyncio.create_task(server.answers.wait())
    await asyncio.wait((serving, answers), return_when=asyncio.FIRST_COMPLETED)
    answers.cancel()
    try:
        yield _address_of(listening)
    finally:
        server.should_exit = True
        await serving


def settle_memory() -> None:
    """What was made up to here stays until the end; the collector need not look at it again.

    Nor so often at what is new: what a request makes is gone with its answer, mostly without the collector,
    whose default is to look after every 700 objects.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTING, 20, 100)


def uvicorn_config(
    app: Any, doorkeeper: Doorkeeper, seconds_to_shut_down: int = _SECONDS_TO_SHUT_DOWN
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_within(doorkeeper),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # a request's line may hold a token
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=seconds_to_shut_down,
        backlog=_CONNECTIONS_WAITING_MAX,
    )


def _listen(prefix: str, host: str, port: int) -> socket.socket:
    """Take the port before anything is opened, so that a taken one is told at once. Raises `CannotListen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise CannotListen(prefix, host, port, error) from None
    return listening


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length))
