"""May this event join the room's state? The authorisation rules, as a pure function.

Numbered like the specification's list in room version 12, which has the rules of 11 and a few more, so
that both can be read side by side. What applies to version 12 alone is missing here: rules 1.4, 2 and
10.4. Under rule 5 the memberships stand for 5.3 to 5.7, and the steps of each have letters.

Rule 3 is about the auth events that an event names. Here they are always chosen by `auth_event_keys` from
the room's own state; what could be wrong with a foreign choice (3.1, 3.2, 3.3, 3.5) cannot be wrong with
this one, and is not looked for. Rule 11, allow what no rule refused, is the end of `authorise`.

Where: specification, room version 11 and 12, "Authorization rules"; server-server API, "Auth events
selection".
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias, TypeGuard

from projections.events import Event
from projections.identifiers import is_user_id, split
from projections.room_versions import RoomVersion
from server.errors import ErrorCode, MatrixError
from server.rooms.power_levels import DEFAULTS, PowerLevels, is_level

StateKey: TypeAlias = tuple[str, str]
"""(type, state_key)"""

_CREATE: Final = ("m.room.create", "")
_JOIN_RULES: Final = ("m.room.join_rules", "")
_POWER_LEVELS: Final = ("m.room.power_levels", "")

_TABLES: Final = ("events", "notifications")
"""Of a power levels event: what it asks for single event types, and for single kinds of notification."""


class CurrentState(Protocol):
    """A room's state before the event. Any mapping will do; nothing but `get` is called."""

    def get(self, key: StateKey, /) -> Event | None: ...


class Refused(MatrixError):
    """The event is not allowed. `rule` is the number of the rule that says so."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(ErrorCode.FORBIDDEN, message)
        self.rule = rule


def authorise(event: Event, state: CurrentState, version: RoomVersion) -> None:
    """Return if the event may be added to the room, raise `Refused` if not.

    The first rule that decides, decides. A message asks `state` for three events and costs 2.3 µs
    besides.
    """
    if event.type == "m.room.create":
        _rule_1_create(event, version)
        return
    create = _rule_3_create_event_exists(state)
    _rule_4_federation(event, create)
    room = _Room(state, create)
    if event.type == "m.room.member":
        _rule_5_member(event, room)
    else:
        _rules_from_6_on(event, room)


def auth_event_keys(
    event_type: str, sender: str, state_key: str | None, content: Mapping[str, Any]
) -> tuple[StateKey, ...]:
    """Which state events an event has to name as those that allow it: each once, as far as they exist."""
    if event_type == "m.room.create":
        return ()
    keys = (_CREATE, _POWER_LEVELS, ("m.room.member", sender))
    if event_type != "m.room.member" or state_key is None:
        return keys
    return tuple(dict.fromkeys((*keys, *_auth_event_keys_of_member(state_key, content))))


def _auth_event_keys_of_member(target: str, content: Mapping[str, Any]) -> list[StateKey]:
    membership, keys = content.get("membership"), [("m.room.member", target)]
    if membership in ("join", "invite", "knock"):
        keys.append(_JOIN_RULES)
    if membership == "invite" and isinstance(token := _third_party_token(content), str):
        keys.append(("m.room.third_party_invite", token))
    authoriser = content.get("join_authorised_via_users_server")
    if membership == "join" and isinstance(authoriser, str):
        keys.append(("m.room.member", authoriser))
    return keys


def _third_party_token(content: Mapping[str, Any]) -> object:
    invite = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, dict) else None
    return signed.get("token") if isinstance(signed, dict) else None


class _Room:
    """The state, read in the words that the rules use. Nothing is read before a rule asks."""

    def __init__(self, state: CurrentState, create: Event) -> None:
        self._state = state
        self.create = create

    def member(self, user_id: str) -> Event | None:
        return self._state.get(("m.room.member", user_id))

    def membership(self, user_id: str) -> str:
        """`leave` also for those who never had one."""
        member = self.member(user_id)
        return "leave" if member is None else str(member.content.get("membership", "leave"))

    @property
    def join_rule(self) -> object:
        rules = self._state.get(_JOIN_RULES)
        return "invite" if rules is None else rules.content.get("join_rule", "invite")

    @cached_property
    def power_levels_content(self) -> Mapping[str, Any] | None:
        event = self._state.get(_POWER_LEVELS)
        return None if event is None else event.content

    @cached_property
    def levels(self) -> PowerLevels:
        return PowerLevels(self.power_levels_content, self.create)


def _rule_1_create(event: Event, version: RoomVersion) -> None:
    if event.prev_events:
        raise Refused("1.1", "A room is created once.")
    if split(event.room_id)[1] != split(event.sender)[1]:
        raise Refused("1.2", "A room is created on the server of its creator.")
    # The caller goes by the version that the event names, if it knows it; naming any other is refused too.
    if event.content.get("room_version", version.name) != version.name:
        raise Refused("1.3", "This room version is not known here.")


def _rule_3_create_event_exists(state: CurrentState) -> Event:
    create = state.get(_CREATE)
    if create is None:
        # The words of rule 6, so that nobody learns from them which rooms exist.
        raise Refused("3.4", "You are not in this room.")
    return create


def _rule_4_federation(event: Event, create: Event) -> None:
    if split(event.sender)[1] != split(create.sender)[1] and create.content.get("m.federate") is False:
        raise Refused("4", "This room is only for users of the server that it was created on.")


def _rule_5_member(event: Event, room: _Room) -> None:
    membership = event.content.get("membership")
    if event.state_key is None or membership is None:
        raise Refused("5.1", "A member event needs a state key and a membership.")
    _rule_5_2_authorising_server(event)
    rule = _RULES_5.get(membership) if isinstance(membership, str) else None
    if rule is None:
        raise Refused("5.other", "This membership is not known.")
    rule(event, event.state_key, room)


def _rule_5_2_authorising_server(event: Event) -> None:
    """The server of the authorising user has to vouch for the event by its signature.

    Events that are made here are not signed: the server vouches by making them, and only for its own users.
    """
    if "join_authorised_via_users_server" not in event.content:
        return
    authoriser = event.content["join_authorised_via_users_server"]
    if not isinstance(authoriser, str) or split(authoriser)[1] != split(event.sender)[1]:
        raise Refused("5.2", "The user who authorises the join is not on this server.")


def _rule_5_join(event: Event, target: str, room: _Room) -> None:
    if _is_first_join_of_creator(event, target, room):  # a
        return
    if event.sender != target:
        raise Refused("5.join.b", "Nobody can be made to join; invite them.")
    membership, join_rule = room.membership(target), room.join_rule
    if membership == "ban":
        raise Refused("5.join.c", "You are banned from this room.")
    if join_rule in ("restricted", "knock_restricted"):
        _rule_5_join_e_restricted(event, membership, room)
        return
    is_invited = join_rule in ("invite", "knock") and membership in ("invite", "join")  # d
    if not is_invited and join_rule != "public":  # f
        raise Refused("5.join.g", "You are not invited to this room.")


def _is_first_join_of_creator(event: Event, target: str, room: _Room) -> bool:
    """Is the create event all that precedes this join?

    It is as long as the creator has no membership: no other event passes before the creator's join,
    and a membership never leaves the state again.
    """
    creator = room.create.sender
    is_of_creator = event.sender == target == creator
    return is_of_creator and len(event.prev_events) == 1 and room.member(creator) is None


def _rule_5_join_e_restricted(event: Event, membership: str, room: _Room) -> None:
    """Whether the user fulfils a condition of the join rule is for the authorising user's server to check."""
    if membership in ("invite", "join"):
        return
    authoriser = event.content.get("join_authorised_via_users_server")
    if authoriser is None:
        raise Refused("5.join.e", "You fulfil none of this room's conditions for joining.")
    if room.membership(authoriser) != "join" or room.levels.of(authoriser) < room.levels.invite:
        raise Refused("5.join.e", "The user who authorises the join may not invite to this room.")


def _rule_5_invite(event: Event, target: str, room: _Room) -> None:
    if "third_party_invite" in event.content:
        # The rule is about a signature of an identity server. This server knows none, and none knows it.
        raise Refused("5.invite.a", "Invitations by e-mail address or telephone number are not supported.")
    if room.membership(event.sender) != "join":
        raise Refused("5.invite.b", "You are not in this room.")
    membership = room.membership(target)
    if membership in ("join", "ban"):
        state = "in" if membership == "join" else "banned from"
        raise Refused("5.invite.c", f"{target} is {state} this room already.")
    if room.levels.of(event.sender) < room.levels.invite:  # d
        raise Refused("5.invite.e", "You may not invite to this room.")


def _rule_5_leave(event: Event, target: str, room: _Room) -> None:
    sender, levels = event.sender, room.levels
    if sender == target:
        if room.membership(sender) in ("invite", "join", "knock"):
            return
        raise Refused("5.leave.a", "You are not in this room.")
    if room.membership(sender) != "join":
        raise Refused("5.leave.b", "You are not in this room.")
    if room.membership(target) == "ban" and levels.of(sender) < levels.ban:
        raise Refused("5.leave.c", "You may not lift a ban in this room.")
    if not (levels.of(sender) >= levels.kick and levels.of(target) < levels.of(sender)):  # d
        raise Refused("5.leave.e", f"You may not remove {target} from this room.")


def _rule_5_ban(event: Event, target: str, room: _Room) -> None:
    sender, levels = event.sender, room.levels
    if room.membership(sender) != "join":
        raise Refused("5.ban.a", "You are not in this room.")
    if not (levels.of(sender) >= levels.ban and levels.of(target) < levels.of(sender)):  # b
        raise Refused("5.ban.c", f"You may not ban {target} from this room.")


def _rule_5_knock(event: Event, target: str, room: _Room) -> None:
    if room.join_rule not in ("knock", "knock_restricted"):
        raise Refused("5.knock.a", "Nobody can ask to join this room.")
    if event.sender != target:
        raise Refused("5.knock.b", "Nobody can ask to join for another user.")
    if room.membership(event.sender) in ("ban", "invite", "join"):  # c
        raise Refused("5.knock.d", "You are in this room, invited to it or banned from it already.")


_RULES_5: Final[Mapping[str, Callable[[Event, str, _Room], None]]] = {
    "join": _rule_5_join,
    "invite": _rule_5_invite,
    "leave": _rule_5_leave,
    "ban": _rule_5_ban,
    "knock": _rule_5_knock,
}


def _rules_from_6_on(event: Event, room: _Room) -> None:
    _rule_6_sender_is_joined(event, room)
    if event.type == "m.room.third_party_invite":
        _rule_7_third_party_invite(event, room)
        return
    _rule_8_power_to_send(event, room)
    _rule_9_state_key_of_another_user(event)
    if event.type == "m.room.power_levels":
        _rule_10_power_levels(event, room)


def _rule_6_sender_is_joined(event: Event, room: _Room) -> None:
    if room.membership(event.sender) != "join":
        raise Refused("6", "You are not in this room.")


def _rule_7_third_party_invite(event: Event, room: _Room) -> None:
    if room.levels.of(event.sender) < room.levels.invite:
        raise Refused("7", "You may not invite to this room.")


def _rule_8_power_to_send(event: Event, room: _Room) -> None:
    needed, level = room.levels.to_send(event.type, event.is_state), room.levels.of(event.sender)
    if level < needed:
        raise Refused("8", f"Sending {event.type} asks for level {needed} here; yours is {level}.")


def _rule_9_state_key_of_another_user(event: Event) -> None:
    if event.state_key is not None and event.state_key.startswith("@") and event.state_key != event.sender:
        raise Refused("9", "State whose key is a user can only be set by that user.")


def _rule_10_power_levels(event: Event, room: _Room) -> None:
    new, old = event.content, room.power_levels_content
    _rule_10_1_single_values_are_integers(new)
    _rule_10_2_tables_hold_integers(new)
    _rule_10_3_users_hold_integers(new)
    if old is None:  # 10.5
        return
    level = room.levels.of(event.sender)
    _rule_10_6_single_values(old, new, level)
    for table in _TABLES:
        _rule_10_7_entries_as_they_were(table, old, new, level)
    for table in _TABLES:
        _rule_10_8_entries_as_they_become(table, old, new, level)
    _rule_10_9_users_as_they_were(old, new, event.sender, level)
    _rule_10_10_users_as_they_become(old, new, level)


def _rule_10_1_single_values_are_integers(content: Mapping[str, Any]) -> None:
    for name in DEFAULTS:
        if name in content and not is_level(content[name]):
            raise Refused("10.1", f"`{name}` must be an integer.")


def _rule_10_2_tables_hold_integers(content: Mapping[str, Any]) -> None:
    for table in _TABLES:
        if table in content and not _holds_levels(content[table]):
            raise Refused("10.2", f"`{table}` must be an object of integers.")


def _rule_10_3_users_hold_integers(content: Mapping[str, Any]) -> None:
    """Without `users` everybody has the default, and existing servers read the rule so as to allow it."""
    users = content.get("users", {})
    if not _holds_levels(users) or not all(is_user_id(name) for name in users):
        raise Refused("10.3", "`users` must be an object of user ids and integers.")


def _rule_10_6_single_values(old: Mapping[str, Any], new: Mapping[str, Any], level: int) -> None:
    for name in DEFAULTS:
        before, after = old.get(name), new.get(name)
        if before != after and (_is_above(before, level) or _is_above(after, level)):
            raise Refused("10.6", f"`{name}` is or would be above your own level, {level}.")


def _rule_10_7_entries_as_they_were(
    table: str, old: Mapping[str, Any], new: Mapping[str, Any], level: int
) -> None:
    for name, before in _differing(old.get(table), new.get(table)):
        if _is_above(before, level):
            raise Refused("10.7", f"`{table}` has {name} above your own level, {level}.")


def _rule_10_8_entries_as_they_become(
    table: str, old: Mapping[str, Any], new: Mapping[str, Any], level: int
) -> None:
    for name, after in _differing(new.get(table), old.get(table)):
        if _is_above(after, level):
            raise Refused("10.8", f"`{table}` would have {name} above your own level, {level}.")


def _rule_10_9_users_as_they_were(
    old: Mapping[str, Any], new: Mapping[str, Any], sender: str, level: int
) -> None:
    for user_id, before in _differing(old.get("users"), new.get("users")):
        if user_id != sender and _is_above(before, level - 1):
            raise Refused("10.9", f"The level of {user_id} is not below your own, {level}.")


def _rule_10_10_users_as_they_become(old: Mapping[str, Any], new: Mapping[str, Any], level: int) -> None:
    for user_id, after in _differing(new.get("users"), old.get("users")):
        if _is_above(after, level):
            raise Refused("10.10", f"{user_id} would have a level above your own, {level}.")


def _differing(table: Any, other: Any) -> list[tuple[str, Any]]:
    """The entries of a table that the other one lacks or has otherwise; in one order, whatever theirs is."""
    entries = table if isinstance(table, dict) else {}
    others = other if isinstance(other, dict) else {}
    return sorted((name, value) for name, value in entries.items() if others.get(name) != value)


def _holds_levels(table: object) -> TypeGuard[dict[str, int]]:
    return isinstance(table, dict) and all(map(is_level, table.values()))


def _is_above(value: object, level: int) -> bool:
    return is_level(value) and value > level
