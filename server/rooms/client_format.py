"""What an event looks like to a client: today's form, and the form of 2015, from one stored event.

What depends on who asks and when (`age`, the transaction id, what was replaced, the redaction) is put
beside the stored keys when answering and never stored.

What somebody sent who asked to be erased is shown pruned to whoever joined the room after that.

Where: client-server API, "Room event format", "Account deactivation"; the 2015 form has the same values on
the top level, and the sender as `user_id`.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from projections import erasures, state, timeline
from projections.facts import Order
from projections.pruning import prune_stored
from projections.sessions import Session
from projections.timeline import TimelineEvent
from projections.view import View
from server.rooms.visibility import Visibility

_COPIED_TO_TOP = ("age", "prev_content", "replaces_state", "redacted_because", "invite_room_state")

_STRIPPED_STATE = (
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
)


class ClientFormat:
    """Renders events for one reader at one moment, from one view."""

    def __init__(self, view: View, session: Session, now: int, *, legacy: bool) -> None:
        """`legacy`: a superset of today's form with what clients of 2015 look for."""
        self._view = view
        self._session = session
        self._now = now
        self._legacy = legacy
        self._visibilities: dict[str, Visibility] = {}
        self._erasures: dict[str, Order | None] = {}

    def visibility(self, room_id: str) -> Visibility:
        """What the reader may see of a room; read once for all events of it."""
        if room_id not in self._visibilities:
            self._visibilities[room_id] = Visibility(self._view, room_id, self._session.user_id)
        return self._visibilities[room_id]

    def event(
        self, found: TimelineEvent, *, with_room_id: bool = True, with_redaction: bool = True
    ) -> dict[str, Any]:
        event = self._without_erased(found).event
        shown: dict[str, Any] = {
            "content": event.raw_content,
            "event_id": found.event_id,
            "origin_server_ts": event.origin_server_ts,
            "sender": event.sender,
            "type": event.type,
        }
        if with_room_id:
            shown["room_id"] = found.room_id
        if event.state_key is not None:
            shown["state_key"] = event.state_key
        if event.type == "m.room.redaction" and event.redacts is not None:
            # In one place or the other by room version; shown in both so that every client finds it.
            shown["redacts"] = event.redacts
            shown["content"] = {**event.content, "redacts": event.redacts}
        unsigned = self._unsigned(found, with_redaction)
        shown["unsigned"] = unsigned
        if self._legacy:
            shown["user_id"] = event.sender
            if event.type == "m.room.member":
                shown["membership"] = event.content.get("membership")
            shown |= {name: unsigned[name] for name in _COPIED_TO_TOP if name in unsigned}
        return shown

    def events(self, found: Iterable[TimelineEvent], *, with_room_id: bool = True) -> list[dict[str, Any]]:
        return [self.event(one, with_room_id=with_room_id) for one in found]

    def stored_event(self, found: TimelineEvent) -> dict[str, Any]:
        """The event as it is stored and hashed, and beside that what servers do not send each other."""
        stored = msgspec.json.decode(self._without_erased(found).stored, type=dict[str, msgspec.Raw])
        return {**stored, "event_id": found.event_id, "unsigned": self._unsigned(found, with_redaction=True)}

    def _without_erased(self, found: TimelineEvent) -> TimelineEvent:
        """The event, pruned if its sender was erased before the reader first came into the room.

        State is the room's: what somebody has called it stays. Only what they said of themselves goes.
        """
        event = found.event
        if event.state_key is not None and (event.type, event.state_key) != ("m.room.member", event.sender):
            return found
        if event.sender not in self._erasures:
            self._erasures[event.sender] = erasures.erased_at(self._view, event.sender)
        erased_at = self._erasures[event.sender]
        if erased_at is None or self.visibility(found.room_id).joined_between(0, erased_at):
            return found
        version = timeline.version_of(self._view, found.room_id)
        return msgspec.structs.replace(found, stored=prune_stored(found.stored, version))

    def _unsigned(self, found: TimelineEvent, with_redaction: bool) -> dict[str, Any]:
        visibility = self.visibility(found.room_id)
        unsigned: dict[str, Any] = {
            "age": max(0, self._now - found.event.origin_server_ts),
            "membership": visibility.membership_at(found.order),
        }
        replaced = state.replaced_by(self._view, found)
        if replaced is not None:
            unsigned["replaces_state"] = replaced.event_id
            if visibility.sees(replaced):
                unsigned["prev_content"] = self._without_erased(replaced).event.raw_content
        if found.redacted_by and with_redaction:
            redaction = timeline.event_at(self._view, found.redacted_by)
            # Without what redacted the redaction: a chain of them may be longer than recursion can go.
            unsigned["redacted_because"] = self.event(redaction, with_redaction=False)
        if found.transaction_id and (found.event.sender, found.device_id) == (
            self._session.user_id,
            self._session.device_id,
        ):
            unsigned["transaction_id"] = found.transaction_id
        if self._legacy and _is_invite(found):
            unsigned["invite_room_state"] = stripped_state(self._view, found)
        return unsigned


def stripped_state(view: View, invite: TimelineEvent) -> list[dict[str, Any]]:
    """What somebody who is not in the room may know of it: a few state events, in their barest form.

    With the invite itself, in which clients find who invited them.
    Where: client-server API, "Stripped state".
    """
    known = [
        state.state_event(view, invite.room_id, event_type, "", at=invite.order)
        for event_type in _STRIPPED_STATE
    ]
    return [_stripped(found) for found in (*known, invite) if found is not None]


def _stripped(found: TimelineEvent) -> dict[str, msgspec.Raw | str | None]:
    event = found.event
    return {
        "content": event.raw_content,
        "sender": event.sender,
        "state_key": event.state_key,
        "type": event.type,
    }


def _is_invite(found: TimelineEvent) -> bool:
    return found.event.type == "m.room.member" and found.event.content.get("membership") == "invite"
