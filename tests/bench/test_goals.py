"""What may be called reached."""

from pathlib import Path

import msgspec
import pytest

from bench import goals, report
from bench.goals import GOALS
from bench.results import NoResults, Results, last_results
from tests.bench import samples


def row_of(words: str, measured: Results) -> list[str]:
    """The cells of the one row whose figure has these words."""
    [row] = [line for line in goals.told(measured) if words in line]
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize(("ratio", "met"), [(0.81, "yes"), (0.8, "yes"), (0.79, "**no**")])
def test_at_least_is_met_from_the_limit_on(tmp_path: Path, ratio: float, met: str) -> None:
    measured = samples.results(tmp_path, send=samples.sends(ratio))
    assert row_of("durable sends", measured)[3] == met


@pytest.mark.parametrize(("growth", "met"), [(1.15, "yes"), (1.16, "**no**")])
def test_at_most_is_met_up_to_the_limit(tmp_path: Path, growth: float, met: str) -> None:
    measured = samples.results(tmp_path, rebuild=samples.rebuilds(growth))
    assert row_of("time for an event", measured)[3] == met


def test_the_conditions_stand_beside_a_figure(tmp_path: Path) -> None:
    measured = samples.results(tmp_path, send=samples.sends(0.8))
    assert row_of("durable sends", measured)[5] == "8,000 events/s, 10,000 events before"


def test_the_bound_stands_beside_a_figure_if_it_was_measured(tmp_path: Path) -> None:
    appended = samples.appends(0.5)
    [at] = appended.at_batches
    bounded = msgspec.structs.replace(at, bare_ratio=samples.spread(0.6))
    both = appended, msgspec.structs.replace(appended, at_batches=[bounded])
    measured = [samples.results(tmp_path, append=one) for one in both]
    assert [row_of("Log.append", one)[4] for one in measured] == ["", "0.600"]


def test_the_growth_of_a_rebuild_is_bound_by_that_of_reading_and_putting(tmp_path: Path) -> None:
    measured = samples.rebuilds(1.5)
    shortest, longest = (
        msgspec.structs.replace(
            one, fold_events_per_second=samples.spread(50_000), bound_events_per_second=samples.spread(bound)
        )
        for one, bound in zip(measured.of_logs, (100_000, 50_000), strict=True)
    )
    # 20 µs for an event, and reading and putting takes 20 instead of 10.
    bounded = msgspec.structs.replace(measured, of_logs=[shortest, longest])
    assert row_of("time for an event", samples.results(tmp_path, rebuild=bounded))[4] == "1.50"


def test_what_was_not_measured_is_not_met(tmp_path: Path) -> None:
    nothing = samples.results(tmp_path)
    rows = list(goals.told(nothing))[2 : 2 + len(GOALS)]
    assert all("| not measured |  |  |  |" in row for row in rows)


def test_fewer_polls_than_wanted_do_not_count(tmp_path: Path) -> None:
    many, few = (samples.results(tmp_path, idle=samples.idles(polls, 1.1)) for polls in (10_000, 9_999))
    assert (row_of("idle", many)[3], row_of("idle", few)[3]) == ("yes", "**no**")


@pytest.mark.parametrize(
    ("per_second", "lost", "met"), [(1_000, 0, True), (900, 0, False), (1_000, 1, False)]
)
def test_a_rate_that_was_not_kept_does_not_count(per_second: float, lost: int, met: bool) -> None:
    assert goals.steady_figure(samples.steady(per_second, lost=lost)).counts is met


def test_the_flush_mode_stands_below(tmp_path: Path) -> None:
    told = "\n".join(goals.told(samples.results(tmp_path, append=samples.appends(0.9))))
    assert f"flush: {report.FLUSH_MODE}" in told


def test_the_last_line_is_the_one_that_is_read(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    stated = samples.stated(tmp_path)
    lines = [report.json_line(stated, {"append": samples.appends(ratio)}) for ratio in (0.5, 0.75)]
    file.write_text("\n".join(lines) + "\n")
    read = last_results(file).append
    assert read is not None
    assert read.at_batches[0].ratio.median == 0.75


def test_lines_of_other_versions_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(msgspec.json.encode({"date": "long ago"}))
    with pytest.raises(NoResults, match="another version"):
        last_results(file)


def test_no_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(NoResults, match="no results"):
        last_results(tmp_path / "results.jsonl")
