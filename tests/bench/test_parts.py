"""Each part once, at a size that says nothing about speed and everything about whether it measures."""

from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import uvloop

from bench import append, growth, idle, peers, rebuild, recovery, send, sync
from bench.author import authoring, token_of
from bench.histories import Histories, populate
from bench.idle_load import HoldPolls
from bench.load import Sender, SendMessages, Sent, put_load_on_server
from bench.processes import Failed, Server, at_work, places, serving
from bench.progress import Progress, silent
from bench.sending import Load, Senders, serve_options
from bench.session import Part
from bench.workload import write_log
from eventlog.engines import open_log
from server.config import log_url

Measured = TypeVar("Measured", bound=msgspec.Struct)


def carried_out(part: Part[Measured], directory: Path, histories: Histories) -> Measured:
    """What the part measured; it took as many steps as announced, and is told with the flush mode."""
    begun: set[int] = set()
    measured = part.measure(directory, Progress(lambda what, behind: begun.add(behind)), histories)
    assert begun == set(range(part.steps))
    told = part.told(measured)[-1]
    assert isinstance(told, str)
    assert told.startswith("flush: ")
    return measured


def test_append_measures_log_and_floor(tmp_path: Path) -> None:
    plan = append.Plan(batches=(1, 8), repetitions=2, seconds=0.05)
    measured = carried_out(append.part(plan), tmp_path, Histories(tmp_path))
    assert [at.batch for at in measured.at_batches] == [1, 8]
    for at in measured.at_batches:
        assert at.log.batch.samples == at.lmdb.batch.samples > 0
        assert at.ratio.repetitions == 2
        assert at.bare_ratio is not None
        assert at.bare_ratio.repetitions == 2


def test_append_leaves_no_file(tmp_path: Path) -> None:
    append.measure(tmp_path, append.Plan(batches=(1,), repetitions=1, seconds=0.01), silent())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def sends(tmp_path_factory: pytest.TempPathFactory, histories: Histories) -> send.Sends:
    plan = send.Plan(
        connections=(1, 4),
        rooms=2,
        spread_connections=4,
        many_rooms=8,
        events_before=50,
        repetitions=1,
        seconds=0.1,
    )
    return carried_out(send.part(plan), tmp_path_factory.mktemp("send"), histories)


def test_one_sender_fills_no_batches(sends: send.Sends) -> None:
    alone, crowd = sends.at_connections
    assert alone.batch.median == pytest.approx(1, abs=0.2)
    # Four at most; events and flushes are counted a moment apart.
    assert 1 < crowd.batch.median < 4.5


def test_raw_appends_have_the_same_batches(sends: send.Sends) -> None:
    for at in sends.at_connections:
        assert at.raw.batch == round(at.batch.median)


def test_one_room_and_many_are_measured(sends: send.Sends) -> None:
    measured = sends.one_room_or_many
    assert measured.one.per_second.median > 0
    assert measured.many.per_second.median > 0


def test_what_is_left_out_is_measured_by_itself(sends: send.Sends) -> None:
    servers = ["answered", "decided", "unlogged", "appended", "least", "everything"]
    assert [(one.connections, one.left) for one in sends.bare] == [
        (connections, left) for connections in (1, 4) for left in servers
    ]
    for one in sends.bare:
        assert one.send.per_second.median > 0


def test_rebuilds_agree_on_the_views(tmp_path: Path) -> None:
    digests = []
    for directory in (tmp_path / "here", tmp_path / "there"):
        plan = rebuild.Plan(events=(50, 300), repetitions=2)
        measured = carried_out(rebuild.part(plan), directory, Histories(directory))
        digests.append([one.views_digest for one in measured.of_logs])
        for one in measured.of_logs:
            assert one.check_entries_per_second is not None
            assert one.check_entries_per_second.repetitions == 2
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]


@pytest.fixture(scope="module")
def syncs(tmp_path_factory: pytest.TempPathFactory, histories: Histories) -> sync.Syncs:
    plan = sync.Plan(
        waiting=(1, 3), rooms=(1, 4), steady_waiting=3, events_before=50, repetitions=1, seconds=0.05
    )
    return carried_out(sync.part(plan), tmp_path_factory.mktemp("sync"), histories)


def test_sync_counts_every_answer(syncs: sync.Syncs) -> None:
    crowds = [(one.call, one.waiting, one.in_room) for one in syncs.waiting]
    assert crowds == [(call, *crowd) for call in ("sync", "events") for crowd in ((1, 1), (3, 1), (3, 3))]
    for one in syncs.waiting:
        assert one.after_200.samples == one.in_room * one.send.samples > 0


def test_no_steady_event_is_lost(syncs: sync.Syncs) -> None:
    assert [(one.rooms_of_the_waiting, one.lost) for one in syncs.steady] == [(3, 0), (1, 0)] * 2
    for one in syncs.steady:
        assert one.after_200.samples > 0


def test_accounts_sync_all_their_rooms(syncs: sync.Syncs) -> None:
    few, many = syncs.accounts
    assert (few.rooms, many.rooms) == (1, 4)
    assert many.initial_bytes > 3 * few.initial_bytes


@pytest.fixture(scope="module")
def growths(tmp_path_factory: pytest.TempPathFactory, histories: Histories) -> growth.Growths:
    plan = growth.Plan(events=(50,), connections=2, members=3, repetitions=1, seconds=0.1)
    return carried_out(growth.part(plan), tmp_path_factory.mktemp("growth"), histories)


def test_growth_finds_log_and_views_on_disk(growths: growth.Growths) -> None:
    [at] = growths.at_lengths
    assert at.log_bytes > at.entries * at.entry_bytes
    assert at.views_bytes > 0


def test_growth_asks_the_server_that_does_the_least(growths: growth.Growths) -> None:
    [at] = growths.at_lengths
    assert at.least is not None
    assert at.least.per_second.median > 0
    # The only length is the shortest.
    assert at.least_ratio_to_shortest is not None
    assert at.least_ratio_to_shortest.median == 1


def test_growth_reads_the_state_of_all_members(growths: growth.Growths) -> None:
    [at] = growths.at_lengths
    assert at.state_bytes > 3 * 100
    assert at.state.samples == at.state_event.samples > 0


def test_idle_polls_are_held_beside_senders(tmp_path: Path, histories: Histories) -> None:
    plan = idle.Plan(idle=120, connections=2, rooms=1, events_before=50, repetitions=1, seconds=0.1)
    measured = carried_out(idle.part(plan), tmp_path, histories)
    assert measured.idle == 120
    assert measured.beside.latency.samples > 0


def test_idle_users_with_news_void_the_measurement(tmp_path: Path, histories: Histories) -> None:
    data = tmp_path / "data"
    senders = Senders(1, 1)
    histories.lend(1, 50, data, silent())
    uvloop.run(populate(data, 1, senders.entries))
    where = places()
    with serving("server.cli", *serve_options(data), cores=where.measured) as server:
        not_idle = HoldPolls(server.host, server.port, [senders.in_a_few_rooms[0].token])
        holding = at_work("bench.idle_load", msgspec.json.encode(not_idle), cores=where.measuring)
        with pytest.raises(Failed), holding:
            Load(where, senders.bodies, 0.05).on(server, senders.in_a_few_rooms)


def test_a_peer_needs_no_more_than_a_token(tmp_path: Path, histories: Histories) -> None:
    data = tmp_path / "data"
    senders = Senders(1, 1)
    histories.lend(1, 50, data, silent())
    uvloop.run(populate(data, 1, senders.entries))
    with serving("server.cli", *serve_options(data), cores=places().measured) as server:
        url, token = f"http://{server.host}:{server.port}", senders.in_a_few_rooms[0].token
        measured = peers.measure(url, token, connections=(2,), repetitions=1, seconds=0.1, seed=1)
    [at] = measured.at_connections
    assert at.latency.samples > 0


@pytest.mark.parametrize("url", ["localhost:8008", "ftp://localhost", "http://localhost/_matrix", "http://"])
def test_a_peer_has_a_base_url(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        peers.place_of(url)


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
        plan = sending_to(server, Sender(token_of(user.user_id), ["!no-such-room:localhost"]))
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


def test_recovery_is_measured_with_a_restore_point_and_without(tmp_path: Path, histories: Histories) -> None:
    plan = recovery.Plan(rates=(20, 40), events_before=50, seconds=0.5)
    measured = carried_out(recovery.part(plan), tmp_path, histories)
    assert [at.rate for at in measured.at_rates] == [20, 40]
    for at in measured.at_rates:
        assert (at.share_with_point, at.sent.lost) == (1, 0)
        assert at.sent.send.p50 <= at.sent.send_slowest_ms
        assert 0 < at.views_bytes_before <= at.views_bytes_max
        assert at.ready > 0
    assert measured.ready_without_point > 0
