"""The generated log: the same for the same seed, and one that the server itself could have written."""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256

import msgspec
import pytest

from bench.workload import EVENTS_MIN, entries_of
from projections.facts import RoomEvent, encode_entry
from projections.room_versions import DEFAULT, SUPPORTED
from server.rooms.event_format import seal_event

PRINT_DIGEST = "from tests.bench.test_workload import digest_of; print(digest_of(1, 500))"


def digest_of(seed: int, events: int) -> str:
    return sha256(b"\n".join(map(encode_entry, entries_of(seed, events)))).hexdigest()


def events_of(seed: int, events: int) -> Iterator[RoomEvent]:
    for facts in entries_of(seed, events):
        yield from (fact for fact in facts if isinstance(fact, RoomEvent))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_a_seed_makes_one_log(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    elsewhere = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST], env=environment, capture_output=True, text=True, check=True
    )
    assert elsewhere.stdout.strip() == digest_of(1, 500)


def test_another_seed_makes_another_log() -> None:
    assert digest_of(1, 100) != digest_of(2, 100)


@pytest.mark.parametrize("events", [EVENTS_MIN, 257, 1_000])
def test_as_many_events_as_asked(events: int) -> None:
    assert len(list(events_of(1, events))) == events


def test_the_mix_has_every_kind() -> None:
    types = {fact.event.type for fact in events_of(1, 1_000)}
    assert {"m.room.message", "m.reaction", "m.room.redaction", "org.example.reading"} <= types


def test_event_ids_are_reference_hashes() -> None:
    for fact in events_of(1, 300):
        stored = msgspec.json.decode(fact.stored)
        del stored["hashes"]
        assert seal_event(stored, SUPPORTED[DEFAULT]).event_id == fact.event_id


def test_events_of_a_room_form_a_line() -> None:
    last: dict[str, str] = {}
    for fact in events_of(1, 1_000):
        expected = (last[fact.room_id],) if fact.room_id in last else ()
        assert fact.event.prev_events == expected
        last[fact.room_id] = fact.event_id
