"""What random clients say: hypothesis strategies for requests that are mostly sensible and sometimes not."""

import copy
from typing import NamedTuple, TypeAlias

from hypothesis import strategies as st

from server.rooms.creation import InitialState, RoomRequest
from tests.harness.model import Content, Room, levels_of

LOCALPARTS = ("alice", "bob", "carol", "dave")
DEVICES = ("PHONE", "LAPTOP")
STRANGERS_FROM = 7
"""Of the numbers that stand for people, those from here on need not be in the room that it is about."""

_scalars = st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from(["", "a", "Grüße", "\u2028\0"])
_values = (
    _scalars | _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(st.sampled_from("ab"), _scalars)
)
_not_canonical = st.sampled_from([1.5, 2**53, [{"a": -(2**53)}]])

contents: st.SearchStrategy[Content] = st.dictionaries(
    st.sampled_from(["body", "reason", "membership", "redacts"]),
    st.one_of([_values] * 8 + [_not_canonical]),
    max_size=2,
)
message_types = st.sampled_from(
    [
        *["m.room.message"] * 3,
        "org.example.own",
        "m.room.topic",
        "m.room.redaction",
        "m.room.create",
        "m.room.member",
    ]
)
people = st.integers(0, 9)
devices = st.sampled_from(DEVICES)
Move: TypeAlias = tuple[str, int, int]
"""A verb, who does it, and to whom."""
moves: st.SearchStrategy[list[Move]] = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "knock", "invite", "kick", "ban", "unban"]), people, people),
    min_size=1,
    max_size=6,
)
transaction_ids = st.sampled_from([None, "1", "2", "3"])

join_rules: st.SearchStrategy[Content] = st.sampled_from(
    [{"join_rule": rule, "since": 1} for rule in ("public", "public", "invite", "knock", "knock", "private")]
    + [{}]
)
_settings: st.SearchStrategy[tuple[str, str, Content]] = st.tuples(
    st.just("m.room.join_rules"), st.just(""), join_rules
) | st.tuples(
    st.just("m.room.history_visibility"),
    st.just(""),
    st.sampled_from(["world_readable", "shared", "invited", "joined", "nobody"]).map(
        lambda setting: {"history_visibility": setting}
    ),
)
_own_state: st.SearchStrategy[tuple[str, str, Content]] = st.tuples(
    st.sampled_from(["m.room.topic"] * 4 + ["org.example.own"] * 4 + ["m.room.redaction", "m.room.create"]),
    st.sampled_from(["", "", "", "key", "@alice:localhost"]),
    contents,
)
member_contents: st.SearchStrategy[Content] = st.sampled_from(
    [{"membership": name, "reason": 1} for name in ("join", "leave", "knock", "knock", "ban", "invite")]
    + [{"membership": "join"}, {"membership": "other"}, {"membership": None}, {}]
)
_unusual_member: st.SearchStrategy[tuple[str, str, Content]] = st.tuples(
    st.just("m.room.member"), st.just("nobody"), member_contents
)
states = st.one_of(_settings, _own_state, _own_state, _unusual_member)
"""(type, state key, content) of a state event."""

presets = st.sampled_from([None, "private_chat", "trusted_private_chat", "public_chat", "public_chat"])
room_requests = st.builds(
    RoomRequest,
    room_version=st.just("11"),  # the one whose rules the model has
    preset=presets,
    name=st.sampled_from([None, "Name"]),
    invite=st.lists(st.sampled_from([f"@{localpart}:localhost" for localpart in LOCALPARTS]), max_size=2),
    power_level_content_override=st.sampled_from(
        [{}, {}, {}, {"state_default": 0}, {"invite": 100, "redact": 0}, {"users_default": 50}, {"users": {}}]
    ),
    initial_state=st.lists(
        st.one_of(_settings, _settings, _own_state).map(
            lambda stated: InitialState(type=stated[0], state_key=stated[1], content=stated[2])
        ),
        max_size=2,
    ),
)


class LevelChange(NamedTuple):
    """One entry of a room's power levels, to be set or, with `None`, taken away."""

    path: tuple[str, ...]
    value: object


_levels = st.sampled_from([None, -1, 0, 25, 50, 50, 99, 100, 101, True, "50"])
_paths: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    st.tuples(st.just("users"), st.sampled_from([f"@{localpart}:localhost" for localpart in LOCALPARTS])),
    st.tuples(st.just("users"), st.sampled_from([f"@{localpart}:localhost" for localpart in LOCALPARTS])),
    st.tuples(
        st.just("events"), st.sampled_from(["m.room.message", "m.room.power_levels", "m.room.redaction"])
    ),
    st.tuples(st.just("notifications"), st.just("room")),
    st.tuples(st.sampled_from(["ban", "invite", "kick", "redact", "state_default", "users_default"])),
)
level_changes = st.lists(st.builds(LevelChange, _paths, _levels), min_size=1, max_size=2)


def levels_after(room: Room, changes: list[LevelChange]) -> Content:
    """The content of the power levels event that asks for these changes."""
    levels = copy.deepcopy(levels_of(room))
    for (*tables, name), value in changes:
        content = levels
        for table in tables:
            content = content.setdefault(table, {})
        if value is None:
            content.pop(name, None)
        else:
            content[name] = value
    return levels


def resembling(content: Content) -> Content:
    """Another content, which Python says is equal: 1 for true, false for 0."""
    swapped = {True: 1, False: 0}
    return {
        name: swapped[value]
        if type(value) is bool
        else bool(value)
        if type(value) is int and value in (0, 1)
        else value
        for name, value in content.items()
    }
