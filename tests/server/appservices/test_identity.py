"""The users whom application services are given, and what is whose where namespaces overlap."""

from pathlib import Path

import pytest

from projections import accounts
from server.app import running
from server.appservices.identity import check_may_make, check_may_register
from server.appservices.registration import AppService, Namespace, Namespaces
from server.config import Config
from server.errors import ErrorCode, MatrixError


def service(service_id: str, *users: Namespace) -> AppService:
    return AppService(
        id=service_id,
        url=None,
        as_token=f"as-{service_id}",
        hs_token=f"hs-{service_id}",
        sender_localpart=f"{service_id}-bot",
        namespaces=Namespaces(users=users),
    )


ALL_OF_IRC = service("irc", Namespace("@_irc_.*", exclusive=True))
SOME_OF_IRC = service("some", Namespace("@_irc_some.*", exclusive=False))
SERVICES = (ALL_OF_IRC, SOME_OF_IRC)


def refused_by(user_id: str, maker: AppService | None) -> ErrorCode:
    with pytest.raises(MatrixError) as caught:
        check_may_register(SERVICES, user_id, maker, "localhost")
    return caught.value.kind


@pytest.mark.parametrize("maker", [None, SOME_OF_IRC])
def test_an_exclusive_name_is_one_services_alone(maker: AppService | None) -> None:
    check_may_register(SERVICES, "@_irc_somebody:localhost", ALL_OF_IRC, "localhost")
    assert refused_by("@_irc_somebody:localhost", maker) is ErrorCode.EXCLUSIVE


def test_a_service_may_ask_for_its_own_user() -> None:
    check_may_register(SERVICES, "@irc-bot:localhost", ALL_OF_IRC, "localhost")
    assert refused_by("@some-bot:localhost", ALL_OF_IRC) is ErrorCode.EXCLUSIVE


def test_without_services_everything_is_anybodys() -> None:
    check_may_make((), "users", "@_irc_somebody:localhost", None)


@pytest.mark.anyio
async def test_its_own_user_is_made_once(directory: Path) -> None:
    config = Config(data=directory, appservices=SERVICES)
    async with running(config) as parts:
        head = parts.writer.head
    async with running(config) as parts:
        assert parts.writer.head == head
        with parts.homeserver.views.read() as view:
            known = {account.user_id: account.password_hash for account in accounts.accounts(view)}
    assert known == {"@irc-bot:localhost": "", "@some-bot:localhost": ""}


@pytest.mark.anyio
async def test_a_service_that_comes_later_is_given_its_user(directory: Path) -> None:
    first, both = (
        Config(data=directory, appservices=SERVICES[:1]),
        Config(data=directory, appservices=SERVICES),
    )
    async with running(first):
        pass
    async with running(both) as parts:
        with parts.homeserver.views.read() as view:
            assert accounts.account(view, "@some-bot:localhost") is not None
