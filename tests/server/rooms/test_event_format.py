"""How a draft becomes an event: its hashes, its id, its bytes, its bounds."""

import copy
import hashlib
import json
import re
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.pruning import keeps_nothing, prune_stored
from projections.room_versions import SUPPORTED, RoomVersion
from server.errors import ErrorCode, MatrixError
from server.rooms.canonical_json import encode
from server.rooms.event_format import EVENT_BYTES_MAX, MessageForm, Sealed, seal_event

V11 = SUPPORTED["11"]

EVENT_ID = re.compile(r"\$[A-Za-z0-9_-]{43}")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
contents = st.dictionaries(st.text(max_size=8), json_values, max_size=5)
versions = st.sampled_from(list(SUPPORTED.values()))


def draft(event_type: str = "m.room.message", content: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "auth_events": ["$create", "$power_levels", "$member"],
        "content": {"msgtype": "m.text", "body": "hello"} if content is None else content,
        "depth": 12,
        "origin_server_ts": 1_431_961_217_939,
        "prev_events": ["$before"],
        "room_id": "!636q39766251:example.com",
        "sender": "@alice:example.com",
        "type": event_type,
        **fields,
    }


def canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def digest_of(value: Any) -> str:
    return b64encode(hashlib.sha256(canonical(value)).digest()).decode().rstrip("=")


def id_of(event: dict[str, Any]) -> str:
    """The event id as the specification defines it, for an event that has nothing to prune."""
    return "$" + digest_of(event).replace("+", "-").replace("/", "_")


@pytest.mark.parametrize(
    ("vector", "content_hash"),
    [
        (
            {
                "room_id": "!x:domain",
                "sender": "@a:domain",
                "origin": "domain",
                "origin_server_ts": 1000000,
                "type": "X",
                "content": {},
                "prev_events": [],
                "auth_events": [],
                "depth": 3,
            },
            "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos",
        ),
        (
            {
                "content": {"body": "Here is the message content"},
                "event_id": "$0:domain",
                "origin": "domain",
                "origin_server_ts": 1000000,
                "type": "m.room.message",
                "room_id": "!r:domain",
                "sender": "@u:domain",
            },
            "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g",
        ),
    ],
    ids=["minimal event", "redactable content"],
)
def test_content_hash_is_that_of_the_published_vector(vector: dict[str, Any], content_hash: str) -> None:
    stored = seal_event(vector, V11).stored
    assert json.loads(bytes(stored))["hashes"] == {"sha256": content_hash}


@given(contents, versions)
def test_message_id_is_the_hash_of_the_event_without_content(
    content: dict[str, Any], version: RoomVersion
) -> None:
    unsealed = draft("m.room.message", content)
    pruned = {**unsealed, "hashes": {"sha256": digest_of(unsealed)}, "content": {}}
    assert seal_event(unsealed, version).event_id == id_of(pruned)


@given(contents, st.sampled_from([SUPPORTED["11"], SUPPORTED["12"]]))
def test_create_event_id_is_the_hash_of_all_of_it(content: dict[str, Any], version: RoomVersion) -> None:
    unsealed = draft("m.room.create", content, state_key="")
    assert seal_event(unsealed, version).event_id == id_of(
        {**unsealed, "hashes": {"sha256": digest_of(unsealed)}}
    )


def test_create_event_has_an_id_without_a_room_id() -> None:
    unsealed = draft("m.room.create", {"room_version": "12"}, state_key="")
    del unsealed["room_id"]
    assert seal_event(unsealed, SUPPORTED["12"]).event_id == id_of(
        {**unsealed, "hashes": {"sha256": digest_of(unsealed)}}
    )


@given(
    contents,
    st.sampled_from(["m.room.message", "m.room.member", "m.room.power_levels", "m.room.create"]),
    versions,
)
def test_id_survives_a_redaction(content: dict[str, Any], event_type: str, version: RoomVersion) -> None:
    sealed = seal_event(draft(event_type, content), version)
    assert id_of(json.loads(prune_stored(bytes(sealed.stored), version))) == sealed.event_id


@given(contents)
def test_stored_form_is_the_draft_and_its_hashes_in_canonical_json(content: dict[str, Any]) -> None:
    unsealed = draft("org.example.own", content, state_key="")
    stored = bytes(seal_event(unsealed, V11).stored)
    assert stored == canonical({**unsealed, "hashes": {"sha256": digest_of(unsealed)}})


@given(contents, contents)
def test_id_commits_to_the_content(one: dict[str, Any], other: dict[str, Any]) -> None:
    same_id = seal_event(draft(content=one), V11).event_id == seal_event(draft(content=other), V11).event_id
    assert same_id == (canonical(one) == canonical(other))


@given(contents)
def test_id_is_url_safe(content: dict[str, Any]) -> None:
    assert EVENT_ID.fullmatch(seal_event(draft(content=content), V11).event_id)


@pytest.mark.parametrize(
    ("event_type", "kept", "first"),
    [
        ("m.room.create", "org.example.own", "11"),
        ("m.room.join_rules", "allow", "8"),
        ("m.room.member", "join_authorised_via_users_server", "9"),
        ("m.room.power_levels", "invite", "11"),
        ("m.room.redaction", "redacts", "11"),
    ],
)
def test_ids_part_where_a_redaction_keeps_more(event_type: str, kept: str, first: str) -> None:
    unsealed = draft(event_type, {kept: 1}, state_key="")
    names = list(SUPPORTED)
    ids = [seal_event(unsealed, version).event_id for version in SUPPORTED.values()]
    parting = names.index(first)
    assert ids == [ids[0]] * parting + [ids[-1]] * (len(names) - parting)
    assert ids[0] != ids[-1]


identifiers = st.text(min_size=1, max_size=30)


@given(
    content=contents,
    version=versions,
    event_type=identifiers.filter(lambda text: all(keeps_nothing(text, one) for one in SUPPORTED.values())),
    sender=identifiers,
    previous=st.lists(identifiers, max_size=2),
    depth=st.integers(0, 2**53 - 1),
)
def test_a_message_by_its_form_is_the_same_event(
    content: dict[str, Any],
    version: RoomVersion,
    event_type: str,
    sender: str,
    previous: list[str],
    depth: int,
) -> None:
    unsealed = draft(event_type, content, sender=sender, prev_events=previous, depth=depth)
    form = MessageForm(event_type, sender, unsealed["room_id"], unsealed["auth_events"])
    sealed = form.seal(encode(content), depth, unsealed["origin_server_ts"], previous)
    assert sealed == seal_event(unsealed, version)


def test_a_message_by_its_form_has_the_same_bound() -> None:
    def seal(unsealed: dict[str, Any]) -> Sealed:
        form = MessageForm(*(unsealed[name] for name in ("type", "sender", "room_id", "auth_events")))
        when = unsealed["depth"], unsealed["origin_server_ts"], unsealed["prev_events"]
        return form.seal(encode(unsealed["content"]), *when)

    assert len(seal(draft_of_size(EVENT_BYTES_MAX)).stored) == EVENT_BYTES_MAX
    with pytest.raises(MatrixError) as refusal:
        seal(draft_of_size(EVENT_BYTES_MAX + 1))
    assert refusal.value.kind is ErrorCode.TOO_LARGE


def test_ids_are_the_same_for_ever() -> None:
    assert seal_event(draft(), V11).event_id == "$KpJskejuJeyPzHd-DoQJjVaLpBF8GSXxtSqLXuuNmn0"


def test_draft_is_left_alone() -> None:
    unsealed = draft()
    before = copy.deepcopy(unsealed)
    seal_event(unsealed, V11)
    assert unsealed == before


def test_event_may_be_as_large_as_the_bound() -> None:
    assert len(seal_event(draft_of_size(EVENT_BYTES_MAX), V11).stored) == EVENT_BYTES_MAX


def test_event_past_the_bound_is_too_large() -> None:
    assert_too_large(draft_of_size(EVENT_BYTES_MAX + 1))


@pytest.mark.parametrize("field", ["type", "sender", "room_id", "state_key"])
@pytest.mark.parametrize("character", ["a", "é", "𝄞"])
def test_short_fields_are_bounded_in_bytes(field: str, character: str) -> None:
    count = 255 // len(character.encode())
    seal_event(draft(**{"state_key": "", field: character * count}), V11)
    assert_too_large(draft(**{"state_key": "", field: character * (count + 1)}))


def draft_of_size(size: int) -> dict[str, Any]:
    """A draft whose stored form has so many bytes; some of its characters take two."""
    without_body = len(seal_event(draft(content={"body": ""}), V11).stored)
    missing = size - without_body
    return draft(content={"body": "é" * (missing // 2) + "a" * (missing % 2)})


def assert_too_large(unsealed: dict[str, Any]) -> None:
    with pytest.raises(MatrixError) as refusal:
        seal_event(unsealed, V11)
    assert refusal.value.kind is ErrorCode.TOO_LARGE
