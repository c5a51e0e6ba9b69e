"""Figures with their spread, because one number from one run says nothing."""

import statistics
from collections.abc import Sequence
from typing import Self

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """What several repetitions of one measurement gave."""

    median: float
    minimum: float
    maximum: float
    repetitions: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        median, minimum, maximum = map(_rounded, (statistics.median(values), min(values), max(values)))
        return cls(median, minimum, maximum, len(values))


class Latencies(msgspec.Struct, frozen=True):
    """What was seen of one repetition, in milliseconds."""

    p50: float
    p99: float
    samples: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Self:
        ordered = sorted(seconds)
        return cls(percentile(ordered, 50) * 1000, percentile(ordered, 99) * 1000, len(ordered))


class LatencySpread(msgspec.Struct, frozen=True):
    """Latencies in milliseconds; the spread is that of the repetitions' percentiles."""

    p50_ms: Spread
    p99_ms: Spread
    samples: int
    """In all repetitions together."""

    @classmethod
    def of(cls, repetitions: Sequence[Latencies]) -> Self:
        return cls(
            Spread.of([one.p50 for one in repetitions]),
            Spread.of([one.p99 for one in repetitions]),
            sum(one.samples for one in repetitions),
        )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The least value that so many percent do not exceed. Raises `ValueError` if there are no values."""
    if not ordered:
        raise ValueError("nothing was measured: allow more seconds")
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _rounded(value: float) -> float:
    """To six digits: results are kept for years, and no more of them mean anything."""
    return float(f"{value:.6g}")
