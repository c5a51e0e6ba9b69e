"""Filters on the server: POST /user/{userId}/filter, GET /user/{userId}/filter/{filterId}, and their use."""

import json
from typing import Any

import pytest

from tests.harness.client import Client, error_of, path_of, texts
from tests.server.conftest import every_prefix

V2 = "/_matrix/client/v2_alpha"

HEARING_BOB = {
    "event_fields": ["type", "content", "sender"],
    "event_format": "client",
    "presence": {"types": ["m.presence"], "not_senders": ["@alice:localhost"]},
    "room": {
        "state": {"types": ["m.room.*"], "not_rooms": ["!726s6s6q:localhost"]},
        "timeline": {"limit": 10, "types": ["m.room.message"], "senders": ["@bob:localhost"]},
        "ephemeral": {"types": ["m.receipt", "m.typing"]},
    },
}


def store(client: Client, definition: Any) -> str:
    filter_id: str = client.must("POST", path_of("user", client.user_id, "filter"), definition)["filter_id"]
    return filter_id


@every_prefix
def test_a_filter_is_read_as_it_was_sent(alice: Client) -> None:
    filter_id = store(alice, HEARING_BOB)
    assert not filter_id.startswith("{")
    assert alice.must("GET", path_of("user", alice.user_id, "filter", filter_id)) == HEARING_BOB


def test_the_prefix_of_2015_has_filters_too(alice: Client) -> None:
    before = alice.under(V2)
    filter_id = store(before, {"room": {"timeline": {"limit": 4}}})
    assert before.must("GET", path_of("user", alice.user_id, "filter", filter_id))
    assert store(alice, {"room": {"timeline": {"limit": 4}}}) == filter_id


@every_prefix
def test_a_stored_filter_is_named_in_a_sync(alice: Client, bob: Client, shared_room: str) -> None:
    filter_id = store(alice, HEARING_BOB)
    since = alice.sync()["next_batch"]
    alice.say(shared_room, "by Alice")
    bob.say(shared_room, "by Bob")
    section = alice.sync(since=since, filter=filter_id)["rooms"]["join"][shared_room]
    assert texts(section["timeline"]["events"]) == ["by Bob"]


@every_prefix
def test_nobody_gets_at_the_filters_of_others(alice: Client, bob: Client) -> None:
    filter_id = store(bob, HEARING_BOB)
    theirs = path_of("user", bob.user_id, "filter")
    assert error_of(alice.call("POST", theirs, {})) == (403, "M_FORBIDDEN")
    assert error_of(alice.call("GET", f"{theirs}/{filter_id}")) == (403, "M_FORBIDDEN")
    store(bob, {"room": {"timeline": {"limit": 99}}})
    only_bobs = store(bob, {"room": {"timeline": {"limit": 98}}})
    assert error_of(alice.call("GET", "/sync", filter=only_bobs)) == (400, "M_INVALID_PARAM")


@every_prefix
def test_a_filter_that_is_not_there_is_not_found(alice: Client) -> None:
    path = path_of("user", alice.user_id, "filter", "66696p746572")
    assert error_of(alice.call("GET", path)) == (404, "M_NOT_FOUND")
    assert error_of(alice.call("GET", "/sync", filter="66696p746572")) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"room": {"timeline": {"limit": "x"}}}, "room.timeline.limit"),
        ({"event_format": "xml"}, "event_format"),
        ({"presence": {"senders": ["alice"]}}, "presence.senders"),
        ({"room": {"rooms": {}}}, "room.rooms"),
    ],
)
@every_prefix
def test_a_bad_filter_is_refused_by_the_name_of_its_field(alice: Client, definition: Any, field: str) -> None:
    stored = alice.call("POST", path_of("user", alice.user_id, "filter"), definition)
    assert error_of(stored) == (400, "M_BAD_JSON")
    assert field in stored.json()["error"]
    inline = alice.call("GET", "/sync", filter=json.dumps(definition))
    assert error_of(inline) == (400, "M_INVALID_PARAM")
    assert field in inline.json()["error"]


def test_a_filter_is_an_object(alice: Client) -> None:
    path = path_of("user", alice.user_id, "filter")
    assert error_of(alice.call("POST", path, raw=b"[]")) == (400, "M_BAD_JSON")
    assert error_of(alice.call("POST", path, raw=b"{")) == (400, "M_NOT_JSON")


def test_who_has_no_token_has_no_filter(anybody: Client) -> None:
    assert error_of(anybody.call("POST", path_of("user", "@a:b", "filter"), {})) == (401, "M_MISSING_TOKEN")


def test_pages_take_a_filter_only_inline(alice: Client, room: str) -> None:
    filter_id = store(alice, {})
    for path in (path_of("rooms", room, "messages"), path_of("rooms", room, "context", alice.say(room, "x"))):
        refused = alice.call("GET", path, dir="b", filter=filter_id)
        assert error_of(refused) == (400, "M_INVALID_PARAM")
