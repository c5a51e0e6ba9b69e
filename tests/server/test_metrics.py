"""What an operator can count on: the numbers at the port of their own, and that nobody else gets them."""

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from uvicorn.server import ServerState

from eventlog.errors import Unknown
from eventlog.lmdb_file import DATA_FILE
from eventlog.log import Position
from projections.facts import PayloadErased
from server.app import Running
from server.config import Config, log_path
from server.errors import MatrixError
from server.http.doorkeeper import Doorkeeper, bounds_here
from server.http.metrics_page import SCRAPERS_MAX
from server.metrics import Metrics
from server.patrol import Patrol
from server.sync.audience import Audience
from server.users.account import give_up_and_erase
from server.writer import Decided, Turn
from tests.harness.client import Client
from tests.harness.local_homeserver import fast_directory, local_homeserver
from tests.harness.remains import damage
from tests.harness.server_process import ServerProcess, serving
from tests.server.test_writer import FailingLog, between, set_alias
from tests.server.users.test_erasing import BOB, DAY, RETENTION, house

WATCHFUL = ("tests.harness.watchful_server", "serve")
ASKED_FOR = ("--metrics-port", "0", "--rate-limits", "off")
SECONDS = 30
SECONDS_TO_STOP_MAX = 5


def metrics_address(server: ServerProcess) -> str:
    """As it was announced."""
    found = re.search(r"metrics at (http://\S+)\)", server.output[-1])
    assert found is not None, server.output
    return found[1]


def values_in(text: str) -> dict[str, float]:
    """Of those that are told apart by their names alone."""
    return {
        sample.name: sample.value for family in parse(text) for sample in family.samples if not sample.labels
    }


def values(server: ServerProcess) -> dict[str, float]:
    return values_in(httpx.get(metrics_address(server)).text)


def values_once(server: ServerProcess, are_there: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    until = time.monotonic() + SECONDS
    while not are_there(found := values(server)):
        assert time.monotonic() < until, found
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with fast_directory() as directory, serving(directory / "data", *ASKED_FOR) as server:
        yield server
        assert (server.stop(), server.rest_of_output()) == (0, "")


@pytest.fixture(scope="module")
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, timeout=SECONDS) as http:
        yield http


@pytest.fixture(scope="module")
def alice(http: httpx.Client) -> Client:
    return Client("", http=http).register("alice")


@pytest.fixture(scope="module")
def families(server: ServerProcess, alice: Client) -> list[Metric]:
    return list(parse(httpx.get(metrics_address(server)).text))


def test_every_number_says_what_to_do_with_it(families: list[Metric]) -> None:
    own = [family for family in families if family.name.startswith("roomlog_")]
    assert len(own) >= 20
    assert [family.name for family in own if len(family.documentation) < 50] == []


def test_what_only_grows_is_a_counter(families: list[Metric]) -> None:
    counters = {family.name for family in families if family.type == "counter"}
    assert {
        "roomlog_entries_appended",
        "roomlog_batches",
        "roomlog_append_wait_seconds",
        "roomlog_decisions_refused",
        "roomlog_connections_refused",
        "roomlog_requests",
    } <= counters


def test_the_process_is_told_of_as_everywhere(families: list[Metric]) -> None:
    names = {family.name for family in families}
    assert {
        "process_resident_memory_bytes",
        "process_open_fds",
        "python_info",
        "python_gc_collections",
    } <= names


def test_openmetrics_is_spoken_to_who_asks_for_it(server: ServerProcess) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(metrics_address(server), headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert "roomlog_head_position" in {
        family.name
        for family in parse_openmetrics(answer.text)  # type: ignore[no-untyped-call]
    }


def test_what_is_sent_is_counted(server: ServerProcess, alice: Client) -> None:
    room = alice.create_room()
    before = values(server)
    for number in range(10):
        alice.say(room, f"message {number}")
    after = values(server)
    grown = {name: after[name] - before[name] for name in before}
    assert grown["roomlog_head_position"] == grown["roomlog_entries_appended_total"] == 10
    assert 1 <= grown["roomlog_batches_total"] <= 10
    assert 0 < grown["roomlog_append_wait_seconds_total"] < SECONDS
    assert grown["roomlog_requests_total"] == 10
    assert after["roomlog_write_failure"] == after["roomlog_decisions_waiting"] == 0


def test_what_was_there_at_the_start_is_not_counted_as_appended(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *ASKED_FOR) as server:
        server.client().register("alice")
        assert server.stop() == 0
        server.start()
        found = values(server)
        assert found["roomlog_head_position"] > 1
        assert found["roomlog_entries_appended_total"] == found["roomlog_batches_total"] == 0


def test_who_waits_is_counted(server: ServerProcess, alice: Client) -> None:
    since = alice.sync()["next_batch"]
    poll = alice.begin("/sync", since=since, timeout=SECONDS * 1000)
    waiting = values_once(server, lambda found: found["roomlog_long_polls_waiting"] == 1)
    assert waiting["roomlog_connections_open"] >= 2
    alice.create_room()
    poll.result(SECONDS)
    values_once(server, lambda found: found["roomlog_long_polls_waiting"] == 0)


def test_bytes_are_those_of_the_files(server: ServerProcess, alice: Client) -> None:
    alice.create_room()
    found = values(server)
    assert found["roomlog_log_bytes"] >= 4096
    assert found["roomlog_views_bytes"] >= 4096
    assert found["roomlog_disk_free_bytes"] > 1 << 20


def test_nobody_is_named(server: ServerProcess, alice: Client) -> None:
    room = alice.create_room(room_alias_name="tea")
    text = httpx.get(metrics_address(server)).text
    assert [name for name in (alice.user_id, "alice", room, str(alice.token), "#tea") if name in text] == []


def test_the_clients_port_does_not_serve_them(http: httpx.Client) -> None:
    assert http.get("/metrics").status_code == 404


@pytest.mark.parametrize("path", ["/", "/metrics/", "/_matrix/client/versions", "/metrics%00", "//metrics"])
def test_there_is_nothing_else(server: ServerProcess, path: str) -> None:
    answer = httpx.get(metrics_address(server).removesuffix("/metrics") + path)
    assert (answer.status_code, answer.text) == (404, "There is nothing here but /metrics.\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_they_can_only_be_read(server: ServerProcess, method: str) -> None:
    answer = httpx.request(method, metrics_address(server))
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_no_page_of_the_web_may_read_them(server: ServerProcess) -> None:
    answer = httpx.get(metrics_address(server), headers={"Origin": "https://example.org"})
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_scrapers_have_a_bound(server: ServerProcess) -> None:
    with httpx.Client() as first:
        assert first.get(metrics_address(server)).status_code == 200
        place = urlsplit(metrics_address(server))
        others = [socket.create_connection((place.hostname, place.port)) for _ in range(SCRAPERS_MAX)]
        try:
            others[-1].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert others[-1].recv(1 << 16).startswith(b"HTTP/1.1 503 ")
            assert first.get(metrics_address(server)).status_code == 200
        finally:
            for connection in others:
                connection.close()


def listening_sockets(pid: int) -> int:
    """Of TCP, that the process has open."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
        inodes |= {found[1]} if found else set()
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "0A" and row[9] in inodes for row in rows)


@pytest.mark.parametrize(("options", "sockets"), [((), 1), (("--metrics-port", "0"), 2)])
def test_the_port_is_open_only_if_it_was_asked_for(
    tmp_path: Path, options: tuple[str, ...], sockets: int
) -> None:
    with serving(tmp_path / "data", *options) as server:
        assert listening_sockets(server.pid) == sockets


def test_a_scraper_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with serving(tmp_path / "data", *ASKED_FOR) as server, httpx.Client() as scraper:
        assert scraper.get(metrics_address(server)).status_code == 200  # and stays connected
        place = urlsplit(metrics_address(server))
        with socket.create_connection((place.hostname, place.port)) as silent:
            silent.sendall(b"GET /metrics HTTP/1.1\r\n")
            begun = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begun < SECONDS_TO_STOP_MAX
        assert server.rest_of_output() == ""


# The patrol


@pytest.fixture
def watchful(tmp_path: Path) -> Iterator[ServerProcess]:
    """Its log is not begun, and its patrol never rests."""
    server = ServerProcess(tmp_path / "data", *ASKED_FOR, command=WATCHFUL)
    yield server
    server.release()


def test_before_the_first_round_none_is_told_of(server: ServerProcess) -> None:
    found = values(server)
    assert found["roomlog_patrol_round"] == found["roomlog_patrol_position"] == 0
    assert "roomlog_patrol_last_round_age_seconds" not in found


def test_the_patrol_is_where_the_log_ends(watchful: ServerProcess) -> None:
    watchful.start()
    watchful.client().register("alice")
    head = values(watchful)["roomlog_head_position"]
    found = values_once(watchful, lambda found: found["roomlog_patrol_position"] == head)
    assert found["roomlog_patrol_head_position"] == head
    assert found["roomlog_patrol_findings"] == 0


def test_rounds_are_counted(watchful: ServerProcess) -> None:
    watchful.start()
    found = values_once(watchful, lambda found: found["roomlog_patrol_round"] >= 3)
    assert 0 <= found["roomlog_patrol_last_round_age_seconds"] < SECONDS
    assert found["roomlog_patrol_last_round_findings"] == 0


def test_what_the_patrol_finds_is_counted(watchful: ServerProcess, tmp_path: Path) -> None:
    watchful.start()
    client = watchful.client().register("alice")
    room = client.create_room()
    client.say(room, "soon to be damaged")
    client.say(room, "the last entry, which is read at the start")
    assert watchful.stop() == 0
    damage("soon to be damaged", log_path(tmp_path / "data") / DATA_FILE)
    watchful.start()
    found = values_once(watchful, lambda found: found.get("roomlog_patrol_last_round_findings", 0) > 0)
    assert found["roomlog_patrol_last_round_findings"] == 1


# What does not happen by itself


def metrics_of(parts: Running, data: Path) -> Metrics:
    return Metrics(
        Config(data=data, redaction_retention=RETENTION),
        parts.homeserver,
        parts.writer,
        Audience(parts.homeserver.views, parts.writer.head),
        Doorkeeper(bounds_here()),
        Patrol(),
        ServerState(),
    )


async def read(metrics: Metrics) -> dict[str, float]:
    text, _ = await metrics.text("")
    return values_in(text.decode())


@pytest.mark.anyio
async def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    async with local_homeserver(tmp_path, through=FailingLog) as parts:
        between(parts, FailingLog).error = Unknown("injected")
        with pytest.raises(MatrixError):
            await parts.writer.decide(set_alias, "#a")
        found = await read(metrics_of(parts, tmp_path))
    assert found["roomlog_write_failure"] == 1
    assert found["roomlog_batches_total"] == found["roomlog_entries_appended_total"] == 0


@pytest.mark.anyio
async def test_an_erasure_that_is_late_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        metrics = metrics_of(home.parts, tmp_path)
        await home.redact(await home.say(BOB, "regretted"))
        home.clock.now += RETENTION
        assert 0 <= (await read(metrics))["roomlog_erasure_overdue_seconds"] < 1
        home.clock.now += DAY
        assert (await read(metrics))["roomlog_erasure_overdue_seconds"] >= DAY / 1000
        await home.eraser.erase_what_is_due()
        found = await read(metrics)
    assert found["roomlog_erasure_overdue_seconds"] == 0


def order_erasure(_: Turn, position: Position) -> Decided[None]:
    return Decided(None, [PayloadErased(position, (0,), "of what will stand there")])


@pytest.mark.anyio
async def test_an_erasure_is_pending_until_it_is_done(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        metrics = metrics_of(home.parts, tmp_path)
        await home.say(BOB, "regretted")
        await home.parts.writer.decide(order_erasure, home.parts.writer.head)
        await home.parts.writer.decide(give_up_and_erase, BOB.user_id)
        found = await read(metrics)
        assert (found["roomlog_erasures_pending"], found["roomlog_erasure_users_pending"]) == (1, 1)
        await home.eraser.erase_what_is_due()
        found = await read(metrics)
        assert (found["roomlog_erasures_pending"], found["roomlog_erasure_users_pending"]) == (0, 0)
