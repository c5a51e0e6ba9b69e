"""How a decision makes events: each follows the room's last one and must pass the auth rules.

A draft is a room as one decision sees it: the stored state, with the events laid over it that the
decision has added so far. So the events of a createRoom are checked one against the other although
none of them is anywhere yet. With one writer a room's events form a line, and state resolution has
nothing to resolve.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from projections import state, timeline
from projections.computed import computed
from projections.events import Event
from projections.facts import RoomEvent, Transaction
from projections.pruning import keeps_nothing
from projections.room_versions import RoomVersion
from projections.row_memory import RowMemory
from projections.timeline import Tip
from projections.view import View
from server.errors import ErrorCode, MatrixError
from server.rooms import canonical_json
from server.rooms.auth_rules import StateKey, auth_event_keys, authorise, looks_at_content
from server.rooms.event_format import MessageForm, Sealed, seal_event
from server.rooms.power_levels import PowerLevels
from server.writer import Turn

_FORMS: Final = RowMemory(16_384)
"""The forms of messages, by the room's state, the sender and the type, for those that were allowed.

Whether a message is allowed depends on these alone. Looking at the state and asking the rules anew took 11
of the 40 µs that the decision to send took.
"""


class Standing(NamedTuple):
    """The event that is state under a key."""

    event_id: str
    event: Event


class RoomState:
    """The current state of a room, read key by key when asked for, with later events laid over it."""

    def __init__(self, view: View, room_id: str, version: RoomVersion) -> None:
        self.version = version
        self._view = view
        self._room_id = room_id
        self._known: dict[StateKey, Standing | None] = {}

    def get(self, at: StateKey, /) -> Event | None:
        found = self.standing(at)
        return None if found is None else found.event

    def lay_over(self, fact: RoomEvent) -> None:
        if fact.event.state_key is not None:
            self._known[fact.event.type, fact.event.state_key] = Standing(fact.event_id, fact.event)

    def standing(self, at: StateKey) -> Standing | None:
        if at not in self._known:
            stored = state.state_event(self._view, self._room_id, *at)
            self._known[at] = None if stored is None else Standing(stored.event_id, stored.event)
        return self._known[at]


class RoomDraft:
    """A room and the events that a decision is about to add to it."""

    def __init__(self, turn: Turn, room_id: str, version: RoomVersion | None, tip: Tip | None) -> None:
        """`room_id` is empty for a new room whose id will be the hash of its create event.

        `version` is `None` for a room that exists: it is found when it is asked for.
        """
        self.turn = turn
        self.room_id = room_id
        self.facts: list[RoomEvent] = []
        self._version = version
        self._last_event_ids = () if tip is None else (tip.event_id,)
        self._depth = 0 if tip is None else tip.depth

    @computed
    def version(self) -> RoomVersion:
        return self._version or timeline.version_of(self.turn.view, self.room_id)

    @computed
    def state(self) -> RoomState:
        return RoomState(self.turn.view, self.room_id, self.version)

    def add(
        self,
        event_type: str,
        sender: str,
        content: Mapping[str, Any],
        *,
        state_key: str | None = None,
        redacts: str | None = None,
        transaction: Transaction | None = None,
    ) -> RoomEvent:
        """Make the next event of the room. Raises `MatrixError` if it is malformed or not allowed.

        `redacts` is what a redaction takes back; where it stands is up to the room's version.
        """
        if redacts is not None:
            content = {**content, "redacts": redacts}
        canonical_json.check(content)
        if event_type == "m.room.redaction" and state_key is not None:
            # Who may redact what is asked of messages only; as state it would redact past that.
            raise MatrixError(ErrorCode.INVALID_PARAM, "A redaction is sent; it cannot be set as state.")
        asked = None if redacts is not None else self._asked(event_type, sender, state_key)
        form: MessageForm | None = None if asked is None else _FORMS.rows.get(asked)
        if form is not None:
            fact = self._message(form, content, transaction)
        else:
            fact = self._event(event_type, sender, content, state_key, redacts, transaction)
            if asked is not None and keeps_nothing(event_type, self.version):
                made = fact.event
                _FORMS.remember(asked, MessageForm(event_type, sender, made.room_id, made.auth_events))
        self.facts.append(fact)
        self.room_id = fact.room_id
        self._last_event_ids = (fact.event_id,)
        self._depth += 1
        return fact

    def _asked(self, event_type: str, sender: str, state_key: str | None) -> tuple[str, str, str] | None:
        """Under what `_FORMS` may know a form; `None` if it depends on anything else."""
        if state_key is not None or self.facts or looks_at_content(event_type):
            return None
        known = state.version_of(self.turn.view, self.room_id)
        # `None` for a room that the views have not seen, and for every other such room.
        return None if known is None else (known, sender, event_type)

    def _message(
        self, form: MessageForm, content: Mapping[str, Any], transaction: Transaction | None
    ) -> RoomEvent:
        encoded, depth, now = canonical_json.encode(content), self._depth + 1, self.turn.now
        sealed = form.seal(encoded, depth, now, self._last_event_ids)
        fact = RoomEvent(sealed.event_id, sealed.stored, transaction)
        # What decoding the stored event would make of it.
        fact.__dict__["room_id"] = form.room_id
        fact.__dict__["event"] = Event(
            form.event_type,
            form.sender,
            now,
            msgspec.Raw(encoded),
            form.room_id,
            None,
            depth,
            form.auth_events,
            self._last_event_ids,
        )
        return fact

    def _event(
        self,
        event_type: str,
        sender: str,
        content: Mapping[str, Any],
        state_key: str | None,
        redacts: str | None,
        transaction: Transaction | None,
    ) -> RoomEvent:
        keys = auth_event_keys(event_type, sender, state_key, content, self.version)
        auth_events = [found.event_id for at in keys if (found := self.state.standing(at)) is not None]
        sealed = self._seal(self._fields(event_type, sender, content, state_key, redacts, auth_events))
        fact = RoomEvent(sealed.event_id, sealed.stored, transaction)
        authorise(fact.event, self.state, self.version)
        self.state.lay_over(fact)
        return fact

    def _fields(
        self,
        event_type: str,
        sender: str,
        content: Mapping[str, Any],
        state_key: str | None,
        redacts: str | None,
        auth_events: list[str],
    ) -> dict[str, Any]:
        """All keys of the stored event but its hashes."""
        fields: dict[str, Any] = {
            "auth_events": auth_events,
            "content": content,
            "depth": self._depth + 1,
            "origin_server_ts": self.turn.now,
            "prev_events": self._last_event_ids,
            "sender": sender,
            "type": event_type,
        }
        if self.room_id:
            fields["room_id"] = self.room_id
        if state_key is not None:
            fields["state_key"] = state_key
        if redacts is not None and not self.version.redacts_is_in_content:
            fields["content"] = {name: value for name, value in content.items() if name != "redacts"}
            fields["redacts"] = redacts
        return fields

    def _seal(self, fields: dict[str, Any]) -> Sealed:
        """The event; what gives a room its id is later by a millisecond for each one that would be the same.

        Otherwise two equal requests of one user in one millisecond would make one room, twice.
        """
        sealed = seal_event(fields, self.version)
        while not self.room_id and timeline.event_by_id(self.turn.view, sealed.event_id) is not None:
            fields["origin_server_ts"] += 1
            sealed = seal_event(fields, self.version)
        return sealed


def levels_in(state: RoomState) -> PowerLevels:
    """The power levels of a room that exists."""
    create, levels = state.get(("m.room.create", "")), state.get(("m.room.power_levels", ""))
    if create is None:
        raise LookupError("the room has no create event")
    return PowerLevels(None if levels is None else levels.content, create, state.version)


def draft_of(turn: Turn, room_id: str, *, if_unknown: str = "You are not in this room.") -> RoomDraft:
    """The room as it is now.

    An unknown room is refused in the words in which a private one would be: nobody learns which exist.
    """
    tip = timeline.tip(turn.view, room_id)
    if tip is None:
        raise MatrixError(ErrorCode.FORBIDDEN, if_unknown)
    return RoomDraft(turn, room_id, None, tip)
