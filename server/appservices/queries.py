"""Asks application services: for users and aliases that are theirs to make, and whether they can be reached.

A service that answers 200 has made what it was asked for, by the client-server API and before it answered;
so whoever asked looks again. Asked is only for what is not there, and of each service for a few at a time:
anybody may name an alias, also somebody without an account.

Where: application service API, "Querying", "Pinging".
"""

import asyncio
import time
from collections.abc import Iterable
from itertools import islice
from urllib.parse import quote

import msgspec

from projections import accounts, directory
from projections.identifiers import is_room_alias, is_user_id, split
from server.appservices.connection import Connection, TimedOut, Unreachable
from server.appservices.registration import AppService, IdentifierKind
from server.errors import ErrorCode, MatrixError
from server.homeserver import Homeserver

SECONDS_TO_ANSWER = 5.0
"""With the time that a query waits for its turn."""
AT_ONCE_MAX = 10
"""Queries that one service has before it at the same time."""
USERS_MAX = 500
"""Of one request; as many as a new room may have."""
_SHOWN_BYTES_MAX = 1_000


class _Queried:
    """A service that may be asked."""

    def __init__(self, connection: Connection) -> None:
        self.service = connection.service
        self.connection = connection
        self._turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def has_made(self, path: str) -> bool:
        """Raises `Unreachable`."""
        try:
            async with asyncio.timeout(SECONDS_TO_ANSWER), self._turns:
                answer = await self.connection.ask("GET", path, seconds=SECONDS_TO_ANSWER)
        except TimeoutError:
            raise TimedOut(f"no turn within {SECONDS_TO_ANSWER:g} s") from None
        return answer.is_success


class Queries:
    """Of all services that listen. Where there are none, asking costs nothing."""

    def __init__(self, connections: Iterable[Connection] = ()) -> None:
        self._queried = tuple(_Queried(connection) for connection in connections)

    async def ensure_alias(self, homeserver: Homeserver, alias: str) -> None:
        """Let a service make an alias that is not there.

        Raises `MatrixError` REQUEST_TIMED_OUT if none has made it and one of them could not be asked.
        """
        if not self._queried or not is_room_alias(alias) or split(alias)[1] != homeserver.server_name:
            return
        with homeserver.views.read() as view:
            if directory.alias(view, alias) is not None:
                return
        try:
            await self._ask("aliases", alias, f"/rooms/{quote(alias, safe='')}")
        except Unreachable as error:
            message = f"The application service that may know {alias} does not answer."
            raise MatrixError(ErrorCode.REQUEST_TIMED_OUT, message) from error

    async def ensure_users(self, homeserver: Homeserver, user_ids: Iterable[str]) -> None:
        """Let services make users who are not there. Somebody who does not exist can be invited, too."""
        if self._queried:
            some = islice(user_ids, USERS_MAX)
            await asyncio.gather(*(self._ensure_user(homeserver, user_id) for user_id in some))

    async def _ensure_user(self, homeserver: Homeserver, user_id: str) -> None:
        if not is_user_id(user_id) or split(user_id)[1] != homeserver.server_name:
            return
        with homeserver.views.read() as view:
            if accounts.account(view, user_id) is not None:
                return
        try:
            await self._ask("users", user_id, f"/users/{quote(user_id, safe='')}")
        except Unreachable:
            return

    async def ping(self, service: AppService, transaction_id: str | None) -> int:
        """How many milliseconds a service took to answer.

        Raises `MatrixError` URL_NOT_SET, BAD_STATUS, CONNECTION_FAILED or CONNECTION_TIMEOUT.
        """
        asked = next((queried for queried in self._queried if queried.service.id == service.id), None)
        if asked is None:
            raise MatrixError(ErrorCode.URL_NOT_SET, "The application service has registered no url.")
        body = msgspec.json.encode({} if transaction_id is None else {"transaction_id": transaction_id})
        begun = time.monotonic()
        try:
            answer = await asked.connection.ask(
                "POST", "/ping", body, seconds=SECONDS_TO_ANSWER, has_older_path=False
            )
        except TimedOut as error:
            raise MatrixError(ErrorCode.CONNECTION_TIMEOUT, f"The ping had {error}.") from error
        except Unreachable as error:
            raise MatrixError(ErrorCode.CONNECTION_FAILED, f"The ping failed: {error}.") from error
        if not answer.is_success:
            shown = answer.body[:_SHOWN_BYTES_MAX].decode(errors="replace")
            message = f"The ping was answered with status {answer.status}."
            raise MatrixError(ErrorCode.BAD_STATUS, message, status=answer.status, body=shown)
        return round((time.monotonic() - begun) * 1000)

    async def _ask(self, kind: IdentifierKind, identifier: str, path: str) -> None:
        """One service after the other, until one has made it. Raises `Unreachable` as its last word only."""
        trouble: Unreachable | None = None
        for queried in self._queried:
            if not queried.service.is_interested_in(kind, identifier):
                continue
            try:
                if await queried.has_made(path):
                    return
            except Unreachable as error:
                trouble = error
        if trouble is not None:
            raise trouble
