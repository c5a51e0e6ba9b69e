"""What a reader may see, held against the whole history of settings and of their own membership.

The server looks at those histories only where it has to; the model here looks at all of them, for each event.
"""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import timeline
from projections.facts import Order, RoomEvent, RoomForgotten
from server.rooms.visibility import Visibility
from tests.harness.local_homeserver import fast_directory
from tests.projections.folding import ALICE, BOB, ROOM, Folding, created, member, room_event


class Step(NamedTuple):
    kind: str
    value: str = ""


STEPS = st.one_of(
    st.builds(Step, st.just("own"), st.sampled_from(["join", "leave", "ban", "invite", "knock"])),
    st.builds(Step, st.just("other"), st.sampled_from(["join", "leave"])),
    st.builds(Step, st.just("setting"), st.sampled_from(["world_readable", "shared", "invited", "joined"])),
    st.just(Step("message")),
)


class Told(NamedTuple):
    order: Order
    event_id: str
    step: Step


class Model:
    """All that was told of a room, one after the other."""

    def __init__(self, told: list[Told]) -> None:
        self.told = told

    def own_at(self, order: Order) -> str:
        return self._last("own", order, "leave")

    def setting_at(self, order: Order) -> str:
        return self._last("setting", order, "shared")

    def joins_after(self, order: Order, until: Order) -> bool:
        return any(one.step == ("own", "join") and order < one.order <= until for one in self.told)

    def sees(self, one: Told) -> bool:
        places = (one.order, one.order - 1)
        own = {self.own_at(at) for at in (places if one.step.kind == "own" else places[:1])}
        shown = {self.setting_at(at) for at in (places if one.step.kind == "setting" else places[:1])}
        comes_later = self.joins_after(one.order, self.told[-1].order)
        return (
            "join" in own
            or "world_readable" in shown
            or ("shared" in shown and comes_later)
            or ("invited" in shown and "invite" in own)
        )

    def left_at(self, as_of: Order) -> Order | None:
        own = [one for one in self.told if one.step.kind == "own" and one.order <= as_of]
        joins = [place for place, one in enumerate(own) if one.step.value == "join"]
        after = own[joins[-1] + 1 :] if joins else []
        return after[0].order if after else None

    def _last(self, kind: str, order: Order, default: str) -> str:
        found = [one.step.value for one in self.told if one.step.kind == kind and one.order <= order]
        return found[-1] if found else default


def event_of(event_id: str, step: Step) -> RoomEvent:
    if step.kind == "message":
        return room_event(event_id)
    if step.kind == "setting":
        return room_event(event_id, "m.room.history_visibility", {"history_visibility": step.value}, "")
    return member(event_id, ALICE if step.kind == "own" else BOB, step.value)


def told_of(folding: Folding, steps: list[Step]) -> list[Told]:
    folding.entry(created())
    named = [(f"${number}", step) for number, step in enumerate(steps)]
    return [Told(folding.entry(event_of(event_id, step)), event_id, step) for event_id, step in named]


@given(st.lists(STEPS, min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_a_reader_sees_what_the_whole_history_says(steps: list[Step]) -> None:
    with fast_directory() as directory:
        folding = Folding(directory)
        told = told_of(folding, steps)
        model = Model(told)
        with folding.view() as view:
            for one in told:
                found = timeline.event_by_id(view, one.event_id)
                assert found is not None
                visibility = Visibility(
                    view, ROOM, ALICE
                )  # what one question found out is not used by the next
                assert visibility.sees(found) == model.sees(one)
                for at in (one.order, one.order - 1):
                    assert Visibility(view, ROOM, ALICE).membership_at(at) == model.own_at(at)
                    assert Visibility(view, ROOM, ALICE).setting_at(at) == model.setting_at(at)
                assert Visibility(view, ROOM, ALICE).left_at(one.order) == model.left_at(one.order)
                for until in (one.order, told[-1].order):
                    was_in = model.own_at(told[0].order) == "join" or model.joins_after(told[0].order, until)
                    assert Visibility(view, ROOM, ALICE).joined_between(told[0].order, until) == was_in
        folding.views.abandon()


@pytest.mark.parametrize("was", ["leave", "ban"])
def test_who_forgot_a_room_was_never_in_it(was: str) -> None:
    with fast_directory() as directory:
        folding = Folding(directory)
        *_, last = told_of(folding, [Step("own", "join"), Step("message"), Step("own", was)])
        folding.entry(RoomForgotten(user_id=ALICE, room_id=ROOM))
        with folding.view() as view:
            visibility = Visibility(view, ROOM, ALICE)
            assert visibility.membership_at(last.order) == "leave"
            assert not visibility.joined_between(0, last.order)
            assert visibility.left_at() is None
        folding.views.abandon()
