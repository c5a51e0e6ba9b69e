"""Who follows along, and who is waiting: wakes exactly those whom an entry concerns.

Everybody who has polled is remembered with the rooms that they are in, so that a poll costs nothing per
room and an event costs nothing for those whom it does not concern. What is remembered is a cache: it is
bounded, and whoever was forgotten is read anew from the views.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice, takewhile

from eventlog.log import Position
from projections import memberships
from projections.facts import Fact, RoomEvent
from projections.views import Views

FOLLOWERS_MAX = 20_000
"""Users remembered without anybody waiting for them."""
WAITING_PER_USER_MAX = 100
"""Long polls of one user; one more answers the oldest at once."""
PEEKING_PER_ROOM_MAX = 1_000
"""Long polls of people who look at a room without being in it."""
ROOMS_WITH_NEWS_MAX = 4_096
"""Rooms whose last news is remembered."""


class _Waiting:
    """Long polls that the same news ends."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._futures)

    def wake(self) -> None:
        for future in self._futures:
            _end(future)
        self._futures.clear()

    async def wait(self, seconds: float) -> None:
        """Return when there is news, or when the time is up."""
        if len(self._futures) >= self._most:
            _end(self._futures.pop(0))
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            return
        finally:
            if future in self._futures:
                self._futures.remove(future)


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class _Follower:
    def __init__(self, rooms: set[str], news: Position) -> None:
        self.rooms = rooms
        self.news = news
        """The last entry that concerned the user."""
        self.moved = news
        """The last entry that changed a membership of theirs."""
        self.waiting = _Waiting(WAITING_PER_USER_MAX)


class Audience:
    """Told of every entry, in order; used from one event loop."""

    def __init__(self, views: Views, head: Position) -> None:
        self._views = views
        self.head = head
        """The last entry that readers may speak of."""
        self.is_closed = False
        self.waiting = 0
        """Long polls that wait now."""
        self._followers: OrderedDict[str, _Follower] = OrderedDict()
        self._users_in_room: dict[str, set[str]] = {}
        self._peeking: dict[str, _Waiting] = {}
        self._news: OrderedDict[str, Position] = OrderedDict()
        """The last entry of each room; that of the last one stands last."""
        self._news_after = head
        """What came up to here is not among them."""

    def hear(self, position: Position, facts: Sequence[Fact]) -> None:
        """An entry is durable and visible: let those know whom it concerns."""
        self.head = position
        for fact in facts:
            if isinstance(fact, RoomEvent):
                self._hear_event(position, fact)

    def rooms_with_news(self, user_id: str, after: Position) -> set[str] | None:
        """Rooms of a user that had events past an entry; `None` if that is too long ago.

        Those that the user is in now: nothing of what they left or were called into.
        """
        if after < self._news_after:
            return None
        rooms = self._follower(user_id).rooms
        with_news = takewhile(lambda room_id: self._news[room_id] > after, reversed(self._news))
        return {room_id for room_id in with_news if room_id in rooms}

    def follow(self, user_id: str) -> None:
        """From here on no news of the user is missed, whether or not anybody is waiting for it."""
        self._follower(user_id)

    def _follower(self, user_id: str) -> _Follower:
        known = self._followers.get(user_id)
        if known is not None:
            self._followers.move_to_end(user_id)
            return known
        with self._views.read() as view:
            memberships_of_user = memberships.rooms_of(view, user_id)
            rooms = {found.room_id for found in memberships_of_user if found.membership == "join"}
        follower = self._followers[user_id] = _Follower(rooms, self.head)
        for room_id in rooms:
            self._users_in_room.setdefault(room_id, set()).add(user_id)
        self._forget_some()
        return follower

    def may_have_news(self, user_id: str, after: Position) -> bool:
        """`False` if nothing past an entry concerned the user."""
        return self._follower(user_id).news > after

    def may_have_moved(self, user_id: str, after: Position) -> bool:
        """`False` if no membership of the user changed past an entry."""
        return self._follower(user_id).moved > after

    async def wait(self, user_id: str, *, after: Position, seconds: float) -> None:
        """Return when there may be news for the user past `after`, or when the time is up."""
        follower = self._follower(user_id)
        if follower.news > after or self.is_closed:
            return
        await self._wait(follower.waiting, seconds)

    async def wait_for_room(self, room_id: str, *, after: Position, seconds: float) -> None:
        """Return when there may be something new in a room, whoever looks at it."""
        if self.head > after or self.is_closed:
            return
        peeking = self._peeking.setdefault(room_id, _Waiting(PEEKING_PER_ROOM_MAX))
        try:
            await self._wait(peeking, seconds)
        finally:
            if not peeking and self._peeking.get(room_id) is peeking:
                del self._peeking[room_id]

    async def _wait(self, waiting: _Waiting, seconds: float) -> None:
        self.waiting += 1
        try:
            await waiting.wait(seconds)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Answer everybody who waits, and let nobody wait again."""
        self.is_closed = True
        for waiting in (
            *(follower.waiting for follower in self._followers.values()),
            *self._peeking.values(),
        ):
            waiting.wake()

    def _hear_event(self, position: Position, fact: RoomEvent) -> None:
        event, room_id = fact.event, fact.room_id
        self._news[room_id] = position
        self._news.move_to_end(room_id)
        if len(self._news) > ROOMS_WITH_NEWS_MAX:
            _, self._news_after = self._news.popitem(last=False)
        peeking = self._peeking.get(room_id)
        if peeking is not None:
            peeking.wake()
        concerned = self._users_in_room.get(room_id, ())
        for user_id in concerned:
            self._concerns(user_id, position)
        member = event.state_key
        if event.type == "m.room.member" and member is not None and member in self._followers:
            self._concerns(member, position)
            self._moved(member, room_id, position, is_joined=event.content.get("membership") == "join")

    def _concerns(self, user_id: str, position: Position) -> None:
        follower = self._followers[user_id]
        follower.news = position
        follower.waiting.wake()

    def _moved(self, user_id: str, room_id: str, position: Position, *, is_joined: bool) -> None:
        follower = self._followers[user_id]
        follower.moved = position
        if is_joined:
            follower.rooms.add(room_id)
            self._users_in_room.setdefault(room_id, set()).add(user_id)
        else:
            self._leave(user_id, follower, room_id)

    def _leave(self, user_id: str, follower: _Follower, room_id: str) -> None:
        follower.rooms.discard(room_id)
        users = self._users_in_room.get(room_id, set())
        users.discard(user_id)
        if not users:
            self._users_in_room.pop(room_id, None)

    def _forget_some(self) -> None:
        """Drop who polled longest ago, but for those who are waiting now."""
        too_many = len(self._followers) - FOLLOWERS_MAX
        for user_id in list(islice(self._followers, max(0, too_many))):
            follower = self._followers[user_id]
            if not follower.waiting:
                del self._followers[user_id]
                for room_id in list(follower.rooms):
                    self._leave(user_id, follower, room_id)
