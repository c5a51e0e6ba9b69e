"""The public list of rooms: what it shows, in which order, page by page, and who may put a room on it.

The list is one for the whole server and other tests add to it; each test looks for its own rooms by a word
that only it uses.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.client import V1, Client, error_of, path_of
from tests.server.conftest import every_prefix

_numbers = itertools.count(1)


@pytest.fixture
def word() -> str:
    """Stands in the names of this test's rooms only."""
    return f"word{next(_numbers)}x"


@pytest.fixture
def three(alice: Client, bob: Client, carol: Client, word: str) -> list[str]:
    """Rooms on the list, by how many people are in them, most first."""
    rooms = [alice.create_room(preset="public_chat", visibility="public", name=word) for _ in range(3)]
    bob.join(rooms[0])
    bob.join(rooms[1])
    carol.join(rooms[0])
    return rooms


def search(client: Client, word: str, **more: object) -> Any:
    return client.must("POST", "/publicRooms", {"filter": {"generic_search_term": word}, **more})


def ids(answer: Any) -> list[str]:
    return [room["room_id"] for room in answer["chunk"]]


@every_prefix
def test_the_list_tells_what_a_room_is(alice: Client, anybody: Client, prefix: str, word: str) -> None:
    alias = f"#{word}-{prefix[-2:]}:localhost"
    visible = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    room = alice.create_room(
        visibility="public",
        room_alias_name=alias[1:].split(":")[0],
        name=f"The {word}",
        topic="Earl Grey",
        initial_state=[visible, {"type": "m.room.avatar", "content": {"url": "mxc://localhost/a"}}],
        creation_content={"type": "m.space"},
    )
    [shown] = [found for found in search(alice, word)["chunk"] if found["room_id"] == room]
    assert shown == {
        "room_id": room,
        "num_joined_members": 1,
        "world_readable": True,
        "guest_can_join": False,
        "name": f"The {word}",
        "topic": "Earl Grey",
        "avatar_url": "mxc://localhost/a",
        "canonical_alias": alias,
        "join_rule": "public",
        "room_type": "m.space",
    } | ({"aliases": [alias]} if prefix == V1 else {})


def test_what_is_no_text_is_not_shown(alice: Client) -> None:
    room = alice.create_room(visibility="public")
    alice.set_state(room, "m.room.name", {"name": 1})
    alice.set_state(room, "m.room.topic", {"topic": ["a"]})
    shown = next(found for found in everything(alice) if found["room_id"] == room)
    assert shown.keys().isdisjoint({"name", "topic", "avatar_url", "canonical_alias", "room_type"})


def test_an_avatar_that_is_no_media_is_not_shown(alice: Client) -> None:
    room = alice.create_room(visibility="public")
    alice.set_state(room, "m.room.avatar", {"url": "https://example.org/a.png"})
    shown = next(found for found in everything(alice) if found["room_id"] == room)
    assert "avatar_url" not in shown


@pytest.mark.parametrize("alias", ["#nowhere:localhost", "no alias", "#" + "a" * 9_000])
def test_only_an_alias_of_the_room_is_shown(alice: Client, alias: str) -> None:
    stated = {"type": "m.room.canonical_alias", "content": {"alias": alias}}
    room = alice.create_room(visibility="public", initial_state=[stated])
    shown = next(found for found in everything(alice) if found["room_id"] == room)
    assert "canonical_alias" not in shown


def test_the_alias_of_another_room_is_not_shown(alice: Client, bob: Client, word: str) -> None:
    alice.create_room(room_alias_name=word)
    stated = {"type": "m.room.canonical_alias", "content": {"alias": f"#{word}:localhost"}}
    imposter = bob.create_room(visibility="public", initial_state=[stated])
    shown = next(found for found in everything(bob) if found["room_id"] == imposter)
    assert "canonical_alias" not in shown


def everything(client: Client, **query: object) -> Iterator[Any]:
    """The whole list, page by page."""
    page = client.must("GET", "/publicRooms", **query)
    yield from page["chunk"]
    while "next_batch" in page:
        page = client.must("GET", "/publicRooms", **query, since=page["next_batch"])
        yield from page["chunk"]


@every_prefix
def test_the_list_needs_no_token(anybody: Client, three: list[str]) -> None:
    assert set(three) <= {found["room_id"] for found in everything(anybody)}


def test_the_fullest_room_comes_first(alice: Client, three: list[str], word: str) -> None:
    assert ids(search(alice, word)) == three


def test_pages_go_forth_and_back(alice: Client, three: list[str]) -> None:
    rooms = [found["room_id"] for found in everything(alice)]
    pages, token = [], None
    while True:
        query = {"limit": 2} | ({} if token is None else {"since": token})
        page = alice.must("GET", "/publicRooms", **query)
        pages.append(page)
        token = page.get("next_batch")
        if token is None:
            break
    assert list(itertools.chain.from_iterable(ids(page) for page in pages)) == rooms
    assert "prev_batch" not in pages[0]
    for earlier, later in itertools.pairwise(pages):
        back = alice.must("GET", "/publicRooms", limit=2, since=later["prev_batch"])
        assert ids(back) == ids(earlier)


def test_a_room_that_grew_is_not_shown_twice(
    alice: Client, bob: Client, carol: Client, three: list[str], word: str
) -> None:
    first = search(alice, word, limit=2)
    assert ids(first) == three[:2]
    carol.join(three[1])
    assert ids(search(alice, word, limit=2, since=first["next_batch"])) == three[2:]


@pytest.mark.parametrize("where", ["name", "topic"])
def test_the_search_does_not_know_capitals(alice: Client, word: str, where: str) -> None:
    room = alice.create_room(visibility="public", **{where: f"Some {word.upper()} here"})
    assert ids(search(alice, word)) == [room]


def test_the_search_knows_types(alice: Client, word: str) -> None:
    space = alice.create_room(visibility="public", name=word, creation_content={"type": "m.space"})
    plain = alice.create_room(visibility="public", name=word)

    def of_types(*types: str | None) -> set[str]:
        wanted = {"generic_search_term": word, "room_types": types}
        return set(ids(alice.must("POST", "/publicRooms", {"filter": wanted})))

    assert of_types("m.space") == {space}
    assert of_types(None) == {plain}
    assert of_types(None, "m.space") == {space, plain}
    assert of_types() == set()


@every_prefix
def test_searching_needs_a_token(anybody: Client) -> None:
    assert error_of(anybody.call("POST", "/publicRooms", {})) == (401, "M_MISSING_TOKEN")


@every_prefix
def test_a_room_is_put_on_the_list_and_taken_off(alice: Client, anybody: Client, room: str) -> None:
    path = path_of("directory", "list", "room", room)
    assert anybody.must("GET", path) == {"visibility": "private"}
    for visibility in ("public", "public", "private"):
        assert alice.must("PUT", path, {"visibility": visibility}) == {}
        assert anybody.must("GET", path) == {"visibility": visibility}
        assert (room in [found["room_id"] for found in everything(anybody)]) == (visibility == "public")


def test_public_is_meant_where_nothing_is_said(alice: Client, room: str) -> None:
    path = path_of("directory", "list", "room", room)
    alice.must("PUT", path, {})
    assert alice.must("GET", path) == {"visibility": "public"}


@every_prefix
def test_who_may_not_name_a_room_does_not_list_it(bob: Client, carol: Client, shared_room: str) -> None:
    path = path_of("directory", "list", "room", shared_room)
    for nobody in (bob, carol):
        assert error_of(nobody.call("PUT", path, {"visibility": "public"})) == (403, "M_FORBIDDEN")


@every_prefix
def test_an_unknown_room_has_no_visibility(alice: Client) -> None:
    path = path_of("directory", "list", "room", "!nowhere:localhost")
    assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")
    assert error_of(alice.call("PUT", path, {"visibility": "public"})) == (404, "M_NOT_FOUND")


BAD_BODIES: dict[str, tuple[object, tuple[int, str]]] = {
    "limit": ({"limit": 0}, (400, "M_INVALID_PARAM")),
    "limit as text": ({"limit": "1"}, (400, "M_BAD_JSON")),
    "since": ({"since": "yesterday"}, (400, "M_INVALID_PARAM")),
    "term": ({"filter": {"generic_search_term": 1}}, (400, "M_BAD_JSON")),
    "types": ({"filter": {"room_types": [1]}}, (400, "M_BAD_JSON")),
    "network": ({"third_party_instance_id": "irc"}, (404, "M_NOT_FOUND")),
    "array": ([], (400, "M_BAD_JSON")),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_search_without_sense_is_refused(alice: Client, case: str) -> None:
    body, error = BAD_BODIES[case]
    assert error_of(alice.call("POST", "/publicRooms", body)) == error


@pytest.mark.parametrize(
    "since", ["x", "n", "n_", "nx_!a:b", "p-1_!a:b", "n²_!a:b", "n" + "1" * 40 + "_!a:b"]
)
def test_a_token_that_nobody_gave_is_refused(anybody: Client, since: str) -> None:
    assert error_of(anybody.call("GET", "/publicRooms", since=since)) == (400, "M_INVALID_PARAM")


def test_other_servers_lists_are_not_known(anybody: Client) -> None:
    assert error_of(anybody.call("GET", "/publicRooms", server="example.org")) == (404, "M_NOT_FOUND")
    assert anybody.call("GET", "/publicRooms", server="localhost").status_code == 200


def test_a_wrong_visibility_is_refused(alice: Client, room: str) -> None:
    path = path_of("directory", "list", "room", room)
    assert error_of(alice.call("PUT", path, {"visibility": "hidden"})) == (400, "M_INVALID_PARAM")
    assert error_of(alice.call("PUT", path, {"visibility": 1})) == (400, "M_BAD_JSON")
