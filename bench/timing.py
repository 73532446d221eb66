"""The timing core: peers and ours alternated in one run, medians, ratios and their spread."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """Seconds of each round, by name; rounds are pairs: the same index was measured side by side."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Seconds."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> tuple[float, float, float]:
        """How many times ``fast`` is faster than ``slow``: median, lower and upper quartile over the rounds."""
        return spread([a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True)])

    def fastest(self, *names: str) -> str:
        """Which of the names has the smallest median."""
        return min(names, key=self.median)


def spread(values: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    ordered = sorted(values)
    quartiles = statistics.quantiles(ordered, n=4) if len(ordered) > 1 else [ordered[0]] * 3
    return statistics.median(ordered), quartiles[0], quartiles[2]


def alternate(
    functions: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 9,
    warm: int = 2,
    before: Callable[[], None] = lambda: None,
) -> Timed:
    """Time each function ``rounds`` times, all of them in turn in every round, after ``warm`` rounds not counted.

    ``before`` runs ahead of each call and is not timed. The order turns from round to round, so that no one always
    follows the same other.
    """
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm + rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            before()
            gc.collect()
            start = time.perf_counter()
            functions[name]()
            elapsed = time.perf_counter() - start
            if number >= warm:
                seconds[name].append(elapsed)
    return Timed(seconds)
