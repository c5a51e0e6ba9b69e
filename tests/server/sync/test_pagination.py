"""A page looks at a bounded number of events, and says where to go on, also when it found nothing."""

from collections.abc import Iterator

import pytest

from projections.facts import end_of
from server.rooms.visibility import Visibility
from server.sync import pagination
from server.sync.filters import RoomEventFilter
from server.sync.pagination import PageRequest, walk
from tests.harness.local_homeserver import fast_directory
from tests.projections.folding import ALICE, BOB, ROOM, Folding, created, member, room_event

HIDDEN = [f"$hidden{number}" for number in range(10)]


@pytest.fixture
def room() -> Iterator[Folding]:
    """What was said before Bob came is for members of that time only."""
    with fast_directory() as directory:
        room = Folding(directory)
        setting = {"history_visibility": "joined"}
        room.entry(created(), member("$alice", ALICE, "join"))
        room.entry(room_event("$setting", "m.room.history_visibility", setting, ""))
        for event_id in HIDDEN:
            room.entry(room_event(event_id))
        room.entry(member("$bob", BOB, "join"), room_event("$welcome"))
        yield room
        room.views.abandon()


def pages(room: Folding, user_id: str, *, backwards: bool, limit: int) -> list[list[str]]:
    """All pages, each begun where the last one says that it goes on."""
    found: list[list[str]] = []
    head = end_of(room.head)
    place: int | None = head if backwards else 0
    while place is not None:
        request = PageRequest(
            room_id=ROOM, start=place, stop=None, backwards=backwards, limit=limit, wanted=RoomEventFilter()
        )
        with room.view() as view:
            walked = walk(view, Visibility(view, ROOM, user_id), request, head)
        found.append([event.event_id for event in walked.events])
        place = walked.next_place
        assert len(found) < 100
    return found


@pytest.mark.parametrize("backwards", [True, False])
def test_pages_through_what_is_hidden_are_empty_and_go_on(
    room: Folding, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    monkeypatch.setattr(pagination, "_EVENTS_LOOKED_AT_MAX", 3)
    found = pages(room, BOB, backwards=backwards, limit=10)
    assert [] in found[:-1]
    seen = [event_id for page in found for event_id in page]
    assert seen[:: -1 if backwards else 1] == ["$create", "$alice", "$setting", "$bob", "$welcome"]


@pytest.mark.parametrize("looked_at_max", [1, 2, 5, 100])
@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("backwards", [True, False])
def test_pages_have_every_event_once_whatever_the_bounds(
    room: Folding, monkeypatch: pytest.MonkeyPatch, backwards: bool, limit: int, looked_at_max: int
) -> None:
    monkeypatch.setattr(pagination, "_EVENTS_LOOKED_AT_MAX", looked_at_max)
    found = [event_id for page in pages(room, ALICE, backwards=backwards, limit=limit) for event_id in page]
    assert found[:: -1 if backwards else 1] == [
        "$create",
        "$alice",
        "$setting",
        *HIDDEN,
        "$bob",
        "$welcome",
    ]
