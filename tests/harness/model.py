"""Rooms as plain dictionaries: a second, simple implementation of the rules, to hold the server against.

Nothing is shared with the server but the words. Where it looks things up in views, this walks lists; where
it hashes events, this waits to be told their ids (`event_id` is `None` until an answer or a timeline says).

A room is `{"creator", "members", "state", "timeline"}`: memberships by user, state events by (type,
state key), and all events in order. An event is one dictionary that stands in every place where it belongs,
so that a redaction shows in all of them.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Event: TypeAlias = dict[str, Any]
Room: TypeAlias = dict[str, Any]
Content: TypeAlias = dict[str, Any]

INTEGER_MAX = 2**53 - 1
MEMBERSHIPS = ("join", "invite", "leave", "ban", "knock")
SINGLE_LEVELS = {
    "ban": 50,
    "events_default": 0,
    "invite": 0,
    "kick": 50,
    "redact": 50,
    "state_default": 50,
    "users_default": 0,
}
PRESETS = {
    "private_chat": ("invite", "shared", "can_join"),
    "trusted_private_chat": ("invite", "shared", "can_join"),
    "public_chat": ("public", "shared", "forbidden"),
}
KEPT_IN_REDACTED = {
    "m.room.history_visibility": ("history_visibility",),
    "m.room.join_rules": ("allow", "join_rule"),
    "m.room.member": ("join_authorised_via_users_server", "membership"),
    "m.room.power_levels": ("events", "users", *SINGLE_LEVELS),
    "m.room.redaction": ("redacts",),
}


class Refused(Exception):
    """The request is refused with this error code."""

    def __init__(self, errcode: str) -> None:
        super().__init__(errcode)
        self.errcode = errcode


class Model:
    """All rooms and users. Each verb returns the event that the request stands for, or raises `Refused`."""

    def __init__(self) -> None:
        self.users: set[str] = set()
        self.rooms: dict[str, Room] = {}
        self.transactions: dict[tuple[str, ...], Event] = {}
        """What a request made, by (user, device, request, transaction id)."""

    def register(self, user_id: str) -> None:
        if user_id != user_id.lower():
            raise Refused("M_INVALID_USERNAME")
        if user_id in self.users:
            raise Refused("M_USER_IN_USE")
        self.users.add(user_id)

    def send(
        self,
        room_id: str,
        sender: str,
        event_type: str,
        content: Content,
        transaction: tuple[str, ...] | None = None,
    ) -> Event:
        if event_type == "m.room.redaction":
            if not isinstance(content.get("redacts"), str):
                raise Refused("M_MISSING_PARAM")
            return self.redact(room_id, sender, content["redacts"], content, transaction)
        if transaction in self.transactions:
            return self.transactions[transaction]
        room = self._room(room_id)
        event = new_event(event_type, sender, content)
        check(room, event)
        return self._remember(transaction, add(room, event))

    def redact(
        self,
        room_id: str,
        sender: str,
        target_id: str,
        content: Content,
        transaction: tuple[str, ...] | None = None,
    ) -> Event:
        if transaction in self.transactions:
            return self.transactions[transaction]
        room = self._room(room_id)
        redaction = new_event("m.room.redaction", sender, {**content, "redacts": target_id})
        check(room, redaction)
        targets = [event for event in room["timeline"] if event["event_id"] == target_id]
        if not targets:
            raise Refused("M_NOT_FOUND")
        [target] = targets
        if target["sender"] != sender and level_of(room, sender) < single_level(room, "redact"):
            raise Refused("M_FORBIDDEN")
        add(room, redaction)
        prune(target, redaction)
        return self._remember(transaction, redaction)

    def set_state(
        self, room_id: str, sender: str, event_type: str, state_key: str, content: Content
    ) -> Event:
        if event_type == "m.room.member":
            return self.set_member(room_id, sender, state_key, content)
        room = self._room(room_id)
        event = new_event(event_type, sender, content, state_key)
        check(room, event)
        standing: Event | None = room["state"].get((event_type, state_key))
        if standing is not None and standing["sender"] == sender and same(standing["content"], content):
            return standing
        return add(room, event)

    def set_member(self, room_id: str, sender: str, target: str, content: Content) -> Event:
        membership = content.get("membership")
        if membership not in MEMBERSHIPS:
            raise Refused("M_BAD_JSON")
        if not target.startswith("@"):
            raise Refused("M_INVALID_PARAM")
        room = self._room(room_id)
        standing: Event | None = room["state"].get(("m.room.member", target))
        if standing is not None and sender == target and standing["content"]["membership"] == membership:
            has_changed = not same(standing["content"], content)
            if membership == "leave" or (membership == "join" and not has_changed):
                return standing
        event = new_event("m.room.member", sender, content, target)
        check(room, event)
        return add(room, event)

    def leave(self, room_id: str, sender: str, target: str) -> None:
        self.set_member(room_id, sender, target, {"membership": "leave"})

    def ban(self, room_id: str, sender: str, target: str) -> None:
        self.set_member(room_id, sender, target, {"membership": "ban"})

    def invite(self, room_id: str, sender: str, target: str) -> None:
        if membership_of(self._room(room_id), target) == "ban":
            self._check_in_room(room_id, sender)
            raise Refused("M_BAD_STATE")
        self.set_member(room_id, sender, target, {"membership": "invite"})

    def kick(self, room_id: str, sender: str, target: str) -> None:
        self._check_in_room(room_id, sender)
        if membership_of(self._room(room_id), target) not in ("join", "invite", "knock"):
            raise Refused("M_FORBIDDEN")
        self.set_member(room_id, sender, target, {"membership": "leave"})

    def unban(self, room_id: str, sender: str, target: str) -> None:
        self._check_in_room(room_id, sender)
        if membership_of(self._room(room_id), target) != "ban":
            raise Refused("M_BAD_STATE")
        self.set_member(room_id, sender, target, {"membership": "leave"})

    def _room(self, room_id: str) -> Room:
        if room_id not in self.rooms:
            raise Refused("M_FORBIDDEN")
        return self.rooms[room_id]

    def _check_in_room(self, room_id: str, user_id: str) -> None:
        if membership_of(self._room(room_id), user_id) != "join":
            raise Refused("M_FORBIDDEN")

    def _remember(self, transaction: tuple[str, ...] | None, event: Event) -> Event:
        if transaction is not None:
            self.transactions[transaction] = event
        return event


def new_room(
    creator: str,
    *,
    preset: str | None = None,
    name: str | None = None,
    invite: Iterable[str] = (),
    levels: Mapping[str, Any] | None = None,
    initial_state: Iterable[tuple[str, str, Content]] = (),
) -> Room:
    """What createRoom makes; the room has no id yet. Raises `Refused` if it cannot begin like this."""
    preset, invite = preset or "private_chat", list(invite)
    join_rule, history_visibility, guest_access = PRESETS[preset]
    trusted = invite if preset == "trusted_private_chat" else []
    later: dict[tuple[str, str], Content] = {}
    for event_type, state_key, content in (
        ("m.room.join_rules", "", {"join_rule": join_rule}),
        ("m.room.history_visibility", "", {"history_visibility": history_visibility}),
        ("m.room.guest_access", "", {"guest_access": guest_access}),
        *initial_state,
        *([] if name is None else [("m.room.name", "", {"name": name})]),
    ):
        later.pop((event_type, state_key), None)
        later[event_type, state_key] = content
    room: Room = {"creator": creator, "members": {}, "state": {}, "timeline": []}
    try:
        for event in (
            new_event("m.room.create", creator, {"room_version": "11"}, ""),
            new_event("m.room.member", creator, {"membership": "join"}, creator),
            new_event("m.room.power_levels", creator, first_levels(creator, preset, trusted, levels), ""),
            *(new_event(kind, creator, content, key) for (kind, key), content in later.items()),
            *(new_event("m.room.member", creator, {"membership": "invite"}, user) for user in invite),
        ):
            check(room, event)
            add(room, event)
    except Refused as refused:
        raise Refused(
            "M_INVALID_ROOM_STATE" if refused.errcode == "M_FORBIDDEN" else refused.errcode
        ) from None
    return room


def first_levels(
    creator: str, preset: str, trusted: Iterable[str], override: Mapping[str, Any] | None
) -> Content:
    high = ("encryption", "history_visibility", "power_levels", "server_acl", "tombstone")
    events = {f"m.room.{name}": 100 for name in high}
    events |= {f"m.room.{name}": 50 for name in ("avatar", "canonical_alias", "name")}
    users = {creator: 100} | dict.fromkeys(trusted, 100)
    invite = 50 if preset == "public_chat" else 0
    return {**SINGLE_LEVELS, "invite": invite, "events": events, "users": users, **(override or {})}


def new_event(event_type: str, sender: str, content: Content, state_key: str | None = None) -> Event:
    return {
        "type": event_type,
        "sender": sender,
        "state_key": state_key,
        "content": copy.deepcopy(content),
        "event_id": None,
        "redacted_by": None,
    }


def add(room: Room, event: Event) -> Event:
    room["timeline"].append(event)
    if event["state_key"] is not None:
        room["state"][event["type"], event["state_key"]] = event
        if event["type"] == "m.room.member":
            room["members"][event["state_key"]] = event["content"]["membership"]
    return event


def prune(event: Event, redaction: Event) -> None:
    if event["redacted_by"] is not None:
        return
    event["redacted_by"] = redaction
    if event["type"] != "m.room.create":
        kept = KEPT_IN_REDACTED.get(event["type"], ())
        event["content"] = {key: value for key, value in event["content"].items() if key in kept}


def check(room: Room, event: Event) -> None:
    """Raise `Refused` unless the event may become the room's next one."""
    if not is_canonical(event["content"]):
        raise Refused("M_BAD_JSON")
    if event["type"] == "m.room.redaction" and event["state_key"] is not None:
        raise Refused("M_INVALID_PARAM")
    if not is_allowed(room, event):
        raise Refused("M_FORBIDDEN")


def is_allowed(room: Room, event: Event) -> bool:
    event_type, sender, state_key = event["type"], event["sender"], event["state_key"]
    if event_type == "m.room.create":
        return not room["timeline"]
    if event_type == "m.room.member":
        return state_key is not None and may_become(room, sender, state_key, event["content"])
    if membership_of(room, sender) != "join":
        return False
    default = "events_default" if state_key is None else "state_default"
    if level_of(room, sender) < table(room, "events").get(event_type, single_level(room, default)):
        return False
    if state_key is not None and state_key.startswith("@") and state_key != sender:
        return False
    if event_type == "m.room.power_levels":
        return may_change_levels(room, sender, event["content"])
    return True


def may_become(room: Room, sender: str, target: str, content: Content) -> bool:
    membership, is_own = content.get("membership"), sender == target
    now, join_rule = membership_of(room, target), join_rule_of(room)
    is_in = membership_of(room, sender) == "join"
    own, other = level_of(room, sender), level_of(room, target)
    if membership == "join":
        if len(room["timeline"]) == 1:
            return is_own and sender == room["creator"]
        is_invited = join_rule in ("invite", "knock") and now in ("invite", "join")
        return is_own and now != "ban" and (join_rule == "public" or is_invited)
    if membership == "invite":
        return is_in and now not in ("join", "ban") and own >= single_level(room, "invite")
    if membership == "leave" and is_own:
        return now in ("invite", "join", "knock")
    if membership == "leave":
        lifts_ban = now == "ban" and own < single_level(room, "ban")
        return is_in and not lifts_ban and own >= single_level(room, "kick") and other < own
    if membership == "ban":
        return is_in and own >= single_level(room, "ban") and other < own
    return join_rule == "knock" and is_own and now not in ("ban", "invite", "join")


def may_change_levels(room: Room, sender: str, new: Content) -> bool:
    tables = {name: new.get(name, {}) for name in ("events", "notifications", "users")}
    if not all(type(content) is dict for content in tables.values()):
        return False
    values = [new[name] for name in SINGLE_LEVELS if name in new]
    values += [value for content in tables.values() for value in content.values()]
    if not all(type(value) is int for value in values):
        return False
    old_event = room["state"].get(("m.room.power_levels", ""))
    if old_event is None:
        return True
    old, own = old_event["content"], level_of(room, sender)
    for name in SINGLE_LEVELS:
        if not is_within(old.get(name), new.get(name), own):
            return False
    for name in ("events", "notifications"):
        before, after = old.get(name, {}), tables[name]
        if not all(is_within(before.get(entry), after.get(entry), own) for entry in {**before, **after}):
            return False
    before, after = old.get("users", {}), tables["users"]
    for user in {**before, **after}:
        if not is_within(before.get(user), after.get(user), own):
            return False
        if user != sender and before.get(user) == own and after.get(user) != own:
            return False
    return True


def is_within(before: int | None, after: int | None, level: int) -> bool:
    """May somebody of this level turn one value into the other?"""
    return before == after or all(value is None or value <= level for value in (before, after))


def membership_of(room: Room, user_id: str) -> str:
    membership: str = room["members"].get(user_id, "leave")
    return membership


def join_rule_of(room: Room) -> object:
    rules = room["state"].get(("m.room.join_rules", ""))
    return "invite" if rules is None else rules["content"].get("join_rule", "invite")


def levels_of(room: Room) -> Content:
    event = room["state"].get(("m.room.power_levels", ""))
    levels: Content = {"users": {room["creator"]: 100}} if event is None else event["content"]
    return levels


def table(room: Room, name: str) -> dict[str, int]:
    levels: dict[str, int] = levels_of(room).get(name, {})
    return levels


def single_level(room: Room, name: str) -> int:
    level: int = levels_of(room).get(name, SINGLE_LEVELS[name])
    return level


def level_of(room: Room, user_id: str) -> int:
    return table(room, "users").get(user_id, single_level(room, "users_default"))


def is_canonical(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(is_canonical, value.values()))
    if isinstance(value, list):
        return all(map(is_canonical, value))
    if isinstance(value, float):
        return False
    return not isinstance(value, int) or abs(value) <= INTEGER_MAX


def same(one: object, other: object) -> bool:
    """Equal as JSON; Python takes 1 for true and 0 for false."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
