"""The authorisation rules, rule by rule: each has an event that it lets pass and one that it stops.

What is written down here holds in all room versions but those that a case leaves out; what a version
changes is in `test_auth_rules_by_version`.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from projections.events import Event
from projections.room_versions import SUPPORTED
from server.errors import ErrorCode, MatrixError
from server.rooms.auth_rules import StateKey, auth_event_keys, authorise
from server.rooms.power_levels import PowerLevels
from tests.server.rooms.sample_room import (
    ALICE,
    BOB,
    CAROL,
    DAN,
    EVE,
    INVITE_BY_EMAIL,
    IVY,
    JUST_CREATED,
    KIM,
    LEVELS,
    LOU,
    NINA,
    ZOE,
    State,
    as_in,
    authorised_by,
    changed,
    create,
    event,
    in_version,
    member,
    message,
    power_levels,
    refusal_of,
    refusing_rule,
    room,
)

V11 = SUPPORTED["11"]
VERSIONS = tuple(SUPPORTED)


def since(first: str) -> tuple[str, ...]:
    return VERSIONS[VERSIONS.index(first) :]


def until(last: str) -> tuple[str, ...]:
    return VERSIONS[: VERSIONS.index(last) + 1]


@dataclass
class Case:
    rule: str
    why: str
    event: Event
    state: State
    versions: Sequence[str] = VERSIONS

    def __str__(self) -> str:
        return f"{self.rule} {self.why}"


REFUSED = [
    Case("1.1", "create event in a room", create(prev_events=["$last"]), room()),
    Case("1.2", "room of another server", create(ZOE), {}, until("11")),
    Case("1.3", "unknown version", create(content={"room_version": "nonsense"}), {}),
    Case("1.3", "version that is no string", create(content={"room_version": ["11"]}), {}),
    Case("3.4", "message without a room", message(ALICE), {}, until("11")),
    Case("3.4", "join without a room", member(ALICE, ALICE, "join"), {}, until("11")),
    Case(
        "4",
        "stranger in an unfederated room",
        member(ZOE, ZOE, "join"),
        room(join_rule="public", created=create(content={"m.federate": False})),
    ),
    Case("5.1", "no state key", event("m.room.member", CAROL, {"membership": "join"}), room()),
    Case("5.1", "no membership", event("m.room.member", CAROL, {}, CAROL), room()),
    Case(
        "5.2",
        "authorised on another server",
        member(NINA, NINA, "join", **authorised_by(ZOE)),
        room(join_rule="restricted"),
        since("8"),
    ),
    Case(
        "5.2",
        "authorised by no user",
        member(NINA, NINA, "join", **authorised_by(7)),
        room(join_rule="restricted"),
        since("8"),
    ),
    Case("5.join.b", "somebody else joins first", member(BOB, ALICE, "join"), JUST_CREATED),
    Case("5.join.b", "forced join", member(ALICE, NINA, "join"), room(join_rule="public")),
    Case("5.join.c", "banned from a public room", member(EVE, EVE, "join"), room(join_rule="public")),
    Case(
        "5.join.c",
        "banned, authorised by a moderator",
        member(EVE, EVE, "join", **authorised_by(BOB)),
        room(join_rule="restricted"),
    ),
    Case(
        "5.join.e",
        "authorised by nobody",
        member(NINA, NINA, "join"),
        room(join_rule="restricted"),
        since("8"),
    ),
    Case(
        "5.join.e",
        "authorised by a member without power",
        member(NINA, NINA, "join", **authorised_by(CAROL)),
        room(join_rule="restricted"),
        since("8"),
    ),
    Case(
        "5.join.e",
        "authorised by a moderator who left",
        member(NINA, NINA, "join", **authorised_by(BOB)),
        room(join_rule="knock_restricted", members={BOB: "leave"}),
        since("10"),
    ),
    Case("5.join.g", "uninvited", member(NINA, NINA, "join"), room()),
    Case("5.join.g", "only knocked", member(KIM, KIM, "join"), room(join_rule="knock")),
    Case("5.join.g", "no join rule is invite", member(NINA, NINA, "join"), room(join_rule=None)),
    Case("5.join.g", "unknown join rule", member(IVY, IVY, "join"), room(join_rule="private")),
    Case("5.join.g", "not the creator", member(BOB, BOB, "join"), JUST_CREATED),
    Case("5.join.g", "creator who left", member(ALICE, ALICE, "join"), room(members={ALICE: "leave"})),
    Case("5.invite.a", "by e-mail", member(ALICE, NINA, "invite", **INVITE_BY_EMAIL), room()),
    Case("5.invite.b", "by one who is only invited", member(IVY, NINA, "invite"), room()),
    Case("5.invite.c", "of a member", member(ALICE, CAROL, "invite"), room()),
    Case("5.invite.c", "of a banned user", member(ALICE, EVE, "invite"), room()),
    Case("5.invite.e", "without the level", member(CAROL, NINA, "invite"), room()),
    Case("5.leave.a", "second leave", member(LOU, LOU, "leave"), room()),
    Case("5.leave.a", "leave out of a ban", member(EVE, EVE, "leave"), room()),
    Case("5.leave.a", "never was there", member(NINA, NINA, "leave"), room()),
    Case("5.leave.b", "kick by one who left", member(LOU, CAROL, "leave"), room()),
    Case("5.leave.c", "unban below the ban level", member(BOB, EVE, "leave"), room(levels=changed(ban=60))),
    Case("5.leave.e", "kick without the level", member(CAROL, DAN, "leave"), room()),
    Case("5.leave.e", "unban below the kick level", member(BOB, EVE, "leave"), room(levels=changed(kick=60))),
    Case("5.leave.e", "kick of a superior", member(BOB, ALICE, "leave"), room()),
    Case(
        "5.leave.e",
        "kick of an equal",
        member(BOB, CAROL, "leave"),
        room(levels=changed(users={BOB: 50, CAROL: 50})),
    ),
    Case("5.ban.a", "by one who left", member(LOU, CAROL, "ban"), room()),
    Case("5.ban.c", "without the level", member(CAROL, DAN, "ban"), room()),
    Case("5.ban.c", "of a superior", member(BOB, ALICE, "ban"), room()),
    Case("5.ban.c", "of oneself", member(ALICE, ALICE, "ban"), room()),
    Case("5.knock.a", "where none is answered", member(NINA, NINA, "knock"), room()),
    Case("5.knock.a", "at a public room", member(NINA, NINA, "knock"), room(join_rule="public")),
    Case("5.knock.b", "for somebody else", member(ALICE, NINA, "knock"), room(join_rule="knock"), since("7")),
    Case("5.knock.d", "by a banned user", member(EVE, EVE, "knock"), room(join_rule="knock"), since("7")),
    Case("5.knock.d", "by an invited user", member(IVY, IVY, "knock"), room(join_rule="knock"), since("7")),
    Case(
        "5.knock.d",
        "by a member",
        member(CAROL, CAROL, "knock"),
        room(join_rule="knock_restricted"),
        since("10"),
    ),
    Case("5.other", "unknown membership", member(CAROL, CAROL, "lurk"), room()),
    Case("5.other", "membership that is no string", member(CAROL, CAROL, ["join"]), room()),
    Case("6", "message by one who left", message(LOU), room()),
    Case("6", "message by an invited user", message(IVY), room()),
    Case("6", "message by a banned user", message(EVE), room()),
    Case("6", "state by one who never was there", power_levels(NINA, LEVELS), room()),
    Case("7", "without the invite level", event("m.room.third_party_invite", CAROL, {}, "abc"), room()),
    Case("8", "message that needs a level", message(CAROL, "org.example.loud"), room()),
    Case("8", "message below events_default", message(CAROL), room(levels=changed(events_default=1))),
    Case("8", "state below state_default", event("m.room.topic", CAROL, {}, ""), room()),
    Case("8", "state that needs a level", event("m.room.tombstone", BOB, {}, ""), room()),
    Case("8", "topic without power levels event", event("m.room.topic", BOB, {}, ""), room(levels=None)),
    Case("9", "state of another user", event("org.example.own", ALICE, {}, BOB), room()),
    Case("10.1", "level as a string", power_levels(ALICE, changed(ban="50")), room(), since("10")),
    Case("10.1", "level as a boolean", power_levels(ALICE, changed(users_default=True)), room(), since("10")),
    Case("10.1", "level as null", power_levels(ALICE, {**LEVELS, "invite": None}), room(), since("10")),
    Case("10.1", "in the first event", power_levels(ALICE, {"kick": []}), room(levels=None), since("10")),
    Case("10.2", "events is no object", power_levels(ALICE, changed(events=[])), room(), since("10")),
    Case(
        "10.2",
        "notification level as a string",
        power_levels(ALICE, changed(notifications={"room": "50"})),
        room(),
        since("10"),
    ),
    Case("10.3", "users is no object", power_levels(ALICE, changed(users=[ALICE])), room()),
    Case("10.3", "user without server", power_levels(ALICE, changed(users={ALICE: 100, "bob": 50})), room()),
    Case(
        "10.3",
        "level of a user as a string",
        power_levels(ALICE, changed(users={BOB: "50"})),
        room(),
        since("10"),
    ),
    Case("10.6", "old value above", power_levels(BOB, changed(ban=0)), room(levels=changed(ban=60))),
    Case("10.6", "removed value above", power_levels(BOB, changed(ban=None)), room(levels=changed(ban=60))),
    Case("10.6", "new value above", power_levels(BOB, changed(events_default=51)), room()),
    Case("10.6", "added value above", power_levels(BOB, changed(kick=51)), room(levels=changed(kick=None))),
    Case("10.7", "old entry above", power_levels(BOB, changed(events={"m.room.tombstone": 50})), room()),
    Case("10.7", "removed entry above", power_levels(BOB, changed(events={})), room()),
    Case(
        "10.7",
        "old notification level above",
        power_levels(BOB, LEVELS),
        room(levels=changed(notifications={"room": 51})),
    ),
    Case(
        "10.8",
        "new entry above",
        power_levels(BOB, changed(events={**LEVELS["events"], "org.example.loud": 51})),
        room(),
    ),
    Case(
        "10.8", "added entry above", power_levels(BOB, changed(notifications={"room": 50, "all": 51})), room()
    ),
    Case(
        "10.9", "superior lowered", power_levels(BOB, changed(users={ALICE: 0, BOB: 50})), room(), until("11")
    ),
    Case("10.9", "superior removed", power_levels(BOB, changed(users={BOB: 50})), room(), until("11")),
    Case(
        "10.9",
        "equal lowered",
        power_levels(BOB, LEVELS),
        room(levels=changed(users={ALICE: 100, BOB: 50, CAROL: 50})),
    ),
    Case(
        "10.10",
        "raised above oneself",
        power_levels(BOB, changed(users={**LEVELS["users"], CAROL: 51})),
        room(),
    ),
    Case("10.10", "raised oneself", power_levels(BOB, changed(users={ALICE: 100, BOB: 51})), room()),
]

ALLOWED = [
    Case("1", "first event of a room", create(), {}),
    Case("1.3", "no version named", create(content={}), {}),
    Case("3.4", "message in a room", message(CAROL), room()),
    Case("4", "stranger in a federated room", member(ZOE, ZOE, "join"), room(join_rule="public")),
    Case(
        "4",
        "own user in an unfederated room",
        message(CAROL),
        room(created=create(content={"m.federate": False})),
    ),
    Case(
        "5.2",
        "authorised on this server",
        member(NINA, NINA, "join", **authorised_by(BOB)),
        room(join_rule="restricted"),
        since("8"),
    ),
    Case("5.join.a", "creator joins first", member(ALICE, ALICE, "join"), JUST_CREATED),
    Case("5.join.d", "invited", member(IVY, IVY, "join"), room()),
    Case(
        "5.join.d",
        "invited, to a room that answers knocks",
        member(IVY, IVY, "join"),
        room(join_rule="knock"),
        since("7"),
    ),
    Case("5.join.d", "invited, without join rules", member(IVY, IVY, "join"), room(join_rule=None)),
    Case("5.join.d", "joined already", member(CAROL, CAROL, "join", displayname="C"), room()),
    Case("5.join.e", "invited", member(IVY, IVY, "join"), room(join_rule="restricted"), since("8")),
    Case(
        "5.join.e",
        "joined already",
        member(CAROL, CAROL, "join"),
        room(join_rule="knock_restricted"),
        since("10"),
    ),
    Case(
        "5.join.e",
        "authorised by a moderator",
        member(LOU, LOU, "join", **authorised_by(BOB)),
        room(join_rule="knock_restricted"),
        since("10"),
    ),
    Case("5.join.f", "anyone into a public room", member(NINA, NINA, "join"), room(join_rule="public")),
    Case("5.join.f", "creator comes back", member(ALICE, ALICE, "join"), room(join_rule="public")),
    Case("5.invite.d", "by a moderator", member(BOB, NINA, "invite"), room()),
    Case("5.invite.d", "of one who left", member(BOB, LOU, "invite"), room()),
    Case("5.invite.d", "answers a knock", member(BOB, KIM, "invite"), room(join_rule="knock")),
    Case("5.invite.d", "by a member, by default", member(CAROL, NINA, "invite"), room(levels={})),
    Case("5.leave.a", "member leaves", member(CAROL, CAROL, "leave"), room()),
    Case("5.leave.a", "invited user declines", member(IVY, IVY, "leave"), room()),
    Case("5.leave.a", "knock taken back", member(KIM, KIM, "leave"), room()),
    Case("5.leave.d", "kick by a moderator", member(BOB, CAROL, "leave"), room()),
    Case("5.leave.d", "unban with ban and kick level", member(BOB, EVE, "leave"), room()),
    Case("5.leave.d", "invitation taken back", member(BOB, IVY, "leave"), room()),
    Case("5.ban.b", "of a member", member(BOB, CAROL, "ban"), room()),
    Case("5.ban.b", "of one who never was there", member(BOB, NINA, "ban"), room()),
    Case(
        "5.knock.c",
        "by one who never was there",
        member(NINA, NINA, "knock"),
        room(join_rule="knock"),
        since("7"),
    ),
    Case(
        "5.knock.c",
        "by one who left",
        member(LOU, LOU, "knock"),
        room(join_rule="knock_restricted"),
        since("10"),
    ),
    Case("6", "message by a member", message(CAROL), room()),
    Case("7", "with the invite level", event("m.room.third_party_invite", BOB, {}, "abc"), room()),
    Case("8", "state with state_default", event("m.room.topic", BOB, {}, ""), room()),
    Case("8", "message that needs a level", message(BOB, "org.example.loud"), room()),
    Case("8", "creator without power levels event", event("m.room.topic", ALICE, {}, ""), room(levels=None)),
    Case("9", "state of oneself", event("org.example.own", BOB, {}, BOB), room()),
    Case("9", "key that is no user", event("org.example.own", BOB, {}, "alice@example.org"), room()),
    Case("10.1", "integers", power_levels(ALICE, {"ban": -1, "kick": 0}), room()),
    Case("10.2", "tables of integers", power_levels(ALICE, changed(events={}, notifications={})), room()),
    Case("10.3", "without users", power_levels(ALICE, changed(users=None)), room()),
    Case("10.5", "first event", power_levels(ALICE, changed(ban=1000)), room(levels=None)),
    Case("10.6", "values up to one's level", power_levels(BOB, changed(ban=0, kick=49, invite=None)), room()),
    Case(
        "10.7",
        "old entry at one's level",
        power_levels(BOB, changed(events={"m.room.tombstone": 100, "m.room.power_levels": 0})),
        room(),
    ),
    Case(
        "10.8",
        "new entry at one's level",
        power_levels(BOB, changed(notifications={"room": 50, "all": 50})),
        room(),
    ),
    Case(
        "10.9",
        "inferior removed",
        power_levels(BOB, LEVELS),
        room(levels=changed(users={**LEVELS["users"], CAROL: 49})),
    ),
    Case("10.9", "oneself lowered", power_levels(BOB, changed(users={ALICE: 100, BOB: 49})), room()),
    Case("10.9", "oneself removed", power_levels(BOB, changed(users={ALICE: 100})), room()),
    Case(
        "10.10",
        "raised to one's level",
        power_levels(BOB, changed(users={**LEVELS["users"], CAROL: 50})),
        room(),
    ),
    Case("11", "redaction by a member", event("m.room.redaction", CAROL, {"redacts": "$other"}), room()),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refuses(case: Case) -> None:
    assert rulings(case) == dict.fromkeys(case.versions, case.rule)


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_allows(case: Case) -> None:
    assert rulings(case) == dict.fromkeys(case.versions)


def rulings(case: Case) -> dict[str, str | None]:
    """The rule that refuses, by version."""
    return {
        name: refusing_rule(as_in(case.event, version), in_version(case.state, version), version)
        for name, version in SUPPORTED.items()
        if name in case.versions
    }


def test_refusal_is_a_forbidden_for_the_client() -> None:
    with pytest.raises(MatrixError) as refusal:
        authorise(message(LOU), room(), V11)
    assert refusal.value.kind is ErrorCode.FORBIDDEN


ALWAYS_NAMED = [("m.room.create", ""), ("m.room.power_levels", "")]


@pytest.mark.parametrize(
    ("made", "keys"),
    [
        (message(BOB), [BOB]),
        (power_levels(BOB, {}), [BOB]),
        (member(BOB, BOB, "leave"), [BOB]),
        (member(ALICE, BOB, "ban"), [ALICE, BOB]),
        (member(BOB, BOB, "join"), [BOB, "m.room.join_rules"]),
        (member(ALICE, BOB, "invite"), [ALICE, BOB, "m.room.join_rules"]),
        (member(BOB, BOB, "knock"), [BOB, "m.room.join_rules"]),
        (member(BOB, BOB, "join", **authorised_by(ALICE)), [BOB, "m.room.join_rules", ALICE]),
        (member(BOB, BOB, "join", **authorised_by(BOB)), [BOB, "m.room.join_rules"]),
        (member(BOB, BOB, "join", **authorised_by(["x"])), [BOB, "m.room.join_rules"]),
        (
            member(ALICE, NINA, "invite", **INVITE_BY_EMAIL),
            [ALICE, NINA, "m.room.join_rules", ("m.room.third_party_invite", "abc")],
        ),
        (member(ALICE, NINA, "invite", third_party_invite="x"), [ALICE, NINA, "m.room.join_rules"]),
    ],
)
def test_names_the_events_that_allow_it(made: Event, keys: list[str | StateKey]) -> None:
    assert keys_of(made) == [*ALWAYS_NAMED, *map(as_key, keys)]


def test_create_event_names_none() -> None:
    assert keys_of(create()) == []


def as_key(name: str | StateKey) -> StateKey:
    if isinstance(name, tuple):
        return name
    return ("m.room.member", name) if name.startswith("@") else (name, "")


@pytest.mark.parametrize("case", [*REFUSED, *ALLOWED], ids=str)
def test_decides_by_the_events_that_it_names_alone(case: Case) -> None:
    named = {key: case.state[key] for key in keys_of(case.event) if key in case.state}
    assert refusing_rule(case.event, named, V11) == refusing_rule(case.event, case.state, V11)


levels_values = st.sampled_from([-1, 0, 25, 49, 50, 51, 100])
levels_contents = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["ban", "events_default", "invite", "kick", "redact", "state_default", "users_default"],
            levels_values,
        ),
        "events": st.dictionaries(st.sampled_from(["m.room.power_levels", "m.room.name"]), levels_values),
        "notifications": st.dictionaries(st.sampled_from(["room", "all"]), levels_values),
        "users": st.dictionaries(st.sampled_from([ALICE, BOB, CAROL, DAN]), levels_values),
    },
)
members = st.sampled_from([ALICE, BOB, CAROL, DAN])


@given(levels_contents, levels_contents, members)
def test_nobody_without_the_level_changes_power_levels(
    old: dict[str, Any], new: dict[str, Any], sender: str
) -> None:
    known = PowerLevels(old, create(), V11)
    assume(known.of(sender) < known.to_send("m.room.power_levels", is_state=True))
    assert refusing_rule(power_levels(sender, new), room(levels=old), V11) == "8"


@given(levels_contents, levels_contents, members)
def test_nobody_gives_or_takes_more_than_they_have(
    old: dict[str, Any], new: dict[str, Any], sender: str
) -> None:
    level = PowerLevels(old, create(), V11).of(sender)
    if refusing_rule(power_levels(sender, new), room(levels=old), V11) is None:
        touched = differences(old, new)
        assert all(before is None or before <= level for _, before, _ in touched)
        assert all(after is None or after <= level for _, _, after in touched)
        others = [before for name, before, _ in touched if name[0] == "users" and name[1] != sender]
        assert all(before is None or before < level for before in others)


@given(levels_contents, members)
def test_same_levels_again_are_allowed_to_who_may_send_them(content: dict[str, Any], sender: str) -> None:
    rule = refusing_rule(power_levels(sender, content), room(levels=content), V11)
    assert rule in (None, "8")


@given(levels_contents, levels_contents, members, st.randoms(use_true_random=False))
def test_refusal_does_not_depend_on_the_order_of_keys(
    old: dict[str, Any], new: dict[str, Any], sender: str, dice: random.Random
) -> None:
    state, other_state = room(levels=old), shuffled(room(levels=shuffled(old, dice)), dice)
    assert refusal_of(power_levels(sender, new), state, V11) == refusal_of(
        power_levels(sender, shuffled(new, dice)), other_state, V11
    )


moves = st.tuples(
    members,
    members,
    st.sampled_from(["join", "invite", "leave", "ban", "knock"]),
    st.sampled_from(["public", "invite", "knock", "restricted", "knock_restricted"]),
)
# (before, after), by who makes the event; everybody begins with "leave".
OF_ONESELF = {
    ("leave", "join"),
    ("leave", "knock"),
    ("invite", "join"),
    ("invite", "leave"),
    ("join", "join"),
    ("join", "leave"),
    ("knock", "join"),
    ("knock", "knock"),
    ("knock", "leave"),
}
OF_ANOTHER = {
    ("leave", "invite"),
    ("invite", "invite"),
    ("knock", "invite"),
    *(
        (before, after)
        for before in ("leave", "invite", "join", "knock", "ban")
        for after in ("leave", "ban")
    ),
}


@given(st.lists(moves, max_size=30))
def test_memberships_change_only_along_the_lines(path: list[tuple[str, str, str, str]]) -> None:
    state: State = {**JUST_CREATED, ("m.room.member", ALICE): member(ALICE, ALICE, "join")}
    for sender, target, after, join_rule in path:
        state["m.room.join_rules", ""] = event("m.room.join_rules", ALICE, {"join_rule": join_rule}, "")
        made, standing = member(sender, target, after), state.get(("m.room.member", target))
        if refusing_rule(made, state, V11) is None:
            before = "leave" if standing is None else standing.content["membership"]
            assert (before, after) in (OF_ONESELF if sender == target else OF_ANOTHER)
            state["m.room.member", target] = made


def keys_of(made: Event) -> list[StateKey]:
    return list(auth_event_keys(made.type, made.sender, made.state_key, made.content, V11))


def shuffled(table: dict[Any, Any], dice: random.Random) -> dict[Any, Any]:
    """An equal dictionary, with its keys and those of the dictionaries in it in another order."""
    items = list(table.items())
    dice.shuffle(items)
    return {key: shuffled(value, dice) if isinstance(value, dict) else value for key, value in items}


def differences(
    old: dict[str, Any], new: dict[str, Any]
) -> list[tuple[tuple[str, str], int | None, int | None]]:
    """Every level that was added, changed or removed: its name, before, after."""
    before, after = flat(old), flat(new)
    return [
        (name, before.get(name), after.get(name))
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    ]


def flat(content: dict[str, Any]) -> dict[tuple[str, str], int]:
    levels: dict[tuple[str, str], int] = {}
    for name, value in content.items():
        entries = value if isinstance(value, dict) else {"": value}
        levels |= {(name, entry): level for entry, level in entries.items()}
    return levels
