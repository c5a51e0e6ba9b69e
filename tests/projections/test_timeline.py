"""The fold of events: found by order, by room and by id, and pruned in place by redactions."""

import json

import pytest

from projections import timeline
from projections.facts import Transaction, order_of
from projections.timeline import Moment, Room, Tip
from tests.projections.folding import (
    ALICE,
    MADE_AT,
    OTHER_ROOM,
    ROOM,
    Folding,
    created,
    redaction,
    room_event,
)

ORDER_MAX = (1 << 63) - 1


def ids_in(folding: Folding, room_id: str = ROOM, **bounds: int) -> list[str]:
    """Oldest first; the other direction is made sure to yield the same."""
    after, before = bounds.get("after", 0), bounds.get("before", ORDER_MAX)
    with folding.view() as view:
        forwards, backwards = (
            [
                found.event_id
                for found in timeline.events_in_room(
                    view, room_id, after=after, before=before, backwards=backwards
                )
            ]
            for backwards in (False, True)
        )
    assert backwards == forwards[::-1]
    return forwards


def test_events_of_a_room_stand_in_the_order_of_the_log(folding: Folding) -> None:
    folding.entry(created(), room_event("$1"))
    folding.entry(created(OTHER_ROOM, event_id="$other"), room_event("$2"))
    folding.entry(room_event("$3"))
    assert ids_in(folding) == ["$create", "$1", "$2", "$3"]
    assert ids_in(folding, OTHER_ROOM) == ["$other"]


def test_bounds_of_a_timeline_are_exclusive(folding: Folding) -> None:
    orders = [folding.entry(created()), *(folding.entry(room_event(f"${number}")) for number in range(1, 5))]
    assert ids_in(folding, after=orders[1], before=orders[4]) == ["$2", "$3"]
    assert ids_in(folding, after=orders[4]) == []
    assert ids_in(folding, before=orders[0]) == []


def test_event_is_found_by_its_id_and_by_its_order(folding: Folding) -> None:
    first = folding.entry(created(), room_event("$1", content={"body": "hello"}))
    with folding.view() as view:
        found = timeline.event_by_id(view, "$1")
        assert found is not None
        assert found == timeline.event_at(view, first + 1)
        assert (found.order, found.room_id, found.event.content) == (first + 1, ROOM, {"body": "hello"})
        assert timeline.event_by_id(view, "$2") is None


def test_no_event_stands_at_the_order_of_another_fact(folding: Folding) -> None:
    with folding.view() as view, pytest.raises(LookupError, match="no event has the order 65536"):
        timeline.event_at(view, order_of(1))


def test_events_between_two_places_are_those_of_all_rooms(folding: Folding) -> None:
    first = folding.entry(created(), created(OTHER_ROOM, event_id="$other"))
    folding.entry(room_event("$1", room_id=OTHER_ROOM), room_event("$2"))
    folding.entry(room_event("$3"))
    with folding.view() as view:
        found = timeline.events_between(view, first, folding.head - 1)
        assert [event.event_id for event in found] == ["$other", "$1", "$2"]


def test_tip_is_the_last_event_of_the_room(folding: Folding) -> None:
    folding.entry(created())
    last = folding.entry(room_event("$1", depth=2))
    folding.entry(created(OTHER_ROOM, event_id="$other"))
    with folding.view() as view:
        assert timeline.tip(view, ROOM) == Tip("$1", 2, last, Moment(MADE_AT, last))
        assert timeline.tip(view, "!nowhere:localhost") is None


def test_room_is_what_its_first_event_says(folding: Folding) -> None:
    order = folding.entry(created())
    folding.entry(room_event("$again", "m.room.create", {"room_version": "1"}, ""))
    with folding.view() as view:
        assert timeline.room(view, ROOM) == Room(ROOM, "11", ALICE, order)
        assert timeline.version_of(view, ROOM).name == "11"
        assert [known.room_id for known in timeline.rooms(view)] == [ROOM]


def test_version_of_a_room_that_is_nowhere_is_an_error(folding: Folding) -> None:
    folding.entry(created(event_id="$1", version="of the future"))
    with folding.view() as view:
        for room_id in (ROOM, "!nowhere:localhost"):
            with pytest.raises(LookupError, match="no room"):
                timeline.version_of(view, room_id)


def test_event_keeps_the_transaction_of_its_request(folding: Folding) -> None:
    folding.entry(created(), room_event("$1", transaction=Transaction("PHONE", "PUT /send", "7")))
    with folding.view() as view:
        found = timeline.event_by_id(view, "$1")
        assert found is not None
        assert (found.device_id, found.transaction_id) == ("PHONE", "7")


def content_of(folding: Folding, event_id: str) -> tuple[object, int]:
    with folding.view() as view:
        found = timeline.event_by_id(view, event_id)
        assert found is not None
        return found.event.content, found.redacted_by


def test_redaction_takes_the_content_away(folding: Folding) -> None:
    folding.entry(created(), room_event("$1", content={"body": "regretted"}))
    order = folding.entry(redaction("$redaction", "$1"))
    assert content_of(folding, "$1") == ({}, order)
    assert content_of(folding, "$redaction")[0] == {"redacts": "$1", "reason": "spam"}


def test_redacted_event_is_pruned_canonical_json(folding: Folding) -> None:
    """The bytes that the event's id is the hash of, now and for ever."""
    content = {"membership": "join", "displayname": "Alice"}
    folding.entry(created(), room_event("$1", "m.room.member", content, ALICE), redaction("$2", "$1"))
    with folding.view() as view:
        found = timeline.event_by_id(view, "$1")
    assert found is not None
    fields = json.loads(found.stored)
    assert fields["content"] == {"membership": "join"}
    assert json.dumps(fields, sort_keys=True, separators=(",", ":")).encode() == found.stored


def test_first_redaction_stays_the_reason(folding: Folding) -> None:
    folding.entry(created(), room_event("$1", content={"body": "regretted"}))
    first = folding.entry(redaction("$first", "$1"))
    folding.entry(redaction("$second", "$1"))
    assert content_of(folding, "$1") == ({}, first)


def test_redaction_can_be_redacted_and_undoes_nothing(folding: Folding) -> None:
    folding.entry(created(), room_event("$1", content={"body": "regretted"}))
    first = folding.entry(redaction("$first", "$1"))
    second = folding.entry(redaction("$second", "$first"))
    assert content_of(folding, "$first") == ({"redacts": "$1"}, second)
    assert content_of(folding, "$1") == ({}, first)


@pytest.mark.parametrize("target", ["$other", "$nothing"])
def test_redaction_reaches_no_other_room(folding: Folding, target: str) -> None:
    folding.entry(created(), created(OTHER_ROOM, event_id="$create-2"))
    folding.entry(room_event("$other", content={"body": "hello"}, room_id=OTHER_ROOM))
    folding.entry(redaction("$redaction", target))
    assert content_of(folding, "$other") == ({"body": "hello"}, 0)


@pytest.mark.parametrize("content", [{}, {"redacts": 1}, {"redacts": ["$1"]}, {"redacts": None}])
def test_redaction_of_no_event_does_nothing(folding: Folding, content: dict[str, object]) -> None:
    folding.entry(created(), room_event("$1", content={"body": "hello"}))
    folding.entry(room_event("$redaction", "m.room.redaction", content))
    assert content_of(folding, "$1") == ({"body": "hello"}, 0)


def test_room_without_an_id_in_its_events_has_that_of_the_first(folding: Folding) -> None:
    """Room version 12: the room's id is the hash of the create event, which cannot hold it."""
    folding.entry(room_event("$hash", "m.room.create", {"room_version": "11"}, "", room_id="", is_first=True))
    assert ids_in(folding, "!hash") == ["$hash"]
