"""What the room versions change in the authorisation rules: a table with a line for each such thing.

A line has an event as it stands, the room that it comes to, and which rule refuses it, by the first version
in which that is so; `None` where no rule does.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.events import Event
from projections.room_versions import SUPPORTED, RoomVersion
from server.rooms import auth_rules, power_level_rules
from server.rooms.auth_rules import StateKey, auth_event_keys
from tests.server.rooms.sample_room import (
    ALICE,
    BOB,
    CAROL,
    DAN,
    IVY,
    KIM,
    LOU,
    NINA,
    ZOE,
    State,
    authorised_by,
    changed,
    create,
    event,
    in_version,
    member,
    message,
    power_levels,
    refusing_rule,
    room,
)
from tests.server.rooms.test_auth_rules import REFUSED

CREATE_KEY = ("m.room.create", "")
NO_ID = {"room_id": ""}

NO_INTEGERS: list[Any] = ["50", "fifty", True, None, []]
NO_TABLES_OF_INTEGERS: list[Any] = [[], "none", {"room": "50"}, {"room": None}]
BELOW_CREATORS = {BOB: 50}
"""The levels of users in a room whose creator has none."""


def new_levels(**values: Any) -> dict[str, Any]:
    return changed(**{"users": BELOW_CREATORS, **values})


def created_with(*additional_creators: Any) -> Event:
    return create(content={"room_version": "11", "additional_creators": [*additional_creators]})


@dataclass
class Difference:
    why: str
    event: Event
    state: State
    refused_by: Mapping[str, str | None]

    def __str__(self) -> str:
        return self.why

    def expected(self) -> dict[str, str | None]:
        """The refusing rule in each version."""
        rules: dict[str, str | None] = {}
        rule = None
        for name in SUPPORTED:
            rules[name] = rule = self.refused_by.get(name, rule)
        return rules


DIFFERENCES = [
    # Rule 1: the create event
    Difference("create event of 6 to 10", create(content={"creator": ALICE}), {}, {"6": None, "12": "1.2"}),
    Difference("create event of 11", create(content={}), {}, {"6": "1.creator", "11": None, "12": "1.2"}),
    Difference("create event of 12", create(content={"creator": 1}, **NO_ID), {}, {"6": "1.2", "12": None}),
    Difference(
        "additional creators",
        create(content={"creator": 1, "additional_creators": [BOB, ZOE]}, **NO_ID),
        {},
        {"6": "1.2", "12": None},
    ),
    *(
        Difference(
            f"additional creators are {wrong}",
            create(content={"creator": 1, "additional_creators": wrong}, **NO_ID),
            {},
            {"6": "1.2", "12": "1.4"},
        )
        for wrong in (None, BOB, {BOB: 1}, [BOB, 7], [BOB, "carol"], [BOB, [BOB]])
    ),
    Difference(
        "additional creators mean nothing",
        create(content={"creator": 1, "additional_creators": "nobody"}),
        {},
        {"6": None, "12": "1.2"},
    ),
    # Rules 2 and 3: the room is there
    Difference("message without a room", message(ALICE), {}, {"6": "3.4", "12": "2"}),
    Difference("join without a room", member(NINA, NINA, "join"), {}, {"6": "3.4", "12": "2"}),
    # Rule 5: members
    Difference("knock", member(NINA, NINA, "knock"), room(join_rule="knock"), {"6": "5.knock.a", "7": None}),
    Difference(
        "knock where one could also fulfil a condition",
        member(NINA, NINA, "knock"),
        room(join_rule="knock_restricted"),
        {"6": "5.knock.a", "10": None},
    ),
    Difference(
        "invited, where one could also knock",
        member(IVY, IVY, "join"),
        room(join_rule="knock"),
        {"6": "5.join.g", "7": None},
    ),
    Difference(
        "invited, where one could also fulfil a condition",
        member(IVY, IVY, "join"),
        room(join_rule="restricted"),
        {"6": "5.join.g", "8": None},
    ),
    Difference(
        "invited, where one could also do both",
        member(IVY, IVY, "join"),
        room(join_rule="knock_restricted"),
        {"6": "5.join.g", "10": None},
    ),
    Difference(
        "condition fulfilled",
        member(NINA, NINA, "join", **authorised_by(BOB)),
        room(join_rule="restricted"),
        {"6": "5.join.g", "8": None},
    ),
    Difference(
        "condition fulfilled, where one could also knock",
        member(NINA, NINA, "join", **authorised_by(BOB)),
        room(join_rule="knock_restricted"),
        {"6": "5.join.g", "10": None},
    ),
    Difference(
        "condition not fulfilled",
        member(NINA, NINA, "join"),
        room(join_rule="restricted"),
        {"6": "5.join.g", "8": "5.join.e"},
    ),
    Difference(
        "public, authorised on another server",
        member(NINA, NINA, "join", **authorised_by(ZOE)),
        room(join_rule="public"),
        {"6": None, "8": "5.2"},
    ),
    # What older versions still had, or never
    Difference("aliases by a member", event("m.room.aliases", CAROL, {}, "example.org"), room(), {"6": "8"}),
    Difference("aliases from outside", event("m.room.aliases", LOU, {}, "example.org"), room(), {"6": "6"}),
    Difference(
        "redaction by a member", event("m.room.redaction", CAROL, redacts="$other"), room(), {"6": None}
    ),
    # Rules 10.1 to 10.3: what power levels are made of
    *(
        Difference(
            f"single level is {value!r}",
            power_levels(ALICE, {**new_levels(), "ban": value}),
            room(),
            {"6": None, "10": "10.1"},
        )
        for value in NO_INTEGERS
    ),
    *(
        Difference(
            f"{table} is {value!r}",
            power_levels(ALICE, new_levels(**{table: value})),
            room(levels=changed(events={}, notifications={})),
            {"6": None, "10": "10.2"},
        )
        for table in ("events", "notifications")
        for value in NO_TABLES_OF_INTEGERS
    ),
    Difference(
        "level of a user is text",
        power_levels(ALICE, new_levels(users={BOB: " +050 "})),
        room(),
        {"6": None, "10": "10.3"},
    ),
    *(
        Difference(
            f"level of a user is {value!r}",
            power_levels(ALICE, new_levels(users={BOB: value})),
            room(),
            {"6": "10.3"},
        )
        for value in ("fifty", "5.0", "1_000", "٥٠", "9007199254740992", "", True, None)
    ),
    # Rules 10.6 to 10.10: text counts as what it spells
    Difference(
        "moderator by text",
        message(BOB, "org.example.loud"),
        room(levels=changed(users={ALICE: "100", BOB: "50"})),
        {"6": None, "10": "8"},
    ),
    Difference(
        "text above oneself",
        power_levels(BOB, changed(ban="51")),
        room(),
        {"6": "10.6", "10": "10.1"},
    ),
    Difference(
        "text above oneself as it was",
        power_levels(BOB, changed(ban=0, users=BELOW_CREATORS)),
        room(levels=changed(ban="60", users=BELOW_CREATORS)),
        {"6": "10.6", "10": None},
    ),
    Difference(
        "same level as text",
        power_levels(BOB, changed(events_default="0", users=BELOW_CREATORS)),
        room(levels=changed(users=BELOW_CREATORS)),
        {"6": None, "10": "10.1"},
    ),
    Difference(
        "entry above oneself as text",
        power_levels(BOB, changed(notifications={"room": "51"})),
        room(),
        {"6": "10.8", "10": "10.2"},
    ),
    Difference(
        "user raised above oneself by text",
        power_levels(BOB, changed(users={ALICE: 100, BOB: 50, CAROL: "51"})),
        room(),
        {"6": "10.10", "10": "10.3"},
    ),
    # Creators
    Difference("creator has a level", power_levels(ALICE, changed()), room(), {"6": None, "12": "10.4"}),
    Difference(
        "creator has a level from the first on",
        power_levels(ALICE, changed()),
        room(levels=None),
        {"6": None, "12": "10.4"},
    ),
    Difference(
        "additional creator has a level",
        power_levels(ALICE, new_levels(users={CAROL: 0})),
        room(created=created_with(BOB, CAROL)),
        {"6": None, "12": "10.4"},
    ),
    *(
        Difference(
            f"{creator} sends past every level",
            message(creator),
            room(levels=changed(events_default=2**53 - 1), created=created_with(CAROL)),
            {"6": "8", "12": None},
        )
        for creator in (ALICE, CAROL)
    ),
    Difference(
        "additional creator sets state before there are levels",
        event("m.room.topic", CAROL, {}, ""),
        room(levels=None, created=created_with(CAROL)),
        {"6": "8", "12": None},
    ),
    Difference(
        "creator without a level is kicked",
        member(BOB, ALICE, "leave"),
        room(levels=new_levels()),
        {"6": None, "12": "5.leave.e"},
    ),
    Difference(
        "creator without a level is banned",
        member(BOB, ALICE, "ban"),
        room(levels=new_levels()),
        {"6": None, "12": "5.ban.c"},
    ),
    Difference(
        "one creator kicks another",
        member(ALICE, CAROL, "leave"),
        room(created=created_with(CAROL)),
        {"6": None, "12": "5.leave.e"},
    ),
    Difference(
        "additional creator joins before the creator",
        member(CAROL, CAROL, "join"),
        {("m.room.create", ""): created_with(CAROL)},
        {"6": "5.join.g"},
    ),
    Difference(
        "condition fulfilled by the word of a creator",
        member(NINA, NINA, "join", **authorised_by(ALICE)),
        room(join_rule="restricted", levels=new_levels(invite=100)),
        {"6": "5.join.g", "8": "5.join.e", "12": None},
    ),
    Difference(
        "creator sets a level above 100",
        power_levels(ALICE, new_levels(ban=1000)),
        room(),
        {"6": "10.6", "12": None},
    ),
    Difference(
        "creator raises a user above 100",
        power_levels(ALICE, new_levels(users={BOB: 1000})),
        room(),
        {"6": "10.10", "12": None},
    ),
    Difference(
        "creator lowers who is as high as can be",
        power_levels(ALICE, new_levels(users={BOB: 50})),
        room(levels=changed(users={ALICE: 100, BOB: 2**53 - 1})),
        {"6": "10.9", "12": None},
    ),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_is_judged_as_each_version_has_it(difference: Difference) -> None:
    found = {
        name: refusing_rule(difference.event, in_version(difference.state, version), version)
        for name, version in SUPPORTED.items()
    }
    assert found == difference.expected()


def test_every_rule_that_refuses_has_a_case() -> None:
    sources = inspect.getsource(auth_rules) + inspect.getsource(power_level_rules)
    numbers = set(re.findall(r'Refused\(\s*"([^"]+)"', sources))
    tried = {case.rule for case in REFUSED}
    tried |= {rule for one in DIFFERENCES for rule in one.refused_by.values() if rule is not None}
    assert tried == numbers


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_is_judged_by_what_it_names_and_its_room(difference: Difference) -> None:
    found = {}
    for name, version in SUPPORTED.items():
        known = {*keys_of(difference.event, version), CREATE_KEY}
        state = in_version(difference.state, version)
        named = {at: standing for at, standing in state.items() if at in known}
        found[name] = refusing_rule(difference.event, named, version)
    assert found == difference.expected()


@pytest.mark.parametrize("made", [message(BOB), power_levels(BOB, {}), member(BOB, BOB, "join")])
def test_only_a_room_id_without_the_hash_needs_the_create_event_named(made: Event) -> None:
    naming = [name for name, version in SUPPORTED.items() if CREATE_KEY in keys_of(made, version)]
    assert naming == ["6", "7", "8", "9", "10", "11"]


def test_who_authorises_a_join_is_named_where_conditions_exist() -> None:
    join, at = member(NINA, NINA, "join", **authorised_by(BOB)), ("m.room.member", BOB)
    naming = [name for name, version in SUPPORTED.items() if at in keys_of(join, version)]
    assert naming == ["8", "9", "10", "11", "12"]


def test_knock_is_taken_back_wherever_one_can_knock() -> None:
    taken_back = member(KIM, KIM, "leave")
    allowed = [
        name
        for name, version in SUPPORTED.items()
        if "knock" in version.join_rules
        and refusing_rule(taken_back, in_version(room(), version), version) is None
    ]
    assert allowed == ["7", "8", "9", "10", "11", "12"]


level_texts = st.sampled_from(["{}", " {}", "{}\t", " {} "])
single_values = st.sampled_from([-1, 0, 49, 50, 51, 100])
contents = st.fixed_dictionaries(
    {"users": st.dictionaries(st.sampled_from([ALICE, BOB, CAROL, DAN]), single_values)},
    optional={
        **dict.fromkeys(["ban", "invite", "state_default", "users_default"], single_values),
        "events": st.dictionaries(st.sampled_from(["m.room.power_levels", "m.room.name"]), single_values),
        "notifications": st.dictionaries(st.sampled_from(["room", "all"]), single_values),
    },
)


@given(
    contents,
    contents,
    level_texts,
    st.sampled_from([ALICE, BOB, CAROL]),
    st.sampled_from([version for version in SUPPORTED.values() if version.levels_may_be_text]),
)
def test_text_is_judged_as_the_integers_that_it_spells(
    old: dict[str, Any], new: dict[str, Any], form: str, sender: str, version: RoomVersion
) -> None:
    old_as_text, new_as_text = spelled(old, form), spelled(new, form)
    assert refusing_rule(power_levels(sender, new_as_text), levels_were(old_as_text, version), version) == (
        refusing_rule(power_levels(sender, new), levels_were(old, version), version)
    )


def spelled(levels: Any, form: str) -> Any:
    if isinstance(levels, dict):
        return {name: spelled(level, form) for name, level in levels.items()}
    return form.format(levels)


def levels_were(content: dict[str, Any], version: RoomVersion) -> State:
    return in_version(room(levels=content), version)


def keys_of(made: Event, version: RoomVersion) -> tuple[StateKey, ...]:
    return auth_event_keys(made.type, made.sender, made.state_key, made.content, version)
