"""One request of this server to an application service: where it goes, and what it shows as proof.

Services of today listen below `/_matrix/app/v1`; older ones know the same paths without that, and look for
the token in the query. Whoever does not know the path of today is asked on the older one, every time anew,
because the service may have been updated meanwhile.

Neither a token nor the text of an error of the HTTP library, which may quote one, leaves this module.

Where: application service API, "Authorization", "Legacy routes", "Unknown routes".
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import msgspec

from server.appservices.registration import AppService

_PATH_OF_TODAY = "/_matrix/app/v1"
_ANSWER_BYTES_MAX = 1 << 16
_NO_SUCH_PATH_OR_METHOD = (404, 405)

# At INFO the library logs every URL, and on older paths the URL has a token in it.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Unreachable(Exception):
    """There was no answer; the text says why."""


class TimedOut(Unreachable):
    """There was none in time."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    """The first 64 KiB of it."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def knows_path(self) -> bool:
        """404 and 405 speak of the path only if no other error of Matrix is given as their reason."""
        return self.status not in _NO_SUCH_PATH_OR_METHOD or self._code not in (None, "M_UNRECOGNIZED")

    @property
    def _code(self) -> str | None:
        try:
            return msgspec.json.decode(self.body, type=_Error).errcode
        except msgspec.DecodeError:
            return None


class _Error(msgspec.Struct, frozen=True):
    errcode: str | None = None


class Connection:
    """To one service that has an address."""

    def __init__(self, client: httpx.AsyncClient, service: AppService, url: str) -> None:
        self.service = service
        self._client = client
        self._url = url.rstrip("/")

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        seconds: float,
        has_older_path: bool = True,
    ) -> Answer:
        """`path` comes behind the version prefix, its segments percent-encoded.

        Raises `Unreachable` if no answer came, `TimedOut` if none came within `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                answer = await self._send(method, self._url + _PATH_OF_TODAY + path, body)
                if has_older_path and not answer.knows_path:
                    token = str(httpx.QueryParams({"access_token": self.service.hs_token}))
                    answer = await self._send(method, f"{self._url}{path}?{token}", body)
                return answer
        except TimeoutError:
            raise TimedOut(f"no answer within {seconds:g} s") from None
        except httpx.ConnectError:
            raise Unreachable("cannot connect") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(type(error).__name__) from None

    async def _send(self, method: str, url: str, body: bytes | None) -> Answer:
        headers = {
            b"Authorization": b"Bearer " + self.service.hs_token.encode(),
            b"Accept-Encoding": b"identity",
        }
        if body is not None:
            headers[b"Content-Type"] = b"application/json"
        async with self._client.stream(method, url, content=body, headers=headers) as response:
            received = b""
            async for chunk in response.aiter_raw():
                received += chunk
                if len(received) > _ANSWER_BYTES_MAX:
                    break
            return Answer(response.status_code, received[:_ANSWER_BYTES_MAX])


@asynccontextmanager
async def connections_to(services: Iterable[AppService]) -> AsyncIterator[tuple[Connection, ...]]:
    """Connections to all services that want to be told of anything, for as long as the context lasts."""
    addresses = [(service, service.url) for service in services if service.url]
    if not addresses:  # a client reads all certificates that it trusts, which takes 20 ms
        yield ()
        return
    # The time limit is `ask`'s, for a request as a whole; nothing is taken from the environment.
    async with httpx.AsyncClient(timeout=None, trust_env=False, follow_redirects=False) as client:
        yield tuple(Connection(client, service, url) for service, url in addresses)
