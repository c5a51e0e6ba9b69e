"""Who may read an event: decided by the state of the room at that event, not by the state now.

Where: client-server API, "Room history visibility". The two histories that decide (the setting, and the
reader's own membership) are short; they are read once, and each event is then a matter of two bisections.
Nearly everybody who reads is in the room, and reads what came since they joined: that is known without them.
"""

from bisect import bisect_right

from projections import memberships, state, timeline
from projections.computed import computed
from projections.facts import Order
from projections.timeline import TimelineEvent
from projections.view import View
from server.errors import ErrorCode, MatrixError

_SETTINGS = ("world_readable", "shared", "invited", "joined")
_DEFAULT = "shared"
_NEVER: Order = state.LATEST + 1


class Visibility:
    """What one reader may see of one room."""

    def __init__(self, view: View, room_id: str, user_id: str) -> None:
        """To be asked while the view may be looked at."""
        self._view, self._room_id, self._user_id = view, room_id, user_id
        known = memberships.membership_of(view, room_id, user_id)
        self._joined_since: Order = known.order if known and known.membership == "join" else _NEVER
        """By the last member event; the reader may have been in the room before it, too."""
        self._is_forgotten = known is not None and known.is_forgotten
        """To who forgot a room it is as if they had never been in it."""

    @computed
    def _settings(self) -> tuple[list[Order], list[str]]:
        found = list(state.history(self._view, self._room_id, "m.room.history_visibility", ""))
        return [one.order for one in found], [_setting_in(one) for one in found]

    @computed
    def _own(self) -> tuple[list[Order], list[str]]:
        if self._is_forgotten:
            return [], []
        found = list(state.history(self._view, self._room_id, "m.room.member", self._user_id))
        return [one.order for one in found], [str(one.event.content.get("membership")) for one in found]

    def sees(self, found: TimelineEvent) -> bool:
        """At an event that changes one of the two, the reader gets the better of before and after."""
        own = {self.membership_at(found.order)}
        if "join" in own:
            return True
        settings = {self.setting_at(found.order)}
        if found.event.type == "m.room.history_visibility":
            settings.add(self.setting_at(found.order - 1))
        elif found.event.type == "m.room.member" and found.event.state_key == self._user_id:
            own.add(self.membership_at(found.order - 1))
        return any(self._allows(s, m, found.order) for s in settings for m in own)

    def setting_at(self, order: Order) -> str:
        orders, settings = self._settings
        index = bisect_right(orders, order)
        return settings[index - 1] if index else _DEFAULT

    def membership_at(self, order: Order) -> str:
        """As of an event, that event included."""
        if order >= self._joined_since:
            return "join"
        orders, own = self._own
        index = bisect_right(orders, order)
        return own[index - 1] if index else "leave"

    def joined_between(self, after: Order, until: Order) -> bool:
        """Was the reader in the room at any moment between two orders, the first one excluded?"""
        if self.membership_at(after) == "join":
            return True
        orders, own = self._own
        return "join" in own[bisect_right(orders, after) : bisect_right(orders, until)]

    def left_at(self, as_of: Order = state.LATEST) -> Order | None:
        """The event by which the reader left after having been in the room last.

        `None` for who never was in it, and for who is in it.
        """
        was_in = False
        left_at = None
        for order, membership in zip(*self._own, strict=True):
            if order > as_of:
                break
            if membership == "join":
                was_in, left_at = True, None
            elif was_in and left_at is None:
                left_at = order
        return left_at

    def _allows(self, setting: str, membership: str, order: Order) -> bool:
        if setting == "world_readable" or membership == "join":
            return True
        if setting == "shared":
            return "join" in self._own_after(order)
        return setting == "invited" and membership == "invite"

    def _own_after(self, order: Order) -> list[str]:
        orders, own = self._own
        return own[bisect_right(orders, order) :]


def _setting_in(found: TimelineEvent) -> str:
    setting = found.event.content.get("history_visibility")
    return setting if setting in _SETTINGS else _DEFAULT


def readable_until(view: View, room_id: str, user_id: str) -> Order:
    """As of which order the reader sees the room's state: the latest, or that of their leave.

    Raises `MatrixError` FORBIDDEN for who never was in the room, unless anybody may read it.
    """
    if may_follow(view, room_id, user_id):
        return state.LATEST
    left_at = Visibility(view, room_id, user_id).left_at()
    if left_at is None:  # invited, or knocking, is not enough
        raise MatrixError(ErrorCode.FORBIDDEN, "You are not in this room.")
    return left_at


def readable_as_of(view: View, room_id: str, user_id: str, at: Order) -> Order:
    """The same for the state as it was at an order, or at the reader's leave if that was before.

    Raises `MatrixError` FORBIDDEN also where the reader does not see what happened in the room then.
    """
    until = min(readable_until(view, room_id, user_id), at)
    last = next(timeline.events_in_room(view, room_id, after=0, before=until + 1, backwards=True), None)
    if last is not None and not Visibility(view, room_id, user_id).sees(last):
        raise MatrixError(ErrorCode.FORBIDDEN, "You may not see the room as it was then.")
    return until


def may_follow(view: View, room_id: str, user_id: str) -> bool:
    """Does the reader see what happens in the room now, as somebody who is in it or as anybody may?"""
    if memberships.is_joined(view, room_id, user_id):
        return True
    found = state.state_event(view, room_id, "m.room.history_visibility", "")
    return found is not None and _setting_in(found) == "world_readable"


def visible_event(view: View, event_id: str, user_id: str, *, room_id: str | None = None) -> TimelineEvent:
    """An event by its id, of one room if that is named.

    Raises `MatrixError` NOT_FOUND, which does not tell an event that is not there from one that the reader
    may not see.
    """
    found = timeline.event_by_id(view, event_id)
    if (
        found is None
        or found.room_id != (room_id or found.room_id)
        or not Visibility(view, found.room_id, user_id).sees(found)
    ):
        raise MatrixError(ErrorCode.NOT_FOUND, "There is no such event, or you may not see it.")
    return found
