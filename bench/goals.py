"""What was to be reached, and what was: a table in Markdown, from the last line of `results.jsonl`.

    python -m bench.goals

A goal is a ratio wherever it can be one, so that it means the same on another machine. Goals are for a
log that has 1,000,000 events already; what was measured stands beside each figure, whatever it is. What
was not measured is not called met. Where the same run measured what no implementation on these libraries
can get past, that is the *bound*.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

import typer

from bench import report
from bench.bare import Bare
from bench.growth import AtLength
from bench.report import number
from bench.results import NoResults, Results, last_results
from bench.sync import Steady

_CONNECTIONS = 64
_BATCH = 64

_IDLE = 10_000
_SHARE_OF_THE_RATE = 0.95

Found = TypeVar("Found")


class Figure(NamedTuple):
    value: float
    conditions: str
    counts: bool = True
    """False if it was made too easy for the server, so that it cannot be called met."""


class NotMeasured(Exception):
    """The run had no such part, or not at that size."""


class Goal(NamedTuple):
    figure: str
    bound: Literal["≥", "≤"]
    limit: float
    unit: str
    measured: Callable[[Results], Figure]
    """Raises `NotMeasured`."""
    bound_here: Callable[[Results], float] | None = None
    """What cannot be got past. Raises `NotMeasured`."""

    def is_met_by(self, figure: Figure) -> bool:
        is_within = figure.value >= self.limit if self.bound == "≥" else figure.value <= self.limit
        return is_within and figure.counts

    def row(self, results: Results) -> str:
        try:
            figure = self.measured(results)
        except NotMeasured:
            cells = "not measured", "", "", ""
        else:
            is_met = "yes" if self.is_met_by(figure) else "**no**"
            cells = f"{number(figure.value)}{self.unit}", is_met, self._bound_in(results), figure.conditions
        return f"| {self.figure} | {self.bound} {self.limit:,g}{self.unit} | {' | '.join(cells)} |"

    def _bound_in(self, results: Results) -> str:
        if self.bound_here is None:
            return ""
        try:
            return f"{number(self.bound_here(results))}{self.unit}"
        except NotMeasured:
            return ""


def _have(found: Found | None) -> Found:
    if found is None:
        raise NotMeasured
    return found


def _send_to_ceiling(results: Results) -> Figure:
    send = _have(results.send)
    at = _have(next((at for at in send.at_connections if at.connections == _CONNECTIONS), None))
    speed = number(at.send.per_second.median)
    return Figure(at.ratio.median, f"{speed} events/s, {send.events_before:,} events before")


def _bare(results: Results, left: str, connections: int) -> Bare:
    of_left = (bare for bare in _have(results.send).bare if bare.left == left)
    return _have(next((bare for bare in of_left if bare.connections == connections), None))


def _p50_to_floor(results: Results) -> Figure:
    events_before = _have(results.send).events_before
    return Figure(_bare(results, "everything", 1).p50_to_floor.median, f"{events_before:,} events before")


def _least_to_ceiling(results: Results) -> float:
    return _bare(results, "least", _CONNECTIONS).ratio.median


def _least_p50_to_floor(results: Results) -> float:
    return _bare(results, "least", 1).p50_to_floor.median


def _one_room_to_many(results: Results) -> Figure:
    rooms = _have(results.send).one_room_or_many
    return Figure(rooms.ratio.median, f"{rooms.connections} connections, {rooms.many_rooms:,} rooms")


def _append_to_lmdb(results: Results) -> Figure:
    at = _have(next((at for at in _have(results.append).at_batches if at.batch == _BATCH), None))
    return Figure(at.ratio.median, f"{number(at.log.entries_per_second.median)} entries/s")


def _bare_to_lmdb(results: Results) -> float:
    """Of LMDB on a thread of its own, with entries that are hashed and compressed."""
    at = _have(next((at for at in _have(results.append).at_batches if at.batch == _BATCH), None))
    return _have(at.bare_ratio).median


def _rebuild_bound(results: Results) -> float:
    return _have(_have(results.rebuild).of_logs[-1].bound_events_per_second).median


def _rebuild_speed(results: Results) -> Figure:
    longest = _have(results.rebuild).of_logs[-1]
    return Figure(longest.fold_events_per_second.median, f"{longest.events:,} events")


def _rebuild_growth(results: Results) -> Figure:
    rebuild = _have(results.rebuild)
    return Figure(rebuild.growth.median, _from_to(rebuild.of_logs[0].events, rebuild.of_logs[-1].events))


def _rebuild_growth_bound(results: Results) -> float:
    """If only reading and putting the rows, which do cost more in a longer log, cost more there."""
    logs = _have(results.rebuild).of_logs
    shortest, longest = (1 / _have(one.bound_events_per_second).median for one in (logs[0], logs[-1]))
    fold = 1 / logs[0].fold_events_per_second.median
    return (fold + longest - shortest) / fold


def _send_growth(results: Results) -> Figure:
    shortest, longest = _lengths(results)
    return Figure(longest.ratio_to_shortest.median, _from_to(shortest.events, longest.events))


def _least_growth(results: Results) -> float:
    return _have(_lengths(results)[1].least_ratio_to_shortest).median


def _bytes_per_event(results: Results) -> Figure:
    _, longest = _lengths(results)
    return Figure(
        longest.bytes_per_event,
        f"{longest.events:,} events, entries of {number(longest.entry_bytes)} bytes",
    )


def _heap(results: Results) -> Figure:
    _, longest = _lengths(results)
    return Figure(longest.memory_after.heap_bytes / 1e6, f"{longest.events:,} events")


def _heap_growth(results: Results) -> Figure:
    shortest, longest = _lengths(results)
    ratio = longest.memory_after.heap_bytes / shortest.memory_after.heap_bytes
    return Figure(ratio, _from_to(shortest.events, longest.events))


def _steady_p99(results: Results) -> Figure:
    found = (one for one in _have(results.sync).steady if one.call == "sync" and one.rooms_of_the_waiting > 1)
    return steady_figure(_have(next(found, None)))


def steady_figure(steady: Steady) -> Figure:
    """Counts only if the rate was kept, and nobody is still waiting."""
    conditions = f"{steady.waiting} waiting, {number(steady.per_second.median)} sends/s, {steady.lost} lost"
    is_kept = steady.per_second.median >= _SHARE_OF_THE_RATE * steady.wanted_per_second
    return Figure(steady.after_200.p99_ms.median, conditions, counts=is_kept and not steady.lost)


def _sync_of_many_rooms(results: Results) -> Figure:
    first, *_, last = _have(results.sync).accounts
    return Figure(last.ratio.median, f"{last.rooms:,} rooms, {first.rooms} room")


def _idle_polls(results: Results) -> Figure:
    idle = _have(results.idle)
    return Figure(idle.p99_ratio.median, f"{idle.idle:,} polls", counts=idle.idle >= _IDLE)


def _lengths(results: Results) -> tuple[AtLength, AtLength]:
    lengths = _have(results.growth).at_lengths
    return lengths[0], lengths[-1]


def _from_to(shortest: int, longest: int) -> str:
    return f"{shortest:,} to {longest:,} events"


GOALS = (
    Goal(
        "durable sends at 64 connections ÷ requests to an empty route",
        "≥",
        0.8,
        "",
        _send_to_ceiling,
        _least_to_ceiling,
    ),
    Goal(
        "1 connection: p50 ÷ (p50 of fdatasync + p50 of the empty route)",
        "≤",
        1.5,
        "",
        _p50_to_floor,
        _least_p50_to_floor,
    ),
    Goal("events/s into one hot room ÷ spread over 1,000 rooms", "≥", 0.9, "", _one_room_to_many),
    Goal("`Log.append` in batches of 64 ÷ LMDB alone", "≥", 0.7, "", _append_to_lmdb, _bare_to_lmdb),
    Goal("rebuild of all views, one core", "≥", 100_000, " events/s", _rebuild_speed, _rebuild_bound),
    Goal(
        "rebuild: time for an event, longest log ÷ shortest",
        "≤",
        1.15,
        "",
        _rebuild_growth,
        _rebuild_growth_bound,
    ),
    Goal("send throughput, longest log ÷ shortest", "≥", 0.9, "", _send_growth, _least_growth),
    Goal("bytes on disk for an event, log and views", "≤", 1_000, " B", _bytes_per_event),
    Goal("heap, without mapped pages, after the load", "≤", 150, " MB", _heap),
    # What counts as flat: caches are bounded, but a short log does not fill them.
    Goal("heap, longest log ÷ shortest", "≤", 1.2, "", _heap_growth),
    Goal("a send's 200 → waiting `/sync` answered, p99", "≤", 10, " ms", _steady_p99),
    Goal("incremental `/sync` of an account in many rooms ÷ in one", "≤", 1.3, "", _sync_of_many_rooms),
    Goal("p99 of sends beside 10,000 idle long polls ÷ without", "≤", 1.5, "", _idle_polls),
)


def told(results: Results) -> Iterator[str]:
    """The lines of the table, and the conditions below it."""
    yield "| figure | to reach | measured | met | bound here | with |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for goal in GOALS:
        yield goal.row(results)
    yield ""
    yield report.described(results)


def main(
    results: Annotated[Path, typer.Option(dir_okay=False, help="One line for each run.")] = report.RESULTS,
) -> None:
    """Print what was to be reached, and what the last run reached, as Markdown."""
    try:
        typer.echo("\n".join(told(last_results(results))))
    except NoResults as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
