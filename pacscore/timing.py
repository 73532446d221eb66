"""The timing core: peers and ours alternated in one run, medians, ratios and their spread.

There is one: the project's own figures (``bench/``) and ``pacscore bench`` measure with the same functions.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of each round, by name; rounds are pairs: the same index was measured side by side."""

    seconds: Mapping[str, list[float]]

    @property
    def rounds(self) -> int:
        """How many rounds counted."""
        return len(next(iter(self.seconds.values())))

    def median(self, name: str) -> float:
        """Seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> tuple[float, float, float]:
        """How many times ``fast`` is faster than ``slow``: median, lower and upper quartile over the rounds."""
        return spread([a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)])

    def fastest(self, names: Sequence[str]) -> str:
        """Which of the names has the smallest median."""
        return min(names, key=self.median)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def median_interval(values: Sequence[float], *, share: float = 0.95) -> tuple[float, float]:
    """Where the median of such values lies with probability ``share``: percentile bootstrap, the same on every run.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    chance = random.Random(len(values))
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    outside = (1 - share) / 2
    return medians[int(outside * _RESAMPLES)], medians[min(_RESAMPLES - 1, int((1 - outside) * _RESAMPLES))]


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], *, share: float = 0.95
) -> tuple[float, float]:
    """Where the ratio of the medians of two independent samples lies with probability ``share``: as above."""
    chance = random.Random(len(numerator) * len(denominator))

    def median(values: Sequence[float]) -> float:
        return statistics.median(chance.choices(values, k=len(values)))

    ratios = sorted(median(numerator) / median(denominator) for _ in range(_RESAMPLES))
    outside = (1 - share) / 2
    return ratios[int(outside * _RESAMPLES)], ratios[min(_RESAMPLES - 1, int((1 - outside) * _RESAMPLES))]


def percentile(values: Sequence[float], share: float) -> float:
    """The value that ``share`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def seconds_of(function: Callable[[], object]) -> float:
    """How long one call takes."""
    gc.collect()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def alternate(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 9,
    warm: int = 2,
    before: Callable[[], None] = lambda: None,
    before_each: Mapping[str, Callable[[], None]] | None = None,
) -> Timed:
    """Time each function ``rounds`` times, all of them in turn in every round, after ``warm`` rounds not counted.

    ``before`` runs ahead of each call, then the one of its name in ``before_each``; neither is timed. The order turns
    from round to round, so that no one always follows the same other.
    """
    names = list(functions)
    own = before_each or {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.freeze()  # What was there before is looked at no more: collecting ahead of each call then takes no time.
    try:
        for number in range(warm + rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                before()
                if name in own:
                    own[name]()
                elapsed = seconds_of(functions[name])
                if number >= warm:
                    seconds[name].append(elapsed)
    finally:
        gc.unfreeze()
    return Timed(seconds)


def best_of(variants: Mapping[str, Callable[[], object]], *, rounds: int = 4) -> str:
    """Which variant of one peer is the fastest, by its median after one call not counted."""
    timed = alternate(variants, rounds=rounds, warm=1)
    return timed.fastest(list(variants))
