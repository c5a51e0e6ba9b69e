"""Draws the last results: throughput and p99, by connections and by the length of the log.

    python -m bench.picture          writes bench/results.svg

A point is the median, the line through it reaches from the least to the greatest. The picture has its own
colours for dark surroundings, and says under which conditions its numbers were taken, as every table does.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple
from xml.sax.saxutils import escape

import typer

from bench import report
from bench.figures import Spread
from bench.results import NoResults, Results, last_results

PICTURE = Path(__file__).with_name("results.svg")

_WIDTH, _HEIGHT = 920, 755
_PANEL_WIDTH, _PANEL_HEIGHT = 360, 190
_LEFTS, _TOPS = (70, 520), (80, 375)
_TICKS = 4
_FOOT = _TOPS[1] + _PANEL_HEIGHT + 90

_STYLE = """
svg { background: #ffffff; font: 13px system-ui, sans-serif; --ink: #1f2328; --faint: #d0d7de;
      --series-0: #0550ae; --series-1: #9a6700; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; --ink: #e6edf3; --faint: #30363d; --series-0: #79c0ff; --series-1: #e3b341; }
}
text { fill: var(--ink); } .small { font-size: 11px; } .title { font-weight: 600; }
.middle { text-anchor: middle; } .end { text-anchor: end; } .grid { stroke: var(--faint); }
.series { fill: none; stroke-width: 2; }
.s0 { stroke: var(--series-0); } .s1 { stroke: var(--series-1); stroke-dasharray: 6 3; }
.dot.s0 { fill: var(--series-0); } .dot.s1 { fill: var(--series-1); stroke-dasharray: none; }
"""


class Series(NamedTuple):
    name: str
    points: Sequence[tuple[int, Spread]]


class Panel(NamedTuple):
    title: str
    across: str
    """What the horizontal axis counts; logarithmic."""
    series: Sequence[Series]


class _Place(NamedTuple):
    """A point as it is drawn."""

    x: float
    median: float
    least: float
    greatest: float


def panels(results: Results) -> list[Panel]:
    """Without those that the run did not measure."""
    found: list[Panel] = []
    if results.send is not None:
        at = results.send.at_connections
        sent = [(one.connections, one.send) for one in at]
        empty = [(one.connections, one.ceiling) for one in at]
        speeds = [Series("send", [(x, of.per_second) for x, of in sent])]
        speeds.append(Series("empty route", [(x, of.per_second) for x, of in empty]))
        delays = [Series("send", [(x, of.latency.p99_ms) for x, of in sent])]
        delays.append(Series("empty route", [(x, of.latency.p99_ms) for x, of in empty]))
        found.append(Panel("events per second", "connections", speeds))
        found.append(Panel("p99, milliseconds", "connections", delays))
    if results.growth is not None:
        lengths, connections = results.growth.at_lengths, results.growth.connections
        name = f"send, {connections} connections"
        speeds = [Series(name, [(at.events, at.send.per_second) for at in lengths])]
        delays = [Series(name, [(at.events, at.send.latency.p99_ms) for at in lengths])]
        delays.append(Series("waiting /sync", [(at.events, at.waiting.p99_ms) for at in lengths]))
        found.append(Panel("events per second", "events already in the log", speeds))
        found.append(Panel("p99, milliseconds", "events already in the log", delays))
    return found


def svg(results: Results) -> str:
    """Raises `NoResults` if there is nothing to draw."""
    drawn = panels(results)
    if not drawn:
        raise NoResults("the last run measured neither sends nor growth")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">'
    title = "roomlog: durable sends over HTTP"
    lines = [head, f"<title>{title}</title><style>{_STYLE}</style>", _text(_LEFTS[0], 34, title, "title")]
    for number, panel in enumerate(drawn):
        lines += _panel(panel, _LEFTS[number % 2], _TOPS[number // 2])
    for number, line in enumerate([*report.described(results).splitlines(), _dedup_and_log(results)]):
        lines.append(_text(_LEFTS[0], _FOOT + 15 * number, line, "small"))
    return "\n".join([*lines, "</svg>", ""])


def _dedup_and_log(results: Results) -> str:
    dedup = "dedup on, all transaction ids different"
    if results.send is None:
        return dedup
    return f"{dedup}; by connections: {results.send.events_before:,} events already in the log"


def _panel(panel: Panel, left: int, top: int) -> Iterator[str]:
    bottom = top + _PANEL_HEIGHT
    greatest = _round_up(max(spread.maximum for one in panel.series for _, spread in one.points))
    counts = sorted({x for one in panel.series for x, _ in one.points})
    yield _text(left, top - 12, panel.title, "title")
    for tick in range(_TICKS + 1):
        value, y = greatest * tick / _TICKS, bottom - _PANEL_HEIGHT * tick / _TICKS
        yield f'<line class="grid" x1="{left}" x2="{left + _PANEL_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(left - 8, y + 4, f"{value:,.6g}", "small end")
    for count in counts:
        yield _text(_across(count, counts, left), bottom + 18, f"{count:,}", "small middle")
    yield _text(left + _PANEL_WIDTH / 2, bottom + 36, panel.across, "small middle")
    for index, one in enumerate(panel.series):
        places = [
            _Place(
                _across(count, counts, left),
                bottom - _PANEL_HEIGHT * spread.median / greatest,
                bottom - _PANEL_HEIGHT * spread.minimum / greatest,
                bottom - _PANEL_HEIGHT * spread.maximum / greatest,
            )
            for count, spread in one.points
        ]
        yield from _series(places, index)
        x, y = left + 20 + 180 * index, bottom + 54
        yield f'<line class="series s{index}" x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}"/>'
        yield _text(x + 30, y + 4, one.name, "small")


def _series(places: Sequence[_Place], index: int) -> Iterator[str]:
    line = " ".join(f"{at.x:.1f},{at.median:.1f}" for at in places)
    yield f'<polyline class="series s{index}" points="{line}"/>'
    for x, median, least, greatest in places:
        yield f'<line class="s{index}" x1="{x:.1f}" x2="{x:.1f}" y1="{least:.1f}" y2="{greatest:.1f}"/>'
        yield f'<circle class="dot s{index}" cx="{x:.1f}" cy="{median:.1f}" r="3"/>'


def _across(count: int, counts: Sequence[int], left: int) -> float:
    """Logarithmic, with a margin at either end."""
    least, greatest = math.log(counts[0]), math.log(counts[-1])
    share = (math.log(count) - least) / (greatest - least) if greatest > least else 0.5
    return left + _PANEL_WIDTH * (0.06 + 0.88 * share)


def _round_up(value: float) -> float:
    """To 1, 2, 4, 6 or 8 and zeros: what can be divided by the ticks and read."""
    size: float = 10 ** math.floor(math.log10(max(value, 1e-6)))
    return next(step * size for step in (1, 2, 4, 6, 8, 10) if step * size >= value)


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def main(
    results: Annotated[Path, typer.Option(dir_okay=False, help="One line for each run.")] = report.RESULTS,
    picture: Annotated[Path, typer.Option(dir_okay=False, help="Where it is drawn.")] = PICTURE,
) -> None:
    """Draw throughput and p99 of the last run."""
    try:
        picture.write_text(svg(last_results(results)))
    except NoResults as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    typer.run(main)
