"""Which events an application service is told of.

Those of its own users, those about them, and whatever happens in a room that it named, in a room with an
alias of its own, or in a room that one of its users is in *at that event*: what is delivered late, after an
outage, is what would have been delivered in time. Only users of this server can be a service's own, and an
invitation alone does not open a room.

Where: application service API, "Registration".
"""

from collections import OrderedDict

from projections import directory, memberships, state
from projections.facts import Order
from projections.identifiers import split
from projections.memberships import Membership
from projections.timeline import TimelineEvent
from projections.view import View
from server.appservices.registration import AppService

ROOMS_REMEMBERED_MAX = 10_000


class Interest:
    """Of one service, in events that come in the order of the log, none left out.

    For each room one user of the service who is in it is remembered, or that there is none; only their own
    member events can change that. So the members of a room are looked through once, not at every event:
    10,000 of them take 13 ms.
    """

    def __init__(self, service: AppService, server_name: str) -> None:
        self._service = service
        self._server_name = server_name
        self._sender = service.sender(server_name)
        self._present: OrderedDict[str, str | None] = OrderedDict()

    def concerns(self, view: View, found: TimelineEvent) -> bool:
        event = found.event
        target = event.state_key if event.type == "m.room.member" else None
        if target is not None and self._is_own(target):
            self._follow(found.room_id, target, is_joined=event.content.get("membership") == "join")
            return True
        return (
            self._is_own(event.sender)
            or self._service.is_interested_in("rooms", found.room_id)
            or self._has_named(view, found.room_id)
            or self._is_present(view, found.room_id, found.order)
        )

    def _is_own(self, user_id: str) -> bool:
        if user_id == self._sender:
            return True
        return split(user_id)[1] == self._server_name and self._service.is_interested_in("users", user_id)

    def _has_named(self, view: View, room_id: str) -> bool:
        if not self._service.namespaces.aliases:
            return False
        aliases = directory.aliases_of_room(view, room_id)
        return any(self._service.is_interested_in("aliases", alias) for alias in aliases)

    def _is_present(self, view: View, room_id: str, order: Order) -> bool:
        if room_id in self._present:
            self._present.move_to_end(room_id)
        else:
            self._present[room_id] = self._someone_in(view, room_id, order)
            if len(self._present) > ROOMS_REMEMBERED_MAX:
                self._present.popitem(last=False)
        return self._present[room_id] is not None

    def _follow(self, room_id: str, user_id: str, *, is_joined: bool) -> None:
        if room_id not in self._present:
            return
        known = self._present[room_id]
        if is_joined and known is None:
            self._present[room_id] = user_id
        elif not is_joined and known == user_id:
            del self._present[room_id]  # somebody else may still be there

    def _someone_in(self, view: View, room_id: str, order: Order) -> str | None:
        """A user of the service who was in the room as of an order."""
        sender = memberships.membership_of(view, room_id, self._sender)
        if sender is not None and _was_joined(view, sender, order):
            return self._sender
        if not self._service.namespaces.users:
            return None
        return next(
            (
                known.user_id
                for known in memberships.members(view, room_id)
                if self._is_own(known.user_id) and _was_joined(view, known, order)
            ),
            None,
        )


def _was_joined(view: View, known: Membership, order: Order) -> bool:
    if known.order <= order:
        return known.membership == "join"
    then = state.state_event(view, known.room_id, "m.room.member", known.user_id, at=order)
    return then is not None and then.event.content.get("membership") == "join"
