"""The fold of state: what it is, what it was at any order, and what changed between two."""

from collections.abc import Iterable

from projections import state, timeline
from projections.facts import RoomEvent
from projections.timeline import TimelineEvent
from tests.projections.folding import (
    ALICE,
    BOB,
    OTHER_ROOM,
    ROOM,
    Folding,
    created,
    member,
    redaction,
    room_event,
)


def topic(event_id: str, *, room_id: str = ROOM) -> RoomEvent:
    return room_event(event_id, "m.room.topic", {"topic": event_id}, "", room_id=room_id)


def ids(found: Iterable[TimelineEvent]) -> list[str]:
    return [one.event_id for one in found]


def id_of(found: TimelineEvent | None) -> str | None:
    return None if found is None else found.event_id


def test_newer_event_replaces_the_one_under_its_key(folding: Folding) -> None:
    folding.entry(created(), topic("$1"))
    folding.entry(topic("$2"))
    with folding.view() as view:
        assert id_of(state.state_event(view, ROOM, "m.room.topic", "")) == "$2"
        assert ids(state.state_of(view, ROOM)) == ["$create", "$2"]


def test_key_is_of_room_type_and_state_key(folding: Folding) -> None:
    folding.entry(created(), created(OTHER_ROOM, event_id="$create-2"), topic("$1"))
    folding.entry(topic("$2", room_id=OTHER_ROOM), room_event("$3", "m.room.topic", {}, "key"))
    with folding.view() as view:
        assert id_of(state.state_event(view, ROOM, "m.room.topic", "")) == "$1"
        assert id_of(state.state_event(view, ROOM, "m.room.topic", "key")) == "$3"
        assert state.state_event(view, ROOM, "m.room.name", "") is None


def test_message_is_no_state_whatever_its_type(folding: Folding) -> None:
    folding.entry(created(), topic("$1"), room_event("$2", "m.room.topic", {"topic": "no"}))
    with folding.view() as view:
        assert ids(state.state_of(view, ROOM)) == ["$create", "$1"]


def test_state_was_what_it_was(folding: Folding) -> None:
    first = folding.entry(created(), topic("$1"))
    second = folding.entry(topic("$2"), member("$alice", ALICE, "join"))
    folding.entry(topic("$3"))
    with folding.view() as view:
        assert [ids(state.state_of(view, ROOM, at=at)) for at in range(first - 1, first + 2)] == [
            [],
            ["$create"],
            ["$create", "$1"],
        ]
        assert ids(state.state_of(view, ROOM, at=second)) == ["$create", "$2"]
        assert ids(state.state_of(view, ROOM, at=second + 1)) == ["$create", "$2", "$alice"]
        assert id_of(state.state_event(view, ROOM, "m.room.topic", "", at=second - 1)) == "$1"


def test_state_of_a_type_is_that_of_all_its_keys(folding: Folding) -> None:
    folding.entry(created(), member("$alice", ALICE, "join"), topic("$1"))
    before = folding.entry(member("$bob", BOB, "join"))
    folding.entry(member("$bob-2", BOB, "leave"))
    with folding.view() as view:
        assert ids(state.state_of_type(view, ROOM, "m.room.member")) == ["$alice", "$bob-2"]
        assert ids(state.state_of_type(view, ROOM, "m.room.member", at=before)) == ["$alice", "$bob"]


def test_changes_are_the_newest_under_each_key_in_between(folding: Folding) -> None:
    before = folding.entry(created(), topic("$1")) + 1
    folding.entry(topic("$2"), member("$alice", ALICE, "join"))
    last = folding.entry(topic("$3"))
    folding.entry(topic("$4"), created(OTHER_ROOM, event_id="$create-2"))
    with folding.view() as view:
        assert ids(state.changes(view, ROOM, after=before, until=last)) == ["$alice", "$3"]
        assert ids(state.changes(view, ROOM, after=before, until=last - 1)) == ["$2", "$alice"]
        assert ids(state.changes(view, ROOM, after=last, until=last)) == []


def test_redaction_hides_no_change(folding: Folding) -> None:
    before = folding.entry(created())
    changed = folding.entry(topic("$1"))
    folding.entry(room_event("$2"))
    last = folding.entry(redaction("$3", "$2"))
    with folding.view() as view:
        assert ids(state.changes(view, ROOM, after=before, until=last)) == ["$1"]
        assert ids(state.changes(view, ROOM, after=changed, until=last)) == []


def test_event_knows_what_it_replaced(folding: Folding) -> None:
    folding.entry(created(), topic("$1"), room_event("$message"))
    folding.entry(topic("$2"))
    with folding.view() as view:
        replaced = {
            event_id: id_of(state.replaced_by(view, found))
            for event_id in ("$1", "$2", "$message")
            if (found := timeline.event_by_id(view, event_id)) is not None
        }
    assert replaced == {"$1": None, "$2": "$1", "$message": None}


def test_history_is_everything_that_ever_stood_under_a_key(folding: Folding) -> None:
    folding.entry(created(), topic("$1"))
    folding.entry(topic("$2"), room_event("$3", "m.room.topic", {}, "key"))
    with folding.view() as view:
        assert ids(state.history(view, ROOM, "m.room.topic", "")) == ["$1", "$2"]


def test_redacted_state_still_stands_without_its_content(folding: Folding) -> None:
    folding.entry(created(), topic("$1"))
    folding.entry(redaction("$redaction", "$1"))
    with folding.view() as view:
        found = state.state_event(view, ROOM, "m.room.topic", "")
        assert found is not None
        assert (found.event_id, found.event.content) == ("$1", {})


def test_room_that_is_nowhere_has_no_state(folding: Folding) -> None:
    folding.entry(created())
    with folding.view() as view:
        assert state.state_of(view, "!nowhere:localhost") == []
