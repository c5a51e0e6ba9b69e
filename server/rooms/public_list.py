"""The list of rooms that anybody may find: who may put a room on it, and reading it page by page.

The rooms with most people come first. Their number changes while somebody pages, so that a token names a
place in that order and not a count of rooms passed: no room is shown twice for another's moving.

Where: client-server API, "Published room directory".
"""

from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import msgspec

from projections import directory, memberships, state, timeline
from projections.facts import RoomListed
from projections.identifiers import is_room_alias
from projections.sessions import Session
from projections.view import View
from server.errors import ErrorCode, MatrixError
from server.rooms.drafting import draft_of, levels_in
from server.writer import Decided, Turn

LIMIT_MAX = 100
_ROOMS_LOOKED_AT_MAX = 1_000
"""For one page, which may therefore be short; a room costs about 30 µs."""

_NO_SUCH_ROOM = "There is no such room."


class ListRoom(msgspec.Struct, frozen=True):
    session: Session
    room_id: str
    is_public: bool


def list_room(turn: Turn, request: ListRoom) -> Decided[None]:
    """For members who may set the room's canonical alias: both say by what name it is known outside."""
    room_id, user_id = request.room_id, request.session.user_id
    if timeline.room(turn.view, room_id) is None:
        raise MatrixError(ErrorCode.NOT_FOUND, _NO_SUCH_ROOM)
    levels = levels_in(draft_of(turn, room_id).state)
    has_level = levels.of(user_id) >= levels.to_send("m.room.canonical_alias", is_state=True)
    if not (has_level and memberships.is_joined(turn.view, room_id, user_id)):
        raise MatrixError(ErrorCode.FORBIDDEN, "You may not say whether this room is on the public list.")
    if directory.is_public(turn.view, room_id) == request.is_public:
        return Decided(None)
    return Decided(None, [RoomListed(room_id, request.is_public)])


def is_listed(view: View, room_id: str) -> bool:
    """Raises `MatrixError` NOT_FOUND for a room that does not exist."""
    if timeline.room(view, room_id) is None:
        raise MatrixError(ErrorCode.NOT_FOUND, _NO_SUCH_ROOM)
    return directory.is_public(view, room_id)


class Wanted(NamedTuple):
    """Which rooms of the list somebody looks for."""

    text: str = ""
    """In name, topic or alias, whatever its capitals; empty for all."""
    room_types: tuple[str | None, ...] | None = None
    """`None` among them stands for rooms without a type; `None` instead for all."""


class _Rank(NamedTuple):
    """A place in the list: more people first, then by id."""

    minus_joined: int
    room_id: str


class _Place(NamedTuple):
    rank: _Rank
    is_backwards: bool


def page(view: View, wanted: Wanted, limit: int, since: str | None, *, is_legacy: bool) -> dict[str, Any]:
    """`chunk` and the tokens of the pages beside it, where there may be any."""
    ranked = sorted(_Rank(-memberships.counts(view, one).joined, one) for one in directory.public_rooms(view))
    place = None if since is None else _place_from(since)
    is_backwards = place is not None and place.is_backwards
    first, end = 0, len(ranked)
    if place is not None:
        first = 0 if is_backwards else bisect_right(ranked, place.rank)
        end = bisect_left(ranked, place.rank) if is_backwards else end
    ahead = ranked[first:end]
    if is_backwards:
        ahead.reverse()
    chunk, looked_at = _matching(view, ahead, wanted, limit, is_legacy=is_legacy)
    first, end = (end - looked_at, end) if is_backwards else (first, first + looked_at)
    if is_backwards:
        chunk.reverse()
    return {"chunk": chunk, "total_room_count_estimate": len(ranked)} | _tokens_beside(ranked, first, end)


def _matching(
    view: View, ranks: list[_Rank], wanted: Wanted, limit: int, *, is_legacy: bool
) -> tuple[list[dict[str, Any]], int]:
    """The rooms that are wanted, and how many were looked at to find them."""
    chunk: list[dict[str, Any]] = []
    looked_at = 0
    for rank in ranks[:_ROOMS_LOOKED_AT_MAX]:
        if len(chunk) == limit:
            break
        looked_at += 1
        shown = _shown(view, rank, is_legacy=is_legacy)
        if _is_wanted(shown, wanted):
            chunk.append(shown)
    return chunk, looked_at


def _tokens_beside(ranked: list[_Rank], first: int, end: int) -> dict[str, str]:
    tokens = {}
    if first > 0 and first < len(ranked):
        tokens["prev_batch"] = _token_of(_Place(ranked[first], is_backwards=True))
    if 0 < end < len(ranked):
        tokens["next_batch"] = _token_of(_Place(ranked[end - 1], is_backwards=False))
    return tokens


def _token_of(place: _Place) -> str:
    direction = "p" if place.is_backwards else "n"
    return f"{direction}{-place.rank.minus_joined}_{place.rank.room_id}"


def _place_from(token: str) -> _Place:
    number, _, room_id = token[1:].partition("_")
    if token[:1] not in ("p", "n") or not (number.isascii() and number.isdecimal() and len(number) < 19):
        raise MatrixError(ErrorCode.INVALID_PARAM, "`since` is not a token of this list.")
    return _Place(_Rank(-int(number), room_id), is_backwards=token[0] == "p")


def _is_wanted(shown: dict[str, Any], wanted: Wanted) -> bool:
    if wanted.room_types is not None and shown.get("room_type") not in wanted.room_types:
        return False
    searched = (shown.get(name, "") for name in ("name", "topic", "canonical_alias"))
    return any(wanted.text.casefold() in text.casefold() for text in searched)


_TEXTS = (
    ("m.room.name", "name", "name"),
    ("m.room.topic", "topic", "topic"),
    ("m.room.avatar", "url", "avatar_url"),
    ("m.room.canonical_alias", "alias", "canonical_alias"),
    ("m.room.join_rules", "join_rule", "join_rule"),
    ("m.room.create", "type", "room_type"),
)
"""Event type, the key in its content, and the key in the list; left out where it is no text, or not fit."""


def _shown(view: View, rank: _Rank, *, is_legacy: bool) -> dict[str, Any]:
    room_id = rank.room_id
    shown: dict[str, Any] = {
        "room_id": room_id,
        "num_joined_members": -rank.minus_joined,
        "world_readable": _text_in(view, room_id, "m.room.history_visibility", "history_visibility")
        == "world_readable",
        "guest_can_join": _text_in(view, room_id, "m.room.guest_access", "guest_access") == "can_join",
    }
    for event_type, name, shown_as in _TEXTS:
        text = _text_in(view, room_id, event_type, name)
        if text and _is_fit(view, room_id, shown_as, text):
            shown[shown_as] = text
    # Of 2015: names for people to join by, since the canonical alias was not known yet.
    return shown | ({"aliases": directory.aliases_of_room(view, room_id)} if is_legacy else {})


def _is_fit(view: View, room_id: str, shown_as: str, text: str) -> bool:
    """Is it what the list says it is? Nobody made sure of what a room was created with.

    An alias that leads elsewhere, or nowhere, would lend the room somebody else's name.
    """
    if shown_as == "avatar_url":
        return text.startswith("mxc://")
    if shown_as == "canonical_alias":
        target = directory.alias(view, text) if is_room_alias(text) else None
        return target is not None and target.room_id == room_id
    return True


def _text_in(view: View, room_id: str, event_type: str, name: str) -> str | None:
    found = state.state_event(view, room_id, event_type, "")
    text = None if found is None else found.event.content.get(name)
    return text if isinstance(text, str) else None
