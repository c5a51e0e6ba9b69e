"""What was written once is read for ever, bytes and meaning, and folds to the same views on every machine."""

import asyncio
import itertools
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from typer.testing import CliRunner

from eventlog.engines import open_log
from eventlog.envelope import NO_PREVIOUS, seal
from eventlog.log import Erased, Position
from projections.facts import Fact, PayloadErased, RoomEvent, decode_entry, encode_entry
from projections.follower import catch_up, open_views
from projections.projection import Projection
from projections.pruning import prune
from projections.registry import PROJECTIONS
from projections.room_versions import SUPPORTED
from server.cli import app
from server.cli.ndjson import Line, decode_line, line_of, payload_of
from server.rooms.canonical_json import encode
from server.rooms.event_format import seal_event
from tests.golden.writing import HERE, digest_of, payloads_in

LOGS = sorted(HERE.glob("*.ndjson"))
BEFORE_ERASURE, ERASED = HERE / "v0.2.0.ndjson", HERE / "v0.3.0.ndjson"


def name_of(value: Path | Projection) -> str:
    return value.stem if isinstance(value, Path) else value.name


every_log = pytest.mark.parametrize("file", LOGS, ids=name_of)
every_ndjson = pytest.mark.parametrize(
    "ndjson", [file.read_bytes() for file in LOGS], ids=[*map(name_of, LOGS)]
)


def lines_of(file: Path) -> list[Line]:
    return [decode_line(line) for line in file.read_bytes().splitlines()]


def facts_in(file: Path) -> list[Fact]:
    return [fact for line in lines_of(file) for fact in decode_entry(bytes(line.facts))]


def test_there_is_a_golden_log() -> None:
    assert LOGS


@every_log
def test_digests_and_chain_hold(file: Path) -> None:
    previous = NO_PREVIOUS
    for position, line in enumerate(lines_of(file), 1):
        payload = payload_of(line)
        _, previous = seal(position, payload, previous)
        assert line.position == position
        assert isinstance(payload, Erased) or line.digest == sha256(payload).hexdigest()
        assert line.chain == previous.hex()


@every_ndjson
@pytest.mark.anyio
async def test_log_made_of_it_is_the_same_log(ndjson: bytes) -> None:
    async with open_log("memory:") as log:
        await log.append(payloads_in(ndjson), after=0)
        assert b"".join([line_of(entry) async for entry in log.read()]) == ndjson


@every_log
def test_entries_are_written_as_they_were(file: Path) -> None:
    for line in lines_of(file):
        payload = bytes(line.facts)
        assert encode_entry(decode_entry(payload)) == payload


@every_log
def test_events_have_the_ids_and_hashes_that_they_had(file: Path) -> None:
    """A change to canonical JSON, to pruning or to hashing would give old events other ids.

    Of an event that was erased the hash of its content stays, and the id, which is the hash of what is left.
    """
    versions: dict[str, str] = {}
    for line in lines_of(file):
        for fact in decode_entry(bytes(line.facts)):
            if not isinstance(fact, RoomEvent):
                continue
            if fact.event.type == "m.room.create":
                versions[fact.room_id] = fact.event.content["room_version"]
            version = SUPPORTED[versions[fact.room_id]]
            fields: dict[str, Any] = msgspec.json.decode(fact.stored)
            if line.erased is None:
                sealed = seal_event({key: fields[key] for key in fields if key != "hashes"}, version)
                assert bytes(sealed.stored) == bytes(fact.stored)
            pruned = sha256(encode(prune(fields, version))).digest()
            assert fact.event_id == "$" + urlsafe_b64encode(pruned).rstrip(b"=").decode()


@pytest.mark.parametrize(("file", "projection"), [*itertools.product(LOGS, PROJECTIONS)], ids=name_of)
def test_views_are_what_they_were(file: Path, projection: Projection) -> None:
    """The proof that a fold depends on the entries alone, wherever and whenever it runs.

    If it fails because what a projection writes was changed on purpose: raise the projection's version, so
    that views in use are folded anew, and have `python -m tests.golden.writing digests` write the new line.
    """
    lines = dict(line.split(" ", 1) for line in file.with_suffix(".digests").read_text().splitlines())
    digest = asyncio.run(digest_of(payloads_in(file.read_bytes()), projection))
    assert lines.get(projection.name) == f"{projection.version} {digest}"


@every_ndjson
@pytest.mark.anyio
async def test_each_projection_can_be_folded_by_itself(ndjson: bytes, tmp_path: Path) -> None:
    """As a changed one is. None reads what another writes, so that it does not matter who is further."""
    async with open_log("memory:") as log:
        await log.append(payloads_in(ndjson), after=0)
        together = open_views(tmp_path / "together", log)
        one_by_one = open_views(tmp_path / "one by one", log)
        await catch_up(log, together)
        for count in range(len(PROJECTIONS)):
            await catch_up(log, one_by_one, projections=PROJECTIONS[: count + 1])
        assert one_by_one.digest() == together.digest()
        together.abandon()
        one_by_one.abandon()


@every_log
def test_an_imported_log_is_clean_and_exported_as_it_was(file: Path, tmp_path: Path) -> None:
    roomlog = CliRunner()
    for command in (["import", str(file)], ["check"], ["export", str(tmp_path / "exported")]):
        done = roomlog.invoke(app, [*command, "--data", str(tmp_path / "data")])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "exported").read_bytes() == file.read_bytes()


def orders_in(file: Path) -> dict[Position, list[tuple[Position, PayloadErased]]]:
    """By the entry that they are about: the entries that ordered something, with what."""
    orders: dict[Position, list[tuple[Position, PayloadErased]]] = {}
    for line in lines_of(file):
        for fact in decode_entry(bytes(line.facts)):
            if isinstance(fact, PayloadErased):
                orders.setdefault(fact.position, []).append((line.position, fact))
    return orders


def test_erased_entries_are_in_some_golden_log() -> None:
    """Erased as the eraser does it: each by the last of its orders, some by one order and some by two."""
    counts = set()
    for line in lines_of(ERASED):
        if line.erased is not None:
            *_, (ordered_by, order) = ordered = orders_in(ERASED)[line.position]
            assert line.erased.ordered_by == ordered_by
            assert order.digest == sha256(bytes(line.facts)).hexdigest()
            counts.add(len(ordered))
    assert counts == {1, 2}


@pytest.mark.parametrize("said", ["regretted", "Carol's", "Anybody"])
def test_nothing_of_what_was_erased_is_in_it(said: str) -> None:
    assert said.encode() in BEFORE_ERASURE.read_bytes()
    assert said.encode() not in ERASED.read_bytes()


def test_every_kind_of_fact_is_in_some_golden_log() -> None:
    """A new kind needs a golden log that has it: see `writing.py`."""
    written = {type(fact) for file in LOGS for fact in facts_in(file)}
    assert written == set(get_args(Fact))
