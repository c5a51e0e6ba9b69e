"""Rooms that let in whoever is in another room: the server finds a member who may vouch for it."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from tests.harness.client import Client, error_of, path_of

FORBIDDEN = (403, "M_FORBIDDEN")
AUTHORISER = "join_authorised_via_users_server"

NewRoom: TypeAlias = Callable[..., str]


@pytest.fixture
def club(alice: Client) -> str:
    """Whoever is in here may come into the restricted rooms."""
    return alice.create_room(preset="public_chat")


@pytest.fixture
def restricted(alice: Client, club: str) -> NewRoom:
    """Makes rooms of Alice's for the members of the club."""

    def make(rule: str = "restricted", **request: Any) -> str:
        allow = [{"type": "m.room_membership", "room_id": club}]
        rules = {"type": "m.room.join_rules", "content": {"join_rule": rule, "allow": allow}}
        return alice.create_room(initial_state=[rules], **request)

    return make


def member(observer: Client, room: str, user_id: str) -> Any:
    return observer.must("GET", path_of("rooms", room, "state", "m.room.member", user_id))


@pytest.mark.parametrize("rule", ["restricted", "knock_restricted"])
def test_a_member_of_the_other_room_comes_in(
    alice: Client, bob: Client, club: str, restricted: NewRoom, rule: str
) -> None:
    room = restricted(rule)
    bob.join(club)
    bob.join(room)
    assert member(alice, room, bob.user_id) == {"membership": "join", AUTHORISER: alice.user_id}


def test_whoever_is_not_in_the_other_room_stays_out(bob: Client, club: str, restricted: NewRoom) -> None:
    room = restricted()
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN
    bob.join(club)
    bob.leave(club)
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN


def test_an_invitation_needs_nobody_to_vouch(alice: Client, bob: Client, restricted: NewRoom) -> None:
    room = restricted()
    alice.invite(room, bob.user_id)
    bob.join(room)
    assert member(alice, room, bob.user_id) == {"membership": "join"}


def test_nobody_vouches_for_themselves(alice: Client, bob: Client, restricted: NewRoom) -> None:
    """Whom a client names is not asked: the conditions are the server's to check."""
    room = restricted()
    path = path_of("rooms", room, "state", "m.room.member", bob.user_id)
    claimed = {"membership": "join", AUTHORISER: alice.user_id}
    assert error_of(bob.call("PUT", path, claimed)) == FORBIDDEN


def test_somebody_who_may_invite_has_to_be_there(
    alice: Client, bob: Client, carol: Client, club: str, restricted: NewRoom
) -> None:
    room = restricted(power_level_content_override={"invite": 50})
    for guest in (bob, carol):
        guest.join(club)
    bob.join(room)
    alice.leave(room)
    assert error_of(carol.call("POST", path_of("join", room), {})) == FORBIDDEN


def test_any_member_vouches_where_anybody_invites(
    alice: Client, bob: Client, carol: Client, club: str, restricted: NewRoom
) -> None:
    room = restricted()
    for guest in (bob, carol):
        guest.join(club)
    bob.join(room)
    alice.leave(room)
    carol.join(room)
    assert member(bob, room, carol.user_id)[AUTHORISER] == bob.user_id


def test_joining_a_restricted_room_twice_makes_one_event(
    alice: Client, bob: Client, club: str, restricted: NewRoom
) -> None:
    room = restricted()
    bob.join(club)
    bob.join(room)
    before = alice.messages(room, limit=1)["chunk"][0]["event_id"]
    bob.join(room)
    assert alice.messages(room, limit=1)["chunk"][0]["event_id"] == before


@pytest.mark.parametrize(
    "allow",
    [None, "all", [None], [{}], [{"type": "m.room_membership"}], [{"type": "com.example.other"}]],
)
def test_conditions_that_make_no_sense_let_nobody_in(alice: Client, bob: Client, allow: object) -> None:
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "restricted", "allow": allow}}
    room = alice.create_room(initial_state=[rules])
    assert error_of(bob.call("POST", path_of("join", room), {})) == FORBIDDEN
