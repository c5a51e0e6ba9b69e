"""Each part once, at a size that says nothing about speed and everything about whether it measures."""

from pathlib import Path
from typing import Any

import pytest

from bench import append, rebuild, send, sync
from bench.author import authoring, token_of
from bench.load import Sender, SendMessages, Sent, put_load_on_server
from bench.processes import Failed, Server, places, serving
from bench.progress import Progress, silent
from bench.session import Part
from bench.workload import write_log
from eventlog.engines import open_log
from server.config import log_url

SMALL_PARTS = [
    append.part(append.Plan(batches=(1,), repetitions=1, seconds=0.01)),
    rebuild.part(rebuild.Plan(events=50, repetitions=1)),
]


def test_append_measures_log_and_floor(tmp_path: Path) -> None:
    plan = append.Plan(batches=(1, 8), repetitions=2, seconds=0.05)
    measured = append.measure(tmp_path, plan, silent())
    assert [at.batch for at in measured.at_batches] == [1, 8]
    for at in measured.at_batches:
        assert at.log.batch.samples == at.lmdb.batch.samples > 0
        assert at.ratio.repetitions == 2


def test_append_leaves_no_file(tmp_path: Path) -> None:
    append.measure(tmp_path, append.Plan(batches=(1,), repetitions=1, seconds=0.01), silent())
    assert list(tmp_path.iterdir()) == []


def test_one_sender_fills_no_batches(tmp_path: Path) -> None:
    plan = send.Plan(connections=(1, 4), rooms=2, events_before=50, repetitions=1, seconds=0.2)
    measured = send.measure(tmp_path, plan, silent())
    alone, crowd = measured.at_connections
    assert alone.batch.median == pytest.approx(1, abs=0.2)
    assert 1 < crowd.batch.median <= 4


def test_rebuilds_agree_on_the_views(tmp_path: Path) -> None:
    digests = set()
    for directory in (tmp_path / "here", tmp_path / "there"):
        measured = rebuild.measure(directory, rebuild.Plan(events=300, repetitions=2), silent())
        digests.add(measured.views_digest)
    assert len(digests) == 1


def test_sync_counts_every_answer(tmp_path: Path) -> None:
    plan = sync.Plan(waiting=3, rooms=4, events_before=50, repetitions=1, seconds=0.1)
    measured = sync.measure(tmp_path, plan, silent())
    crowds = [(one.call, one.waiting, one.in_room) for one in measured.waiting]
    assert crowds == [(call, *crowd) for call in ("sync", "events") for crowd in ((1, 1), (3, 1), (3, 3))]
    for one in measured.waiting:
        assert one.after_200.samples == one.in_room * one.send.samples > 0


@pytest.mark.parametrize("part", SMALL_PARTS, ids=lambda part: part.name)
def test_as_many_steps_as_announced(part: Part[Any], tmp_path: Path) -> None:
    begun: set[int] = set()
    part.measure(tmp_path, Progress(lambda what, behind: begun.add(behind)))
    assert begun == set(range(part.steps))


@pytest.mark.parametrize("part", SMALL_PARTS, ids=lambda part: part.name)
def test_no_number_without_flush_mode(part: Part[Any], tmp_path: Path) -> None:
    told = part.told(part.measure(tmp_path, silent()))
    assert isinstance(told[-1], str)
    assert told[-1].startswith("flush: ")


@pytest.mark.anyio
async def test_a_refusal_voids_the_measurement(tmp_path: Path) -> None:
    with authoring(seed=1) as author:
        async with open_log(log_url(tmp_path)) as log:
            user, facts = author.register("user")
            await write_log(log, [author.name_server(), facts])
    where = places()
    with serving(
        "server.cli", "serve", "--port", "0", "--data", str(tmp_path), cores=where.measured
    ) as server:
        plan = sending_to(server, Sender(token_of(user.user_id), "!no-such-room:localhost"))
        with pytest.raises(Failed):
            put_load_on_server(plan, Sent, cores=where.measuring)


def sending_to(server: Server, sender: Sender) -> SendMessages:
    return SendMessages(
        host=server.host,
        port=server.port,
        server_pid=server.pid,
        log_file=None,
        senders=[sender],
        bodies=["{}"],
        run="run",
        seconds=0.1,
        warm_up_seconds=0,
    )
