"""How passwords are hashed, and that an answer does not tell which names there are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from server.app import ROUTES, running
from server.config import Config
from server.http.application import Application
from server.http.context import Context
from server.http.limits import RateLimits
from server.rate_limits import Limits
from server.sync.audience import Audience
from server.users.passwords import hash_password, is_password
from server.users.registration import Register, register
from tests.harness.client import PASSWORD, V3

pytestmark = pytest.mark.anyio


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every hash that a password is checked against, and every one that is made, as it happens."""
    hashes: list[str] = []
    verify, make = PasswordHasher.verify, PasswordHasher.hash

    def verify_and_count(self: PasswordHasher, hash: str, password: str) -> bool:  # noqa: A002 - as it is named
        hashes.append(hash)
        return verify(self, hash, password)

    def make_and_count(self: PasswordHasher, password: str) -> str:
        made = make(self, password)
        hashes.append(made)
        return made

    monkeypatch.setattr(PasswordHasher, "verify", verify_and_count)
    monkeypatch.setattr(PasswordHasher, "hash", make_and_count)
    return hashes


async def test_hashes_have_the_recommended_parameters() -> None:
    """RFC 9106, section 4, the second recommended option; more than OWASP's least."""
    found = extract_parameters(await hash_password(PASSWORD))
    assert (found.type, found.memory_cost, found.time_cost, found.parallelism) == (Type.ID, 64 * 1024, 3, 4)
    assert (found.salt_len, found.hash_len) == (128 // 8, 256 // 8)


async def test_equal_passwords_have_other_hashes() -> None:
    one, other = await asyncio.gather(hash_password(PASSWORD), hash_password(PASSWORD))
    assert one != other
    assert await is_password(one, PASSWORD)
    assert await is_password(other, PASSWORD)


async def test_a_weaker_hash_is_still_checked_by_its_own_parameters() -> None:
    older = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    assert await is_password(older, PASSWORD)
    assert not await is_password(older, "wrong")


@pytest.mark.parametrize("password", ["", "nobody's password", "A" * 43])
async def test_nobody_has_a_password(password: str) -> None:
    assert not await is_password("", password)


async def test_what_is_no_hash_matches_nothing() -> None:
    assert not await is_password("in the clear", "in the clear")


async def test_nobody_costs_what_somebody_costs(checked: list[str]) -> None:
    """The first name after a start that there is not was two hashes' worth; by that it could be told."""
    somebody = await hash_password(PASSWORD)
    checked.clear()
    for password_hash in (somebody, ""):
        await is_password(password_hash, "wrong")
    assert len(checked) == 2
    one, other = map(extract_parameters, checked)
    assert one == other


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application, in this process, with an account of Alice's."""
    config = Config(data=tmp_path)
    async with running(config) as parts:
        await parts.writer.decide(register, Register("alice", await hash_password(PASSWORD), None))
        audience = Audience(parts.homeserver.views, parts.writer.head)
        context = Context(config, parts.homeserver, parts.writer, audience, RateLimits(Limits(is_on=False)))
        transport = httpx.ASGITransport(Application(ROUTES, {"context": context}))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            yield client


@pytest.mark.parametrize(
    "user", ["@alice:localhost", "@nobody:localhost", "nobody", "@alice:elsewhere", "@", ""]
)
@pytest.mark.parametrize("password", ["wrong", "", "x" * 512])
async def test_a_failed_login_is_one_check_whoever_is_named(
    http: httpx.AsyncClient, checked: list[str], user: str, password: str
) -> None:
    """Counted, since time is no property of a test; the words are the same as well."""
    body: dict[str, Any] = {"type": "m.login.password", "user": user, "password": password}
    answer = await http.post(V3 + "/login", json=body)
    assert len(checked) == 1
    assert extract_parameters(checked[0]).memory_cost == 64 * 1024
    assert (answer.status_code, answer.json()) == (
        403,
        {"errcode": "M_FORBIDDEN", "error": "Wrong user name or password."},
    )


@pytest.mark.parametrize("user", ["@alice:localhost", "@nobody:localhost"])
async def test_a_password_nobody_can_have_is_not_checked(
    http: httpx.AsyncClient, checked: list[str], user: str
) -> None:
    body = {"type": "m.login.password", "user": user, "password": "x" * 513}
    assert (await http.post(V3 + "/login", json=body)).status_code == 403
    assert checked == []


def test_nothing_is_served_that_tells_of_forgotten_passwords() -> None:
    """To send a password by post would tell who has an address here, and there is none."""
    assert [route for route in ROUTES if "requestToken" in route.path] == []
