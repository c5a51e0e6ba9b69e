"""Who is woken: those whom an entry concerns, every one of them, and nobody else."""

import asyncio
from collections.abc import Iterator

import pytest

from projections.facts import AccountRegistered, Fact
from server.sync import audience as module
from server.sync.audience import Audience
from tests.harness.local_homeserver import fast_directory
from tests.projections.folding import ALICE, BOB, OTHER_ROOM, ROOM, Folding, created, member, room_event

pytestmark = pytest.mark.anyio

LONG = 60


class House:
    """Views and an audience that hear of the same entries, as the writer lets them."""

    def __init__(self, folding: Folding) -> None:
        self._folding = folding
        self.audience = Audience(folding.views, folding.head)

    def entry(self, *facts: Fact) -> None:
        self._folding.entry(*facts)
        self.audience.hear(self._folding.head, facts)

    @property
    def head(self) -> int:
        return self.audience.head

    async def waiting(self, user_id: str, *, after: int | None = None) -> "asyncio.Task[None]":
        """Somebody who has begun to wait for what comes after an entry, or after the last one."""
        place = self.head if after is None else after
        task = asyncio.create_task(self.audience.wait(user_id, after=place, seconds=LONG))
        await asyncio.sleep(0)
        return task


@pytest.fixture
def house() -> Iterator[House]:
    """Alice is in one room, Bob in another."""
    with fast_directory() as directory:
        folding = Folding(directory)
        folding.entry(created(), member("$alice", ALICE, "join"))
        folding.entry(created(OTHER_ROOM, event_id="$other"), member("$bob", BOB, "join", room_id=OTHER_ROOM))
        yield House(folding)
        folding.views.abandon()


async def woken(*tasks: "asyncio.Task[None]") -> list[bool]:
    """Who of these has stopped waiting, once whoever was told to has had the time to."""
    for _ in range(3):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_an_event_wakes_who_is_in_the_room(house: House) -> None:
    alice, bob = await house.waiting(ALICE), await house.waiting(BOB)
    house.entry(room_event("$1"))
    assert await woken(alice, bob) == [True, False]
    house.entry(room_event("$2", room_id=OTHER_ROOM))
    assert await woken(bob) == [True]


async def test_all_polls_of_a_user_are_woken(house: House) -> None:
    polls = [await house.waiting(ALICE) for _ in range(3)]
    house.entry(room_event("$1"))
    assert await woken(*polls) == [True] * 3


@pytest.mark.parametrize("membership", ["join", "invite", "leave", "ban", "knock"])
async def test_ones_own_membership_wakes(house: House, membership: str) -> None:
    bob = await house.waiting(BOB)
    house.entry(member("$1", BOB, membership))
    assert await woken(bob) == [True]


async def test_who_joins_hears_of_the_room_from_then_on(house: House) -> None:
    house.audience.follow(BOB)
    house.entry(member("$1", BOB, "join"))
    bob = await house.waiting(BOB)
    house.entry(room_event("$2"))
    assert await woken(bob) == [True]


async def test_who_leaves_hears_of_the_room_no_more(house: House) -> None:
    house.audience.follow(ALICE)
    house.entry(member("$1", ALICE, "leave"))
    alice = await house.waiting(ALICE)
    house.entry(room_event("$2", sender=BOB))
    assert await woken(alice) == [False]
    alice.cancel()


async def test_an_invitation_is_no_membership(house: House) -> None:
    house.audience.follow(BOB)
    house.entry(member("$1", BOB, "invite"))
    bob = await house.waiting(BOB)
    house.entry(room_event("$2"))
    assert await woken(bob) == [False]
    bob.cancel()


async def test_what_concerns_no_room_wakes_nobody(house: House) -> None:
    alice = await house.waiting(ALICE)
    house.entry(AccountRegistered("@carol:localhost", "", 0))
    assert await woken(alice) == [False]
    assert house.head == 3
    alice.cancel()


async def test_what_came_before_the_waiting_is_not_missed(house: House) -> None:
    """Between the reading of an answer without news and the waiting for some, there may have been some."""
    house.audience.follow(ALICE)
    place = house.head
    house.entry(room_event("$1"))
    assert await woken(await house.waiting(ALICE, after=place)) == [True]


async def test_the_time_runs_out(house: House) -> None:
    await asyncio.wait_for(house.audience.wait(ALICE, after=house.head, seconds=0.001), LONG)


async def test_one_poll_too_many_ends_the_oldest(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_PER_USER_MAX", 2)
    polls = [await house.waiting(ALICE) for _ in range(3)]
    assert await woken(*polls) == [True, False, False]
    house.entry(room_event("$1"))
    assert await woken(*polls) == [True, True, True]


async def test_a_client_that_goes_leaves_nothing_behind(house: House) -> None:
    gone = await house.waiting(ALICE)
    gone.cancel()
    await woken(gone)
    staying = await house.waiting(ALICE)
    house.entry(room_event("$1"))
    assert await woken(staying) == [True]


async def test_who_was_forgotten_is_read_anew(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOWERS_MAX", 1)
    house.audience.follow(ALICE)
    house.audience.follow(BOB)  # one too many: Alice is forgotten
    place = house.head
    house.entry(room_event("$1"))
    alice = await house.waiting(ALICE, after=place)
    assert await woken(alice) == [True]


async def test_who_waits_is_not_forgotten(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOWERS_MAX", 1)
    alice = await house.waiting(ALICE)
    house.audience.follow(BOB)
    house.entry(room_event("$1"))
    assert await woken(alice) == [True]


async def test_the_end_ends_all_waiting(house: House) -> None:
    polls = [await house.waiting(user_id) for user_id in (ALICE, BOB)]
    house.audience.close()
    assert await woken(*polls) == [True, True]
    assert await woken(await house.waiting(ALICE)) == [True]


async def test_rooms_with_news_are_those_of_later_entries(house: House) -> None:
    house.entry(member("$come", ALICE, "join", room_id=OTHER_ROOM))
    before = house.head
    house.entry(room_event("$1", room_id=ROOM))
    house.entry(room_event("$2", room_id=OTHER_ROOM))
    known = [house.audience.rooms_with_news(ALICE, before + more) for more in range(3)]
    assert known == [{ROOM, OTHER_ROOM}, {OTHER_ROOM}, set()]
    house.entry(room_event("$3", room_id=ROOM))
    known = [house.audience.rooms_with_news(ALICE, before + more) for more in (1, 2)]
    assert known == [{ROOM, OTHER_ROOM}, {ROOM}]


async def test_rooms_of_others_have_no_news(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(room_event("$1", room_id=ROOM))
    house.entry(room_event("$2", room_id=OTHER_ROOM))
    assert house.audience.rooms_with_news(ALICE, before) == {ROOM}


async def test_a_room_that_was_left_has_no_news(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(room_event("$1"))
    house.entry(member("$gone", ALICE, "leave"))
    assert house.audience.rooms_with_news(ALICE, before) == set()


async def test_news_from_before_the_start_are_not_known(house: House) -> None:
    start = house.head
    assert house.audience.rooms_with_news(ALICE, start - 1) is None
    assert house.audience.rooms_with_news(ALICE, start) == set()


async def test_news_of_so_many_rooms_are_known_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOMS_WITH_NEWS_MAX", 1)
    house.entry(member("$come", ALICE, "join", room_id=OTHER_ROOM))
    before = house.head
    house.entry(room_event("$1", room_id=ROOM))
    house.entry(room_event("$2", room_id=OTHER_ROOM))
    assert house.audience.rooms_with_news(ALICE, before) is None
    assert house.audience.rooms_with_news(ALICE, before + 1) == {OTHER_ROOM}


async def test_who_is_not_concerned_has_no_news(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(room_event("$1", room_id=OTHER_ROOM))
    assert not house.audience.may_have_news(ALICE, before)
    house.entry(room_event("$2", room_id=ROOM))
    assert house.audience.may_have_news(ALICE, before)
    assert not house.audience.may_have_news(ALICE, house.head)


async def test_an_invite_is_news(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(member("$invite", ALICE, "invite", room_id=OTHER_ROOM))
    assert house.audience.may_have_news(ALICE, before)


async def test_who_did_not_follow_yet_may_have_missed_something(house: House) -> None:
    assert house.audience.may_have_news(ALICE, house.head - 1)
    assert not house.audience.may_have_news(ALICE, house.head)


async def test_who_comes_or_goes_has_moved(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(room_event("$1"))
    assert not house.audience.may_have_moved(ALICE, before)
    house.entry(member("$invite", ALICE, "invite", room_id=OTHER_ROOM))
    house.entry(room_event("$2"))
    assert house.audience.may_have_moved(ALICE, before)
    assert not house.audience.may_have_moved(ALICE, house.head - 1)


async def test_others_do_not_move_anybody(house: House) -> None:
    house.audience.follow(ALICE)
    before = house.head
    house.entry(member("$come", BOB, "join"))
    assert not house.audience.may_have_moved(ALICE, before)


async def test_who_did_not_follow_yet_may_have_moved(house: House) -> None:
    assert house.audience.may_have_moved(ALICE, house.head - 1)
