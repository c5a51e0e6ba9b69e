"""What services are asked for: aliases and users that are theirs to make, and pings."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from projections.facts import AccountRegistered, AliasSet, Fact
from server.app import Running
from server.appservices import queries
from server.appservices.connection import Answer, connections_to
from server.appservices.queries import Queries
from server.errors import ErrorCode, MatrixError
from server.writer import Decided, Turn
from tests.harness.application_service import ApplicationService, Received, Reply, application_service

pytestmark = pytest.mark.anyio

TEA = "#_irc_tea:localhost"


@pytest.fixture
async def asking(service: ApplicationService) -> AsyncIterator[Queries]:
    async with connections_to([service.registration()]) as connections:
        yield Queries(connections)


async def state_facts(parts: Running, *facts: Fact) -> None:
    def decision(_: Turn, stated: tuple[Fact, ...]) -> Decided[None]:
        return Decided(None, stated)

    await parts.writer.decide(decision, facts)


def unknown(_: Received) -> Reply:
    return Reply(404, b'{"errcode": "M_NOT_FOUND"}')


async def test_an_unknown_alias_is_asked_for(
    parts: Running, service: ApplicationService, asking: Queries
) -> None:
    await asking.ensure_alias(parts.homeserver, "#_irc_tea/50% off:localhost")
    assert service.asked_for("rooms") == ["#_irc_tea/50% off:localhost"]
    assert [(one.method, one.target) for one in service.received] == [
        ("GET", "/_matrix/app/v1/rooms/%23_irc_tea%2F50%25%20off%3Alocalhost")
    ]


async def test_a_known_alias_is_not_asked_for(
    parts: Running, service: ApplicationService, asking: Queries
) -> None:
    await state_facts(parts, AliasSet(TEA, "!room:localhost", "@alice:localhost"))
    await asking.ensure_alias(parts.homeserver, TEA)
    assert service.received == []


@pytest.mark.parametrize(
    "alias", ["#tea:localhost", "#_irc_tea:elsewhere.example", "_irc_tea", "#_irc_" * 99]
)
async def test_aliases_of_others_are_not_asked_for(
    parts: Running, service: ApplicationService, asking: Queries, alias: str
) -> None:
    await asking.ensure_alias(parts.homeserver, alias)
    assert service.received == []


async def test_only_users_who_are_not_there_are_asked_for(
    parts: Running, service: ApplicationService, asking: Queries
) -> None:
    await state_facts(parts, AccountRegistered("@_irc_bob:localhost", "", 1))
    asked = [
        "@_irc_bob:localhost",
        "@_irc_carol:localhost",
        "@dan:localhost",
        "@_irc_x:elsewhere.example",
        "x",
    ]
    await asking.ensure_users(parts.homeserver, asked)
    assert service.asked_for("users") == ["@_irc_carol:localhost"]


async def test_services_are_asked_until_one_has_made_it(parts: Running, service: ApplicationService) -> None:
    service.respond = unknown
    with application_service() as second, application_service() as third:
        registered = [one.registration(one.url) for one in (service, second, third)]
        async with connections_to(registered) as connections:
            await Queries(connections).ensure_alias(parts.homeserver, TEA)
        asked = [one.asked_for("rooms") for one in (service, second, third)]
    assert asked == [[TEA], [TEA], []]


async def test_an_alias_of_a_service_that_does_not_answer_is_a_timeout(
    parts: Running, service: ApplicationService, asking: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not say that the alias does not exist, which nobody knows."""
    monkeypatch.setattr(queries, "SECONDS_TO_ANSWER", 0.05)
    service.respond = service.hang
    with pytest.raises(MatrixError, match="does not answer") as refused:
        await asking.ensure_alias(parts.homeserver, TEA)
    assert refused.value.kind is ErrorCode.REQUEST_TIMED_OUT


async def test_somebody_can_be_invited_while_the_service_is_down(
    parts: Running, service: ApplicationService, asking: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SECONDS_TO_ANSWER", 0.05)
    service.respond = service.hang
    await asking.ensure_users(parts.homeserver, ["@_irc_carol:localhost"])
    assert service.asked_for("users") == ["@_irc_carol:localhost"]


class Busy:
    """Answers nobody before the gate is opened, and counts how many wait for it at the same time."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, _: Received) -> Reply:
        self._count(1)
        self.gate.wait()
        self._count(-1)
        return Reply()

    def _count(self, change: int) -> None:
        with self._lock:
            self._now += change
            self.most = max(self.most, self._now)


async def test_a_service_has_few_queries_before_it(
    parts: Running, service: ApplicationService, asking: Queries
) -> None:
    """However many people name aliases that nobody has made."""
    service.respond = busy = Busy()
    aliases = [f"#_irc_{n}:localhost" for n in range(3 * queries.AT_ONCE_MAX)]
    asked = asyncio.gather(*(asking.ensure_alias(parts.homeserver, alias) for alias in aliases))
    await asyncio.to_thread(service.wait_until, lambda: len(service.received) >= queries.AT_ONCE_MAX)
    busy.gate.set()
    await asked
    assert sorted(service.asked_for("rooms")) == sorted(aliases)
    assert busy.most == queries.AT_ONCE_MAX


async def test_an_older_service_is_asked_on_its_path(
    parts: Running, service: ApplicationService, asking: Queries
) -> None:
    service.respond = lambda request: Reply(404 if request.path.startswith("/_matrix") else 200)
    await asking.ensure_alias(parts.homeserver, TEA)
    assert [request.path for request in service.received] == [
        "/_matrix/app/v1/rooms/%23_irc_tea%3Alocalhost",
        "/rooms/%23_irc_tea%3Alocalhost",
    ]


@pytest.mark.parametrize(
    ("answer", "knows_path"),
    [
        (Answer(200, b""), True),
        (Answer(404, b'{"errcode":"M_UNRECOGNIZED"}'), False),
        (Answer(405, b'{"errcode":"M_UNRECOGNIZED"}'), False),
        (Answer(404, b"Not Found"), False),
        (Answer(404, b'["M_NOT_FOUND"]'), False),
        (Answer(404, b'{"errcode":"M_NOT_FOUND"}'), True),
        (Answer(404, b'{"errcode":"ORG.EXAMPLE_NO_SUCH_CHANNEL"}'), True),
        (Answer(500, b'{"errcode":"M_UNRECOGNIZED"}'), True),
    ],
)
async def test_only_an_unknown_path_leads_to_the_older_one(answer: Answer, knows_path: bool) -> None:
    assert answer.knows_path is knows_path


async def test_where_no_service_is_nothing_is_read(parts: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.homeserver.views, "read", None)
    await Queries().ensure_alias(parts.homeserver, TEA)
    await Queries().ensure_users(parts.homeserver, ["@_irc_carol:localhost"])


async def test_a_ping_is_passed_on(service: ApplicationService, asking: Queries) -> None:
    duration_ms = await asking.ping(service.registration(), "meow")
    assert duration_ms >= 0
    [received] = service.received
    assert (received.method, received.target) == ("POST", "/_matrix/app/v1/ping")
    assert received.body == b'{"transaction_id":"meow"}'


@pytest.mark.parametrize(
    ("respond", "kind"),
    [
        (lambda _: lambda _: Reply(404, b"x"), ErrorCode.BAD_STATUS),
        (lambda service: service.hang, ErrorCode.CONNECTION_TIMEOUT),
    ],
    ids=["bad status", "timeout"],
)
async def test_a_failed_ping_says_how(
    service: ApplicationService,
    asking: Queries,
    monkeypatch: pytest.MonkeyPatch,
    respond: Any,
    kind: ErrorCode,
) -> None:
    monkeypatch.setattr(queries, "SECONDS_TO_ANSWER", 0.2)
    service.respond = respond(service)
    with pytest.raises(MatrixError) as refused:
        await asking.ping(service.registration(), None)
    assert refused.value.kind is kind
    assert len(service.received) == 1


async def test_a_ping_of_nobody_says_so() -> None:
    with application_service() as gone:
        registration = gone.registration()
    async with connections_to([registration]) as connections:
        with pytest.raises(MatrixError) as refused:
            await Queries(connections).ping(registration, None)
    assert refused.value.kind is ErrorCode.CONNECTION_FAILED


async def test_a_service_without_address_has_no_ping(service: ApplicationService) -> None:
    with pytest.raises(MatrixError) as refused:
        await Queries().ping(service.registration(url=None), None)
    assert refused.value.kind is ErrorCode.URL_NOT_SET
