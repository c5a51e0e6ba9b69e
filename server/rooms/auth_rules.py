"""May this event join the room's state? The authorisation rules, as a pure function.

Numbered like the specification's list in room version 12, so that both can be read side by side. Older
versions lack some of the rules and number the others differently; which ones apply is asked of the
version's traits. One rule of theirs has no number in that list: up to version 10 the create event has to
name its creator, here 1.creator. Under rule 5 the memberships stand for 5.3 to 5.7, and the steps of each
have letters. Rule 10 is in `power_level_rules`.

Rules 2 and 3 are about what an event names: its room, and the events that allow it. Here the state that
is handed in is that of the room, and the auth events are always chosen from it by `auth_event_keys`; what
could be wrong with a foreign choice (3.1, 3.2, 3.3, 3.5) cannot be wrong with this one, and is not looked
for. Rule 11, allow what no rule refused, is the end of `authorise`.

Where: specification, room versions 6 to 12, "Authorization rules"; server-server API, "Auth events
selection".
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol, TypeAlias

from projections.events import Event
from projections.identifiers import is_user_id, split
from projections.room_versions import RoomVersion
from server.rooms.power_level_rules import check_power_levels
from server.rooms.power_levels import PowerLevels, creators_of
from server.rooms.refusal import Refused

StateKey: TypeAlias = tuple[str, str]
"""(type, state_key)"""

_CREATE: Final = ("m.room.create", "")
_JOIN_RULES: Final = ("m.room.join_rules", "")
_POWER_LEVELS: Final = ("m.room.power_levels", "")

_CONTENT_MATTERS: Final = frozenset(
    ("m.room.create", "m.room.member", "m.room.power_levels", "m.room.third_party_invite")
)

_NOT_IN_ROOM: Final = "You are not in this room."


class CurrentState(Protocol):
    """A room's state before the event. Any mapping will do; nothing but `get` is called."""

    def get(self, key: StateKey, /) -> Event | None: ...


def authorise(event: Event, state: CurrentState, version: RoomVersion) -> None:
    """Return if the event may be added to the room, raise `Refused` if not.

    The first rule that decides, decides. A message asks `state` for three events and costs 2.8 µs
    besides.
    """
    if event.type == "m.room.create":
        _rule_1_create(event, version)
        return
    create = _rules_2_and_3_room_is_created(state, version)
    _rule_4_federation(event, create)
    room = _Room(state, create, version)
    if event.type == "m.room.member":
        _rule_5_member(event, room)
    else:
        _rules_from_6_on(event, room)


def looks_at_content(event_type: str) -> bool:
    """Do the rules for events of this type look at more than the type, the sender and the state?"""
    return event_type in _CONTENT_MATTERS


def auth_event_keys(
    event_type: str, sender: str, state_key: str | None, content: Mapping[str, Any], version: RoomVersion
) -> tuple[StateKey, ...]:
    """Which state events an event has to name as those that allow it: each once, as far as they exist."""
    if event_type == "m.room.create":
        return ()
    keys: tuple[StateKey, ...] = (_POWER_LEVELS, ("m.room.member", sender))
    if not version.room_id_is_hash:
        keys = (_CREATE, *keys)
    if event_type != "m.room.member" or state_key is None:
        return keys
    return tuple(dict.fromkeys((*keys, *_auth_event_keys_of_member(state_key, content, version))))


def _auth_event_keys_of_member(
    target: str, content: Mapping[str, Any], version: RoomVersion
) -> list[StateKey]:
    membership, keys = content.get("membership"), [("m.room.member", target)]
    if membership in ("join", "invite", "knock"):
        keys.append(_JOIN_RULES)
    if membership == "invite" and isinstance(token := _third_party_token(content), str):
        keys.append(("m.room.third_party_invite", token))
    authoriser = content.get("join_authorised_via_users_server")
    if membership == "join" and "restricted" in version.join_rules and isinstance(authoriser, str):
        keys.append(("m.room.member", authoriser))
    return keys


def _third_party_token(content: Mapping[str, Any]) -> object:
    invite = content.get("third_party_invite")
    signed = invite.get("signed") if isinstance(invite, dict) else None
    return signed.get("token") if isinstance(signed, dict) else None


class _Room:
    """The state, read in the words that the rules use. Nothing is read before a rule asks."""

    def __init__(self, state: CurrentState, create: Event, version: RoomVersion) -> None:
        self._state = state
        self.create = create
        self.version = version

    def member(self, user_id: str) -> Event | None:
        return self._state.get(("m.room.member", user_id))

    def membership(self, user_id: str) -> str:
        """`leave` also for those who never had one."""
        member = self.member(user_id)
        return "leave" if member is None else str(member.content.get("membership", "leave"))

    @property
    def join_rule(self) -> str | None:
        """`None` for one that means nothing in this room's version."""
        rules = self._state.get(_JOIN_RULES)
        rule = "invite" if rules is None else rules.content.get("join_rule", "invite")
        return rule if isinstance(rule, str) and rule in self.version.join_rules else None

    @cached_property
    def power_levels_content(self) -> Mapping[str, Any] | None:
        event = self._state.get(_POWER_LEVELS)
        return None if event is None else event.content

    @cached_property
    def levels(self) -> PowerLevels:
        return PowerLevels(self.power_levels_content, self.create, self.version)


def _rule_1_create(event: Event, version: RoomVersion) -> None:
    if event.prev_events:
        raise Refused("1.1", "A room is created once.")
    _rule_1_2_room_id(event, version)
    # The caller goes by the version that the event names, if it knows it; naming any other is refused too.
    if event.content.get("room_version", version.name) != version.name:
        raise Refused("1.3", "This room version is not known here.")
    if version.creators_outrank_all:
        _rule_1_4_additional_creators(event)
    if version.creator_is_in_content and "creator" not in event.content:
        raise Refused("1.creator", "A room names its creator.")


def _rule_1_2_room_id(event: Event, version: RoomVersion) -> None:
    if version.room_id_is_hash:
        if event.room_id:
            raise Refused("1.2", "The id of a room follows from its first event, which has none.")
    elif split(event.room_id)[1] != split(event.sender)[1]:
        raise Refused("1.2", "A room is created on the server of its creator.")


def _rule_1_4_additional_creators(event: Event) -> None:
    named = event.content.get("additional_creators", [])
    if not isinstance(named, list) or not all(isinstance(one, str) and is_user_id(one) for one in named):
        raise Refused("1.4", "`additional_creators` must be a list of user ids.")


def _rules_2_and_3_room_is_created(state: CurrentState, version: RoomVersion) -> Event:
    """The event that rule 2 finds by the room's id, and rule 3.4 among the auth events."""
    create = state.get(_CREATE)
    if create is not None:
        return create
    # The words of rule 6, so that nobody learns from them which rooms exist.
    if version.room_id_is_hash:
        raise Refused("2", _NOT_IN_ROOM)
    raise Refused("3.4", _NOT_IN_ROOM)


def _rule_4_federation(event: Event, create: Event) -> None:
    if split(event.sender)[1] != split(create.sender)[1] and create.content.get("m.federate") is False:
        raise Refused("4", "This room is only for users of the server that it was created on.")


def _rule_5_member(event: Event, room: _Room) -> None:
    membership = event.content.get("membership")
    if event.state_key is None or membership is None:
        raise Refused("5.1", "A member event needs a state key and a membership.")
    if "restricted" in room.version.join_rules:
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
    creator = creators_of(room.create, room.version)[0]
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
        raise Refused("5.invite.b", _NOT_IN_ROOM)
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
        raise Refused("5.leave.a", _NOT_IN_ROOM)
    if room.membership(sender) != "join":
        raise Refused("5.leave.b", _NOT_IN_ROOM)
    if room.membership(target) == "ban" and levels.of(sender) < levels.ban:
        raise Refused("5.leave.c", "You may not lift a ban in this room.")
    if not (levels.of(sender) >= levels.kick and levels.of(target) < levels.of(sender)):  # d
        raise Refused("5.leave.e", f"You may not remove {target} from this room.")


def _rule_5_ban(event: Event, target: str, room: _Room) -> None:
    sender, levels = event.sender, room.levels
    if room.membership(sender) != "join":
        raise Refused("5.ban.a", _NOT_IN_ROOM)
    if not (levels.of(sender) >= levels.ban and levels.of(target) < levels.of(sender)):  # b
        raise Refused("5.ban.c", f"You may not ban {target} from this room.")


def _rule_5_knock(event: Event, target: str, room: _Room) -> None:
    """In a version without knocking no join rule asks for it, and the first step refuses all of it."""
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
    if event.type == "m.room.power_levels":  # rule 10
        check_power_levels(event, room.power_levels_content, room.create, room.version)


def _rule_6_sender_is_joined(event: Event, room: _Room) -> None:
    if room.membership(event.sender) != "join":
        raise Refused("6", _NOT_IN_ROOM)


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
