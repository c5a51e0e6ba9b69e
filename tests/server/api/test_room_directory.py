"""Names for rooms that people can type."""

import itertools
from collections.abc import Iterator

import pytest

from tests.harness.client import Client, error_of, path_of
from tests.server.conftest import every_prefix

requirement = pytest.mark.requirement

_numbers = itertools.count(1)


def new_alias() -> str:
    return f"#alias{next(_numbers)}:localhost"


def alias_path(alias: str) -> str:
    return path_of("directory", "room", alias)


@pytest.fixture
def alias(alice: Client, room: str) -> Iterator[str]:
    """A name of Alice's room."""
    name = new_alias()
    alice.must("PUT", alias_path(name), {"room_id": room})
    yield name
    alice.call("DELETE", alias_path(name))


@every_prefix
@requirement("M13")
def test_an_alias_is_looked_up_without_a_token(anybody: Client, alias: str, room: str) -> None:
    assert anybody.must("GET", alias_path(alias)) == {"room_id": room, "servers": ["localhost"]}


@every_prefix
@requirement("M13")
def test_an_alias_that_nobody_made_is_not_there(anybody: Client) -> None:
    for name in ("#nowhere:localhost", "#nowhere:elsewhere", "no alias"):
        assert error_of(anybody.call("GET", alias_path(name))) == (404, "M_NOT_FOUND")


@every_prefix
@requirement("M13")
def test_an_alias_can_be_taken_away(alice: Client, alias: str, room: str) -> None:
    assert alice.must("DELETE", alias_path(alias)) == {}
    assert error_of(alice.call("GET", alias_path(alias))) == (404, "M_NOT_FOUND")
    assert error_of(alice.call("DELETE", alias_path(alias))) == (404, "M_NOT_FOUND")
    assert alice.must("GET", path_of("rooms", room, "aliases")) == {"aliases": []}


@every_prefix
@requirement("M13")
def test_a_taken_alias_stays_where_it_is(alice: Client, alias: str, room: str) -> None:
    elsewhere = alice.create_room()
    assert error_of(alice.call("PUT", alias_path(alias), {"room_id": elsewhere})) == (409, "M_UNKNOWN")
    assert alice.must("GET", alias_path(alias))["room_id"] == room


@every_prefix
def test_only_members_name_a_room(bob: Client, room: str) -> None:
    for target in (room, "!nowhere:localhost"):
        answer = bob.call("PUT", alias_path(new_alias()), {"room_id": target})
        assert error_of(answer) == (403, "M_FORBIDDEN")


@every_prefix
def test_who_may_take_an_alias_away(alice: Client, bob: Client, carol: Client, shared_room: str) -> None:
    carol.join(shared_room)
    by_bob, also_by_bob = new_alias(), new_alias()
    for name in (by_bob, also_by_bob):
        bob.must("PUT", alias_path(name), {"room_id": shared_room})
    assert error_of(carol.call("DELETE", alias_path(by_bob))) == (403, "M_FORBIDDEN")
    assert bob.must("DELETE", alias_path(by_bob)) == {}
    assert alice.must("DELETE", alias_path(also_by_bob)) == {}  # may set the canonical alias


@pytest.mark.parametrize(
    "name",
    [
        "#elsewhere:example.org",
        "alias:localhost",
        "#:localhost",
        "#alias",
        "!a:localhost",
        "#a\0:localhost",
        "#" + "a" * 250 + ":localhost",
    ],
)
@every_prefix
@requirement("V07")
def test_what_is_no_alias_of_this_server_is_refused(alice: Client, room: str, name: str) -> None:
    assert error_of(alice.call("PUT", alias_path(name), {"room_id": room})) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "M_MISSING_PARAM"), ({"room_id": 1}, "M_BAD_JSON"), ({"room_id": None}, "M_BAD_JSON")],
)
@every_prefix
def test_an_alias_needs_a_room(alice: Client, body: object, code: str) -> None:
    assert error_of(alice.call("PUT", alias_path(new_alias()), body)) == (400, code)


@requirement("V08")
def test_aliases_know_capitals(alice: Client, alias: str) -> None:
    assert error_of(alice.call("GET", alias_path(alias.upper()))) == (404, "M_NOT_FOUND")


@every_prefix
def test_a_room_lists_its_aliases_to_members(alice: Client, bob: Client, room: str) -> None:
    names = sorted(new_alias() for _ in range(2))
    for name in names:
        alice.must("PUT", alias_path(name), {"room_id": room})
    path = path_of("rooms", room, "aliases")
    assert alice.must("GET", path) == {"aliases": names}
    assert error_of(bob.call("GET", path)) == (403, "M_FORBIDDEN")


@requirement("M13")
def test_aliases_in_state_are_for_show(alice: Client, bob: Client, room: str) -> None:
    shown = new_alias()
    alice.set_state(room, "m.room.aliases", {"aliases": [shown]}, "localhost")
    assert error_of(bob.call("GET", alias_path(shown))) == (404, "M_NOT_FOUND")
    assert alice.must("GET", path_of("rooms", room, "aliases")) == {"aliases": []}


def canonical(client: Client, room: str) -> object:
    return client.must("GET", path_of("rooms", room, "state", "m.room.canonical_alias"))


@every_prefix
def test_a_removed_alias_goes_out_of_the_state(alice: Client, room: str) -> None:
    names = [new_alias() for _ in range(3)]
    for name in names:
        alice.must("PUT", alias_path(name), {"room_id": room})
    alice.set_state(room, "m.room.canonical_alias", {"alias": names[0], "alt_aliases": names[1:]})
    alice.must("DELETE", alias_path(names[1]))
    assert canonical(alice, room) == {"alias": names[0], "alt_aliases": names[2:]}
    alice.must("DELETE", alias_path(names[0]))
    assert canonical(alice, room) == {"alt_aliases": names[2:]}


def test_an_alias_that_the_state_does_not_name_makes_no_event(alice: Client, alias: str, room: str) -> None:
    before = alice.messages(room, limit=1)["chunk"][0]["event_id"]
    alice.must("DELETE", alias_path(alias))
    assert alice.messages(room, limit=1)["chunk"][0]["event_id"] == before


def test_who_may_not_set_the_state_still_takes_their_alias_away(
    alice: Client, bob: Client, shared_room: str
) -> None:
    name = new_alias()
    bob.must("PUT", alias_path(name), {"room_id": shared_room})
    alice.set_state(shared_room, "m.room.canonical_alias", {"alias": name})
    assert bob.must("DELETE", alias_path(name)) == {}
    assert error_of(bob.call("GET", alias_path(name))) == (404, "M_NOT_FOUND")
    assert canonical(alice, shared_room) == {"alias": name}


def test_an_alias_is_taken_away_from_outside(alice: Client, bob: Client, shared_room: str) -> None:
    name = new_alias()
    bob.must("PUT", alias_path(name), {"room_id": shared_room})
    bob.leave(shared_room)
    assert bob.must("DELETE", alias_path(name)) == {}
