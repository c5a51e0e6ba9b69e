"""Medians, spreads and percentiles, which everything that is printed goes through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Latencies, Spread, percentile

SECONDS = st.lists(st.floats(min_value=0, max_value=100), min_size=1)


def test_spread_of_three_runs() -> None:
    assert Spread.of([3.0, 1.0, 2.5]) == Spread(median=2.5, minimum=1.0, maximum=3.0, repetitions=3)


@pytest.mark.parametrize(("percent", "expected"), [(50, 50), (99, 99), (100, 100)])
def test_percentile_of_a_hundred(percent: int, expected: int) -> None:
    assert percentile(range(1, 101), percent) == expected


@given(SECONDS, st.integers(1, 100))
def test_enough_values_are_no_greater(values: list[float], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert sum(value <= found for value in values) * 100 >= percent * len(values)


@given(SECONDS, st.integers(1, 100))
def test_no_smaller_value_would_do(values: list[float], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_latencies_are_in_milliseconds() -> None:
    assert Latencies.of([0.002, 0.001, 0.003]) == Latencies(p50=2.0, p99=3.0, samples=3)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Latencies.of([])
