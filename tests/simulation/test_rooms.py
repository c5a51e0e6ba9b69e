"""Random users in random rooms, retries and restarts among them, against a model of plain dictionaries.

Decisions go through a real writer over a real log and real views, one at a time or several in one batch.
After every step all reads agree with the model; at the end, for every prefix of the log, views rebuilt
from nothing equal views that followed, and both equal what the server's own views were at that point.

Every run of the suite tries the same examples; `--long` tries many more, and others every time. What
fails is shrunk and printed as the steps of a test, with the line that repeats it.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from eventlog.log import Log
from eventlog.memory_log import MemoryLog
from projections import dedup, memberships, state, timeline
from projections.facts import Transaction
from projections.follower import catch_up, open_views, rebuild
from projections.memberships import MemberCounts
from projections.sessions import Session
from projections.view import View
from server.config import views_path
from server.errors import MatrixError
from server.rooms import membership
from server.rooms.creation import CreateRoom, RoomRequest, create_room
from server.rooms.membership import Entering, MemberChange, member_content
from server.rooms.redaction import Redact, redact
from server.rooms.sending import SendMessage, SetState, send_message, set_state
from server.users.registration import Register, register
from server.writer import Decision
from tests.harness import generators
from tests.harness.generators import LevelChange, Move
from tests.harness.local_homeserver import SeededText, Ticking, fast_directory, local_homeserver
from tests.harness.model import Content, Event, Model, Refused, Room, new_room, same

ORDER_MAX = (1 << 63) - 1


class Asked(NamedTuple):
    """A request to the server and the same one to the model."""

    decision: Decision[Any, Any]
    arguments: Any
    expected: Callable[[], Any]
    """The event whose id is answered, any other answer, or `None` if the answer says nothing."""


class RoomMachine(RuleBasedStateMachine):
    """The server on one side, the model on the other; each rule asks both."""

    rooms = Bundle("rooms")
    sent = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.gathered: list[Asked] = []
        self.digests: dict[int, str] = {}
        self.dies = False
        self.now, self.random_text = Ticking(), SeededText()
        self.resources = ExitStack()
        self.loop = self.resources.enter_context(asyncio.Runner())
        self.data = self.resources.enter_context(fast_directory())
        self.open()

    def open(self) -> None:
        self.parts = AsyncExitStack()
        opening = local_homeserver(
            self.data, now=self.now, random_text=self.random_text, dies=lambda: self.dies
        )
        running = self.loop.run(self.parts.enter_async_context(opening))
        self.homeserver, self.writer = running.homeserver, running.writer

    def close(self) -> None:
        self.loop.run(self.parts.aclose())

    def ask(self, asked: Asked, *, waits: bool = False) -> Any:
        """Ask both and compare. What `waits` goes into one batch with whatever is asked next."""
        self.gathered.append(asked)
        if waits:
            return None
        answers = self.settle()
        return answers[-1]

    def settle(self) -> list[Any]:
        batch, self.gathered = self.gathered, []
        answers = self.loop.run(self.decide_at_once(batch))
        for asked, answer in zip(batch, answers, strict=True):
            check_answer(asked, answer)
        self.digests[self.writer.head] = self.homeserver.views.digest()
        return answers

    async def decide_at_once(self, batch: list[Asked]) -> list[Any]:
        decisions = (self.writer.decide(asked.decision, asked.arguments) for asked in batch)
        return await asyncio.gather(*decisions, return_exceptions=True)

    # What users do

    @initialize()
    def three_users(self) -> None:
        for localpart in generators.LOCALPARTS[:3]:
            self.somebody_registers(localpart)

    @initialize(
        target=rooms,
        preset=generators.presets,
        bob_level=st.sampled_from([0, 50, 100]),
        carol=st.sampled_from(["leave", "join", "ban", "invite"]),
    )
    def a_room_with_people(self, preset: str | None, bob_level: int, carol: str) -> Any:
        """Where something can happen: members of some power, and somebody at the door."""
        alice, bob, carol_id = (f"@{localpart}:localhost" for localpart in generators.LOCALPARTS[:3])
        levels = {"users": {alice: 100, bob: bob_level}}
        invited = [bob] if carol in ("leave", "ban") else [bob, carol_id]
        request = RoomRequest(
            preset=preset, invite=invited, room_version="11", power_level_content_override=levels
        )
        room_id = self.make_room(alice, request)
        self.move("join", room_id, bob, bob)
        if carol == "join":
            self.move("join", room_id, carol_id, carol_id)
        elif carol == "ban":
            self.move("ban", room_id, alice, carol_id)
        return room_id

    @rule(localpart=st.sampled_from([*generators.LOCALPARTS, "Alice"]))
    def somebody_registers(self, localpart: str) -> None:
        user_id = f"@{localpart}:localhost"

        def expected() -> str:
            self.model.register(user_id)
            return user_id

        self.ask(Asked(register, Register(localpart, "", None), expected))

    @rule(target=rooms, who=generators.people, request=generators.room_requests)
    def somebody_makes_a_room(self, who: int, request: RoomRequest) -> Any:
        return self.make_room(self.anybody(who), request)

    def make_room(self, creator: str, request: RoomRequest) -> Any:
        made: list[Room] = []
        asked = Asked(
            create_room,
            CreateRoom(session(creator), request),
            lambda: made.append(
                new_room(
                    creator,
                    preset=request.preset,
                    name=request.name,
                    invite=request.invite,
                    levels=request.power_level_content_override,
                    initial_state=[(s.type, s.state_key, s.content) for s in request.initial_state],
                )
            ),
        )
        room_id = self.ask(asked)
        if not made:
            return multiple()
        self.model.rooms[room_id] = made[0]
        return room_id

    @rule(
        target=sent,
        room_id=rooms,
        who=generators.people,
        device=generators.devices,
        event_type=generators.message_types,
        content=generators.contents,
        txn_id=generators.transaction_ids,
        waits=st.booleans(),
    )
    def somebody_sends(
        self,
        room_id: str,
        who: int,
        device: str,
        event_type: str,
        content: Content,
        txn_id: str | None,
        waits: bool,
    ) -> Any:
        sender = self.somebody_in(room_id, who)
        transaction = transaction_of(device, f"PUT /rooms/{room_id}/send/{event_type}", txn_id)
        asked = Asked(
            send_message,
            SendMessage(session(sender, device), room_id, event_type, content, transaction),
            lambda: self.model.send(room_id, sender, event_type, content, key_of(sender, transaction)),
        )
        self.ask(asked, waits=waits)
        return multiple() if transaction is None else asked

    @rule(
        target=sent,
        room_id=rooms,
        who=generators.people,
        device=generators.devices,
        other_room_id=rooms,
        index=st.integers(0, 30),
        content=generators.contents,
        txn_id=generators.transaction_ids,
        waits=st.booleans(),
    )
    def somebody_redacts(
        self,
        room_id: str,
        who: int,
        device: str,
        other_room_id: str,
        index: int,
        content: Content,
        txn_id: str | None,
        waits: bool,
    ) -> Any:
        sender, target = self.somebody_in(room_id, who), self.event_id_in(other_room_id, index)
        transaction = transaction_of(device, f"PUT /rooms/{room_id}/redact/{target}", txn_id)
        asked = Asked(
            redact,
            Redact(session(sender, device), room_id, target, content, transaction),
            lambda: self.model.redact(room_id, sender, target, content, key_of(sender, transaction)),
        )
        self.ask(asked, waits=waits)
        return multiple() if transaction is None else asked

    @rule(asked=sent, waits=st.booleans())
    def somebody_tries_again(self, asked: Asked, waits: bool) -> None:
        self.ask(asked, waits=waits)

    @rule(room_id=rooms, who=generators.people, stated=generators.states, waits=st.booleans())
    def somebody_sets_state(
        self, room_id: str, who: int, stated: tuple[str, str, Content], waits: bool
    ) -> None:
        self.set_state(room_id, self.somebody_in(room_id, who), stated, waits)

    @rule(
        room_id=rooms,
        index=st.integers(0, 9),
        who=st.none() | generators.people,
        resembles=st.booleans(),
        waits=st.booleans(),
    )
    def somebody_sets_state_again(
        self, room_id: str, index: int, who: int | None, resembles: bool, waits: bool
    ) -> None:
        """The same as stands already, or what Python takes for the same; by who set it, or by another."""
        standing = list(self.model.rooms[room_id]["state"].values())
        event = standing[-1 - index % len(standing)]
        content = generators.resembling(event["content"]) if resembles else event["content"]
        sender = event["sender"] if who is None else self.somebody_in(room_id, who)
        self.set_state(room_id, sender, (event["type"], event["state_key"], content), waits)

    @rule(room_id=rooms, who=generators.people, changes=generators.level_changes, waits=st.booleans())
    def somebody_changes_levels(
        self, room_id: str, who: int, changes: list[LevelChange], waits: bool
    ) -> None:
        content = generators.levels_after(self.model.rooms[room_id], changes)
        self.set_state(room_id, self.somebody_in(room_id, who), ("m.room.power_levels", "", content), waits)

    def set_state(self, room_id: str, sender: str, stated: tuple[str, str, Content], waits: bool) -> None:
        event_type, state_key, content = stated
        asked = Asked(
            set_state,
            SetState(session(sender), room_id, event_type, state_key, content),
            lambda: self.model.set_state(room_id, sender, event_type, state_key, content),
        )
        self.ask(asked, waits=waits)

    @rule(room_id=rooms, moves=generators.moves, waits=st.booleans())
    def people_come_and_go(self, room_id: str, moves: list[Move], waits: bool) -> None:
        """One after the other, and all in one batch."""
        for verb, who, whom in moves:
            sender = self.anybody(who)
            if verb in ("join", "leave", "knock"):
                self.move(verb, room_id, sender, sender, waits=True)
            else:
                self.move(verb, room_id, self.somebody_in(room_id, who), self.anybody(whom), waits=True)
        if not waits:
            self.settle()

    def move(self, verb: str, room_id: str, sender: str, other: str, waits: bool = False) -> None:
        if verb in ("join", "knock"):
            self.enter(verb, room_id, sender, waits)
            return
        decision, becomes, expected = {
            "leave": (membership.change_membership, "leave", self.model.leave),
            "invite": (membership.invite, "invite", self.model.invite),
            "kick": (membership.kick, "leave", self.model.kick),
            "ban": (membership.change_membership, "ban", self.model.ban),
            "unban": (membership.unban, "leave", self.model.unban),
        }[verb]
        change = MemberChange(session(sender), room_id, other, member_content(becomes))
        self.ask(Asked(decision, change, lambda: expected(room_id, sender, other)), waits=waits)

    def enter(self, verb: str, room_id: str, sender: str, waits: bool) -> None:
        def expected() -> str:
            self.model.set_member(room_id, sender, sender, {"membership": verb})
            return room_id

        decision = membership.join if verb == "join" else membership.knock
        self.ask(Asked(decision, Entering(session(sender), room_id), expected), waits=waits)

    @rule(
        room_id=rooms,
        who=generators.people,
        whom=generators.people,
        content=generators.member_contents,
        waits=st.booleans(),
    )
    def somebody_sets_a_member_event(
        self, room_id: str, who: int, whom: int, content: Content, waits: bool
    ) -> None:
        """What the verbs do and what they do not, through the path of state."""
        sender, other = self.anybody(who), self.anybody(whom)
        self.set_state(room_id, sender, ("m.room.member", other, content), waits)

    @rule(room_id=rooms, who=generators.people, rule=generators.join_rules, waits=st.booleans())
    def somebody_opens_or_closes_the_door(self, room_id: str, who: int, rule: Content, waits: bool) -> None:
        self.set_state(room_id, self.somebody_in(room_id, who), ("m.room.join_rules", "", rule), waits)

    @rule(who=generators.people, waits=st.booleans())
    def somebody_mistakes_the_room(self, who: int, waits: bool) -> None:
        self.set_state("!nowhere:localhost", self.anybody(who), ("m.room.topic", "", {}), waits)

    def anybody(self, who: int) -> str:
        users = sorted(self.model.users)
        return users[who % len(users)]

    def somebody_in(self, room_id: str, who: int) -> str:
        """Most often a member of the room, if it has any."""
        members = self.model.rooms[room_id]["members"]
        joined = sorted(user for user, standing in members.items() if standing == "join")
        return joined[who % len(joined)] if joined and who < generators.STRANGERS_FROM else self.anybody(who)

    def event_id_in(self, room_id: str, index: int) -> str:
        """One of the room's events whose id is known, counted from the last one."""
        known = [event["event_id"] for event in self.model.rooms[room_id]["timeline"] if event["event_id"]]
        return known[-1 - index % len(known)] if known else "$nothing"

    # What happens to the server

    @rule(how=st.sampled_from(["is stopped", "is killed", "loses its views"]))
    def the_server_starts_again(self, how: str) -> None:
        self.settle()
        self.dies = how != "is stopped"
        self.close()
        if how == "loses its views":
            shutil.rmtree(views_path(self.data))
        self.open()
        assert self.homeserver.views.digest() == self.digests[self.writer.head]

    # What must hold whenever nobody waits for an answer

    @invariant()
    def every_room_is_as_the_model_has_it(self) -> None:
        if self.gathered:
            return
        with self.homeserver.views.read() as view:
            for room_id, room in self.model.rooms.items():
                check_timeline(view, room_id, room["timeline"])
                check_state(view, room_id, room["state"])
                check_members(view, room_id, room["members"])

    @invariant()
    def every_user_is_in_the_rooms_that_the_model_has(self) -> None:
        if self.gathered:
            return
        with self.homeserver.views.read() as view:
            for user_id in self.model.users:
                found = {known.room_id: known.membership for known in memberships.rooms_of(view, user_id)}
                assert found == {
                    room_id: room["members"][user_id]
                    for room_id, room in self.model.rooms.items()
                    if user_id in room["members"]
                }

    @invariant()
    def every_transaction_is_answered_by_its_first_event(self) -> None:
        if self.gathered:
            return
        with self.homeserver.views.read() as view:
            for (user_id, device, request, txn_id), event in self.model.transactions.items():
                made = dedup.event_made_by(view, user_id, Transaction(device, request, txn_id))
                assert made == event["event_id"]

    def teardown(self) -> None:
        with self.resources:
            try:
                self.settle()
                self.past_states_are_as_the_model_has_them()
                self.loop.run(self.every_prefix_folds_to_equal_views(self.homeserver.log))
            finally:
                self.close()

    def past_states_are_as_the_model_has_them(self) -> None:
        with self.homeserver.views.read() as view:
            for room_id, room in self.model.rooms.items():
                past: dict[tuple[str, str], str] = {}
                for found in timeline_of(view, room_id):
                    event = found.event
                    if event.state_key is not None:
                        past[event.type, event.state_key] = found.event_id
                    then = state.state_of(view, room_id, at=found.order)
                    assert {(one.event.type, one.event.state_key): one.event_id for one in then} == past
                assert len(room["timeline"]) > 0

    async def every_prefix_folds_to_equal_views(self, log: Log) -> None:
        """The entries one by one into a log whose views follow it, beside views that begin anew each time."""
        prefix = MemoryLog()
        followed = open_views(self.data / "followed", prefix)
        rebuilt = open_views(self.data / "rebuilt", prefix)
        try:
            async for entry in log.read():
                await prefix.append([entry.payload], after=entry.position - 1)
                await catch_up(prefix, followed)
                await rebuild(prefix, rebuilt)
                digest = followed.digest()
                assert rebuilt.digest() == digest
                assert self.digests.get(entry.position, digest) == digest
        finally:
            followed.abandon()
            rebuilt.abandon()


def check_answer(asked: Asked, answer: Any) -> None:
    """Ask the model too, and tell it the id of the event that was made."""
    refused_as: str | None = None
    expected: Any = None
    try:
        expected = asked.expected()
    except Refused as refused:
        refused_as = refused.errcode
    if isinstance(answer, BaseException):
        assert isinstance(answer, MatrixError), f"{asked}: {answer!r}"
        assert answer.kind.code == refused_as, f"{asked}: {answer}"
        return
    assert refused_as is None, f"{asked} is answered by {answer}"
    if isinstance(expected, dict):
        assert expected["event_id"] in (None, answer), f"{asked} answers another event"
        expected["event_id"] = answer
    elif expected is not None:
        assert answer == expected


def session(user_id: str, device_id: str = generators.DEVICES[0]) -> Session:
    return Session(user_id, device_id)


def transaction_of(device_id: str, request: str, txn_id: str | None) -> Transaction | None:
    return None if txn_id is None else Transaction(device_id, request, txn_id)


def key_of(user_id: str, transaction: Transaction | None) -> tuple[str, ...] | None:
    if transaction is None:
        return None
    return (user_id, transaction.device_id, transaction.request, transaction.id)


def timeline_of(view: View, room_id: str, *, backwards: bool = False) -> list[timeline.TimelineEvent]:
    return list(timeline.events_in_room(view, room_id, after=0, before=ORDER_MAX, backwards=backwards))


def check_timeline(view: View, room_id: str, expected: list[Event]) -> None:
    found = timeline_of(view, room_id)
    assert len(found) == len(expected)
    for one, event in zip(found, expected, strict=True):
        shown = one.event
        assert (shown.type, shown.sender, shown.state_key) == (
            event["type"],
            event["sender"],
            event["state_key"],
        )
        assert same(shown.content, event["content"])
        redacted_by = timeline.event_at(view, one.redacted_by).event_id if one.redacted_by else None
        assert redacted_by == (event["redacted_by"] and event["redacted_by"]["event_id"])
        assert event["event_id"] in (None, one.event_id)
        event["event_id"] = one.event_id
        assert timeline.event_by_id(view, one.event_id) == one
    assert [one.order for one in timeline_of(view, room_id, backwards=True)] == sorted(
        (one.order for one in found), reverse=True
    )
    assert len({one.event_id for one in found}) == len(found)


def check_state(view: View, room_id: str, expected: dict[tuple[str, str], Event]) -> None:
    found = {(one.event.type, one.event.state_key): one.event_id for one in state.state_of(view, room_id)}
    assert found == {at: event["event_id"] for at, event in expected.items()}
    for (event_type, state_key), event_id in found.items():
        single = state.state_event(view, room_id, event_type, str(state_key))
        assert single is not None
        assert single.event_id == event_id


def check_members(view: View, room_id: str, expected: dict[str, str]) -> None:
    found = {known.user_id: known.membership for known in memberships.members(view, room_id)}
    assert found == expected
    standing = list(expected.values())
    assert memberships.counts(view, room_id) == MemberCounts(standing.count("join"), standing.count("invite"))


TestRooms = RoomMachine.TestCase
TestRooms.settings = settings(
    max_examples=130,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.long
def test_rooms_for_long() -> None:
    run_state_machine_as_test(
        RoomMachine,
        settings=settings(
            max_examples=200, stateful_step_count=60, deadline=None, print_blob=True, database=None
        ),
    )
