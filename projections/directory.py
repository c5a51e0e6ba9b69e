"""Names for rooms: aliases, and whether a room is in the public list."""

from collections.abc import Iterator

import msgspec

from projections.facts import AliasRemoved, AliasSet, Order, RoomListed
from projections.projection import Projection
from projections.tables import Table, key
from projections.view import View, WritableView


class Alias(msgspec.Struct, frozen=True, array_like=True):
    alias: str
    room_id: str
    user_id: str
    """Who made it."""


_ALIASES: Table[Alias] = Table("directory.aliases", Alias)
_ALIASES_OF_ROOM: Table[str] = Table("directory.aliases_of_room", str)
_PUBLIC: Table[str] = Table("directory.public", str)


def apply(view: WritableView, _: Order, fact: AliasSet | AliasRemoved | RoomListed) -> None:
    if isinstance(fact, AliasSet):
        view.put(_ALIASES, key(fact.alias), Alias(fact.alias, fact.room_id, fact.user_id))
        view.put(_ALIASES_OF_ROOM, key(fact.room_id, fact.alias), fact.alias)
    elif isinstance(fact, AliasRemoved):
        known = alias(view, fact.alias)
        if known is not None:
            view.delete(_ALIASES, key(fact.alias))
            view.delete(_ALIASES_OF_ROOM, key(known.room_id, fact.alias))
    elif fact.is_public:
        view.put(_PUBLIC, key(fact.room_id), fact.room_id)
    else:
        view.delete(_PUBLIC, key(fact.room_id))


PROJECTION = Projection(
    name="directory",
    version=1,
    facts=(AliasSet, AliasRemoved, RoomListed),
    tables=(_ALIASES, _ALIASES_OF_ROOM, _PUBLIC),
    apply=apply,
)


def alias(view: View, name: str) -> Alias | None:
    return view.get(_ALIASES, key(name))


def aliases_of_room(view: View, room_id: str) -> list[str]:
    return sorted(name for _, name in view.scan(_ALIASES_OF_ROOM, key(room_id)))


def is_public(view: View, room_id: str) -> bool:
    return view.get(_PUBLIC, key(room_id)) is not None


def public_rooms(view: View) -> Iterator[str]:
    """The rooms of the public list, in no order that means anything."""
    for _, room_id in view.scan(_PUBLIC):
        yield room_id
