"""What an operator can count on: numbers about this process, in the text that Prometheus reads.

Nothing is counted for their sake but by plain integers where the work is done; they are read, and put into
words, when somebody asks. What belongs to the event loop is read on it; the disk is asked, and the text made,
on a thread. No user, no room and no token appears in any of them.

Measured (2 busy cores): to be asked takes 0.1 ms of the event loop, and 0.7 ms on the whole; to be able to
answer costs 0.5 µs for each batch, and a send nothing.

Where: https://prometheus.io/docs/practices/naming/
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from uvicorn.server import ServerState

from projections import erasures, timeline
from server.config import Config, log_path, views_path
from server.homeserver import Homeserver
from server.http.doorkeeper import Doorkeeper
from server.patrol import Patrol
from server.sync.audience import Audience
from server.writer import Writer


class Metrics:
    """Of one server; to be asked on its event loop."""

    def __init__(
        self,
        config: Config,
        homeserver: Homeserver,
        writer: Writer,
        audience: Audience,
        doorkeeper: Doorkeeper,
        patrol: Patrol,
        state: ServerState,
    ) -> None:
        self._config = config
        self._homeserver = homeserver
        self._writer = writer
        self._audience = audience
        self._doorkeeper = doorkeeper
        self._patrol = patrol
        self._state = state
        self._basics = CollectorRegistry()
        ProcessCollector(registry=self._basics)
        PlatformCollector(registry=self._basics)
        GCCollector(registry=self._basics)

    async def text(self, accept: str) -> tuple[bytes, str]:
        """All of them, in the form that the header `Accept` asks for, and which that is."""
        encode, media_type = choose_encoder(accept)
        families = [
            *_of_writing(self._writer),
            *_of_connections(self._doorkeeper, self._audience, self._state),
            *_of_patrol(self._patrol, asyncio.get_running_loop().time()),
            *self._of_erasures(),
        ]
        page = _Page(families, self._config.data, self._basics)
        return await asyncio.to_thread(encode, page), media_type

    def _of_erasures(self) -> Iterator[Metric]:
        with self._homeserver.views.read() as view:
            entries = erasures.count_pending(view)
            users = erasures.count_unerased_users(view)
            first = timeline.first_unerased(view)
        due = None if first is None else first + self._config.redaction_retention
        overdue = 0 if due is None else max(0, self._homeserver.now() - due)
        yield GaugeMetricFamily(
            "roomlog_erasures_pending",
            "Entries whose erasure was ordered and is not on record as done. If it does not come back to 0 "
            "within minutes, something reads an old state of the log: end long-running roomlog commands.",
            entries,
        )
        yield GaugeMetricFamily(
            "roomlog_erasure_users_pending",
            "Users who asked to be erased and of whom there may still be something in the log. As before.",
            users,
        )
        yield GaugeMetricFamily(
            "roomlog_erasure_overdue_seconds",
            "How long ago the oldest redacted content that is still in the log should have left it. "
            "More than some minutes is a promise that is not kept: see the log of the server.",
            overdue / 1000,
        )


@dataclass(frozen=True)
class _Page(Collector):
    """What was read on the event loop, then what it takes system calls to know."""

    families: list[Metric]
    data: Path
    basics: CollectorRegistry

    def collect(self) -> Iterator[Metric]:
        yield from self.families
        yield from _of_disk(self.data)
        yield from self.basics.collect()


def _of_writing(writer: Writer) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "roomlog_head_position",
        "Position of the last durable entry. That of a backup says how much has come since.",
        writer.head,
    )
    yield CounterMetricFamily(
        "roomlog_entries_appended",
        "Entries made durable since the start; its rate is the load. Divided by roomlog_batches_total: "
        "how many share a flush.",
        writer.head - writer.head_at_start,
    )
    yield CounterMetricFamily(
        "roomlog_batches",
        "Batches made durable since the start, each by one flush; its rate is what the disk has to bear.",
        writer.batches,
    )
    yield CounterMetricFamily(
        "roomlog_append_wait_seconds",
        "Time spent in waiting for batches to be durable. Divided by roomlog_batches_total: what a flush "
        "takes; if that grows, the disk is slow or shared. A rate near 1: the disk is the limit.",
        writer.append_seconds,
    )
    yield GaugeMetricFamily(
        "roomlog_decisions_waiting",
        "Requests that wait for a batch. More than one batch holds (1,024), and it is too much to do.",
        writer.waiting,
    )
    yield CounterMetricFamily(
        "roomlog_decisions_refused",
        "Requests that were answered 503 because too many waited. Should stay 0: slow the clients down, "
        "or get a faster disk.",
        writer.refused,
    )
    yield GaugeMetricFamily(
        "roomlog_write_failure",
        "1 if the log cannot be written any more, in which case the process is about to end with status 3: "
        "see the last line of its log, and the disk, before it is started again. 0 while all is well.",
        writer.failure is not None,
    )


def _of_connections(doorkeeper: Doorkeeper, audience: Audience, state: ServerState) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "roomlog_connections_open",
        "Connections at the clients' port. Compare with process_max_fds.",
        doorkeeper.connections,
    )
    yield CounterMetricFamily(
        "roomlog_connections_refused",
        "Connections that were one too many, on the whole or for their address. If they are wanted, raise "
        "the limit of open files, or have a proxy hold fewer.",
        doorkeeper.refused,
    )
    yield CounterMetricFamily(
        "roomlog_requests",
        "Requests answered since the start, in whatever way; its rate is the load, reading included.",
        state.total_requests,
    )
    yield GaugeMetricFamily(
        "roomlog_long_polls_waiting",
        "Calls of /sync and /events that wait for news. About the number of clients that are there.",
        audience.waiting,
    )


def _of_patrol(patrol: Patrol, now: float) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "roomlog_patrol_round",
        "Which round of reading the whole log for damage it is; 0 until the first begins, an hour after "
        "the start.",
        patrol.round,
    )
    yield GaugeMetricFamily(
        "roomlog_patrol_position",
        "Up to which entry this round has read. Should grow until it is roomlog_patrol_head_position.",
        patrol.position,
    )
    yield GaugeMetricFamily(
        "roomlog_patrol_head_position",
        "The last entry of the log as this round saw it, which is where it ends.",
        patrol.head,
    )
    yield GaugeMetricFamily(
        "roomlog_patrol_findings",
        "What this round has found to be damaged so far. More than 0: roomlog check says what; keep the "
        "last backup, and restore it or salvage the log.",
        patrol.findings,
    )
    if patrol.finished is not None:
        yield GaugeMetricFamily(
            "roomlog_patrol_last_round_age_seconds",
            "Time since a round last came to its end; is there once one has. More than two days: the log "
            "is long, or rounds end early, which the log of the server tells.",
            now - patrol.finished,
        )
        yield GaugeMetricFamily(
            "roomlog_patrol_last_round_findings",
            "What that round found. More than 0: as with roomlog_patrol_findings.",
            patrol.findings_of_finished,
        )


def _of_disk(data: Path) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "roomlog_log_bytes",
        "What the log takes on the disk. Grows with every entry and does not shrink.",
        _bytes_in(log_path(data)),
    )
    yield GaugeMetricFamily(
        "roomlog_views_bytes",
        "What the views take on the disk. They can be deleted while the server is stopped.",
        _bytes_in(views_path(data)),
    )
    disk = os.statvfs(data)
    yield GaugeMetricFamily(
        "roomlog_disk_free_bytes",
        "What is free on the disk of the data. With less than 64 MiB nothing is written any more: make "
        "room long before.",
        disk.f_bavail * disk.f_frsize,
    )


def _bytes_in(directory: Path) -> int:
    """Blocks, because a file of the views is as long as its map, most of which is a hole."""
    return sum(512 * path.stat().st_blocks for path in directory.iterdir() if path.is_file())
