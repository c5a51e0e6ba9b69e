"""The fold of names for rooms: each alias is one room's, and the list has those that are in it."""

from projections import directory
from projections.directory import Alias
from projections.facts import AliasRemoved, AliasSet, RoomListed
from tests.projections.folding import ALICE, BOB, OTHER_ROOM, ROOM, Folding


def alias_of(folding: Folding, name: str) -> Alias | None:
    with folding.view() as view:
        return directory.alias(view, name)


def aliases_of_room(folding: Folding, room_id: str) -> list[str]:
    with folding.view() as view:
        return directory.aliases_of_room(view, room_id)


def is_public(folding: Folding, room_id: str) -> bool:
    with folding.view() as view:
        return directory.is_public(view, room_id)


def test_alias_names_a_room_and_who_made_it(folding: Folding) -> None:
    folding.entry(AliasSet("#a:localhost", ROOM, ALICE))
    assert alias_of(folding, "#a:localhost") == Alias("#a:localhost", ROOM, ALICE)
    assert alias_of(folding, "#b:localhost") is None


def test_room_has_its_aliases_in_alphabetical_order(folding: Folding) -> None:
    for name, room_id in (("#c", ROOM), ("#a", ROOM), ("#b", OTHER_ROOM), ("#B", ROOM)):
        folding.entry(AliasSet(f"{name}:localhost", room_id, ALICE))
    assert aliases_of_room(folding, ROOM) == ["#B:localhost", "#a:localhost", "#c:localhost"]
    assert aliases_of_room(folding, OTHER_ROOM) == ["#b:localhost"]


def test_removed_alias_is_gone_from_its_room(folding: Folding) -> None:
    folding.entry(AliasSet("#a:localhost", ROOM, ALICE), AliasSet("#b:localhost", ROOM, BOB))
    folding.entry(AliasRemoved("#a:localhost"))
    assert alias_of(folding, "#a:localhost") is None
    assert aliases_of_room(folding, ROOM) == ["#b:localhost"]


def test_alias_can_be_given_to_another_room_later(folding: Folding) -> None:
    folding.entry(AliasSet("#a:localhost", ROOM, ALICE), AliasRemoved("#a:localhost"))
    folding.entry(AliasSet("#a:localhost", OTHER_ROOM, BOB))
    assert alias_of(folding, "#a:localhost") == Alias("#a:localhost", OTHER_ROOM, BOB)
    assert aliases_of_room(folding, ROOM) == []


def test_removing_what_is_not_there_does_nothing(folding: Folding) -> None:
    before = folding.views.digest()
    folding.entry(AliasRemoved("#a:localhost"))
    assert folding.views.digest() == before


def test_room_is_in_the_list_until_it_is_taken_out(folding: Folding) -> None:
    assert not is_public(folding, ROOM)
    folding.entry(RoomListed(ROOM, is_public=True))
    assert (is_public(folding, ROOM), is_public(folding, OTHER_ROOM)) == (True, False)
    folding.entry(RoomListed(ROOM, is_public=False))
    assert not is_public(folding, ROOM)
