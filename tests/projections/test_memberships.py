"""The fold of memberships: by room and by user, counted, and when a user's own changed."""

import pytest

from projections import memberships
from projections.memberships import MemberCounts
from tests.projections.folding import ALICE, BOB, OTHER_ROOM, ROOM, Folding, created, member, room_event


def standing(folding: Folding, room_id: str = ROOM) -> dict[str, str]:
    with folding.view() as view:
        return {known.user_id: known.membership for known in memberships.members(view, room_id)}


def counted(folding: Folding, room_id: str = ROOM) -> MemberCounts:
    with folding.view() as view:
        return memberships.counts(view, room_id)


def test_membership_is_that_of_the_last_member_event(folding: Folding) -> None:
    folding.entry(created(), member("$1", ALICE, "join"), member("$2", BOB, "invite"))
    order = folding.entry(member("$3", BOB, "join"))
    assert standing(folding) == {ALICE: "join", BOB: "join"}
    with folding.view() as view:
        known = memberships.membership_of(view, ROOM, BOB)
        assert known is not None
        assert (known.room_id, known.user_id, known.membership, known.order) == (ROOM, BOB, "join", order)
        assert memberships.membership_of(view, ROOM, "@carol:localhost") is None


@pytest.mark.parametrize(
    ("membership", "is_joined"),
    [("join", True), ("invite", False), ("leave", False), ("ban", False), ("knock", False)],
)
def test_only_who_joined_is_in(folding: Folding, membership: str, is_joined: bool) -> None:
    folding.entry(created(), member("$1", BOB, membership))
    with folding.view() as view:
        assert memberships.is_joined(view, ROOM, BOB) is is_joined


def test_member_event_without_a_state_key_is_none(folding: Folding) -> None:
    folding.entry(created(), room_event("$1", "m.room.member", {"membership": "join"}))
    assert (standing(folding), counted(folding)) == ({}, MemberCounts())


def test_redaction_of_a_member_event_leaves_the_membership(folding: Folding) -> None:
    folding.entry(created(), member("$1", ALICE, "join"))
    folding.entry(room_event("$2", "m.room.redaction", {"redacts": "$1"}))
    assert standing(folding) == {ALICE: "join"}


def test_counts_follow_every_change(folding: Folding) -> None:
    steps = [
        ("join", 1, 0),
        ("join", 1, 0),
        ("leave", 0, 0),
        ("invite", 0, 1),
        ("invite", 0, 1),
        ("join", 1, 0),
    ]
    steps += [("ban", 0, 0), ("leave", 0, 0), ("knock", 0, 0), ("invite", 0, 1), ("leave", 0, 0)]
    folding.entry(created())
    for number, (membership, joined, invited) in enumerate(steps):
        folding.entry(member(f"${number}", BOB, membership))
        assert counted(folding) == MemberCounts(joined, invited)


def test_rooms_of_a_user_are_all_that_they_had_to_do_with(folding: Folding) -> None:
    folding.entry(created(), created(OTHER_ROOM, event_id="$create-2"), member("$1", ALICE, "join"))
    folding.entry(member("$2", BOB, "join"), member("$3", BOB, "leave", room_id=OTHER_ROOM))
    with folding.view() as view:
        found = {known.room_id: known.membership for known in memberships.rooms_of(view, BOB)}
        assert found == {ROOM: "join", OTHER_ROOM: "leave"}
        assert [known.room_id for known in memberships.rooms_of(view, ALICE)] == [ROOM]


def test_rooms_changed_are_those_of_ones_own_member_events_since(folding: Folding) -> None:
    folding.entry(created(), member("$1", ALICE, "join"))
    before = folding.entry(created(OTHER_ROOM, event_id="$create-2"), member("$2", BOB, "join")) + 1
    last = folding.entry(member("$3", BOB, "join", room_id=OTHER_ROOM), member("$4", ALICE, "leave"))
    with folding.view() as view:
        assert memberships.rooms_changed(view, BOB, after=before - 1) == {ROOM, OTHER_ROOM}
        assert memberships.rooms_changed(view, BOB, after=before) == {OTHER_ROOM}
        assert memberships.rooms_changed(view, BOB, after=last) == set()


def test_rooms_of_others_are_no_ones_own(folding: Folding) -> None:
    folding.entry(created(), member("$1", BOB, "join"))
    assert (standing(folding, OTHER_ROOM), counted(folding, OTHER_ROOM)) == ({}, MemberCounts())
