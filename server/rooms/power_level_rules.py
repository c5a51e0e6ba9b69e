"""May these power levels replace the ones before? Rule 10 of the authorisation rules, as a pure function.

Numbered like the specification's list in room version 12, as `auth_rules` is, which asks it. Whatever
10.1 to 10.4 do not forbid is compared by the levels that it stands for, and what stands for none is not
there: so `_levels_in` reads both contents first, and the rules below it see integers alone.

Where: specification, room versions 6 to 12, "Authorization rules".
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from projections.events import Event
from projections.identifiers import is_user_id
from projections.room_versions import RoomVersion
from server.rooms.power_levels import DEFAULTS, PowerLevels, creators_of, level_from
from server.rooms.refusal import Refused

_TABLES: Final = ("events", "notifications")
"""What a power levels event asks for single event types, and for single kinds of notification."""

_Levels: TypeAlias = Mapping[str, int]


def check_power_levels(
    event: Event, old: Mapping[str, Any] | None, create: Event, version: RoomVersion
) -> None:
    """Return if no part of rule 10 refuses the event; raise `Refused` for the first that does.

    `old` is the content of the power levels that stand; `None` if the room has none.
    """
    new = event.content
    if not version.levels_may_be_text:
        _rule_10_1_single_values_are_integers(new, version)
        _rule_10_2_tables_hold_integers(new, version)
    _rule_10_3_users_hold_integers(new, version)
    if version.creators_outrank_all:
        _rule_10_4_no_creator_among_users(new, creators_of(create, version))
    if old is None:  # 10.5
        return
    level = PowerLevels(old, create, version).of(event.sender)
    _rule_10_6_single_values(_levels_in(old, version), _levels_in(new, version), level)
    before, after = _tables_in(old, version), _tables_in(new, version)
    for table in _TABLES:
        _rule_10_7_entries_as_they_were(table, before[table], after[table], level)
    for table in _TABLES:
        _rule_10_8_entries_as_they_become(table, before[table], after[table], level)
    _rule_10_9_users_as_they_were(before["users"], after["users"], event.sender, level)
    _rule_10_10_users_as_they_become(before["users"], after["users"], level)


def _rule_10_1_single_values_are_integers(content: Mapping[str, Any], version: RoomVersion) -> None:
    for name in DEFAULTS:
        if name in content and level_from(content[name], version) is None:
            raise Refused("10.1", f"`{name}` must be an integer.")


def _rule_10_2_tables_hold_integers(content: Mapping[str, Any], version: RoomVersion) -> None:
    for table in _TABLES:
        if table in content and not _holds_levels(content[table], version):
            raise Refused("10.2", f"`{table}` must be an object of integers.")


def _rule_10_3_users_hold_integers(content: Mapping[str, Any], version: RoomVersion) -> None:
    """Without `users` everybody has the default, and existing servers read the rule so as to allow it."""
    users = content.get("users", {})
    if not _holds_levels(users, version) or not all(map(is_user_id, users)):
        raise Refused("10.3", "`users` must be an object of user ids and integers.")


def _rule_10_4_no_creator_among_users(content: Mapping[str, Any], creators: Iterable[str]) -> None:
    for creator in creators:
        if creator in content.get("users", {}):
            raise Refused("10.4", f"{creator} made the room, and has no level that could be set.")


def _rule_10_6_single_values(old: _Levels, new: _Levels, level: int) -> None:
    for name in DEFAULTS:
        before, after = old.get(name), new.get(name)
        if before != after and any(value is not None and value > level for value in (before, after)):
            raise Refused("10.6", f"`{name}` is or would be above your own level, {level}.")


def _rule_10_7_entries_as_they_were(table: str, old: _Levels, new: _Levels, level: int) -> None:
    for name, before in _differing(old, new):
        if before > level:
            raise Refused("10.7", f"`{table}` has {name} above your own level, {level}.")


def _rule_10_8_entries_as_they_become(table: str, old: _Levels, new: _Levels, level: int) -> None:
    for name, after in _differing(new, old):
        if after > level:
            raise Refused("10.8", f"`{table}` would have {name} above your own level, {level}.")


def _rule_10_9_users_as_they_were(old: _Levels, new: _Levels, sender: str, level: int) -> None:
    for user_id, before in _differing(old, new):
        if user_id != sender and before >= level:
            raise Refused("10.9", f"The level of {user_id} is not below your own, {level}.")


def _rule_10_10_users_as_they_become(old: _Levels, new: _Levels, level: int) -> None:
    for user_id, after in _differing(new, old):
        if after > level:
            raise Refused("10.10", f"{user_id} would have a level above your own, {level}.")


def _holds_levels(table: object, version: RoomVersion) -> bool:
    return isinstance(table, dict) and all(level_from(value, version) is not None for value in table.values())


def _levels_in(table: object, version: RoomVersion) -> _Levels:
    """The levels that stand in an object, by their names."""
    if not isinstance(table, dict):
        return {}
    levels = ((name, level_from(value, version)) for name, value in table.items())
    return {name: level for name, level in levels if level is not None}


def _tables_in(content: Mapping[str, Any], version: RoomVersion) -> Mapping[str, _Levels]:
    return {table: _levels_in(content.get(table), version) for table in (*_TABLES, "users")}


def _differing(levels: _Levels, others: _Levels) -> list[tuple[str, int]]:
    """The levels that the others lack or have otherwise; in one order, whatever theirs is."""
    return sorted((name, level) for name, level in levels.items() if others.get(name) != level)
