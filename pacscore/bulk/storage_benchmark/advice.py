"""A plain-words recommendation for each use, with its reason in numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pacscore.bulk.storage_benchmark.results import Results, Row, WayFact

CLOSE = 1.1
"""Ways within a tenth of the best are told as equal."""

_USES = (
    ("Viewing: planes and scrolling", ("axial", "coronal", "sagittal", "scroll", "frame")),
    ("Training: random patches", ("patch64", "patch128")),
    ("Whole volumes and statistics over a cohort", ("volume", "statistic")),
    ("Many readers at once", ("threads", "processes", "during-ingest")),
    ("Taking series in", ("ingest",)),
)


@dataclass(frozen=True, slots=True)
class Advice:
    """For one use: the way that does best, and why."""

    use: str
    way: str
    reason: str


def advise(results: Results) -> list[Advice]:
    """One for each use that was measured, one for the fewest bytes, and those again for ways that keep originals."""
    keeping = [way.name for way in results.ways if way.keeps_originals]
    every = [way.name for way in results.ways]
    found = []
    for use, workloads in _USES:
        fastest = _fastest(results, use, workloads, every)
        if fastest is not None:
            found.append(fastest)
            if fastest.way not in keeping:
                kept = _fastest(results, f"{use}, originals kept", workloads, keeping)
                found += [kept] if kept is not None else []
    if results.ways:
        found.append(_smallest(results, "Fewest bytes", results.ways))
        originals = [way for way in results.ways if way.keeps_originals]
        if originals and found[-1].way not in keeping:
            found.append(_smallest(results, "Fewest bytes, originals kept", originals))
        found += _all_round(results, keeping)
    return found


def _all_round(results: Results, ways: Sequence[str]) -> list[Advice]:
    """Of the ways that keep originals, the least geometric mean of bytes and all times, as multiples of the best."""
    sizes = {way.name: way.bytes_stored for way in results.ways}
    scores: dict[str, float] = {}
    for way in ways:
        cells = [results.cell(way, column) for column in results.columns]
        measured = [cell for cell in cells if cell is not None]
        if measured and len(measured) == len(cells):
            times = [math.log(_multiple(results, cell, ways)) for cell in measured]
            size = math.log(sizes[way] / min(sizes[each] for each in ways))
            scores[way] = math.exp((sum(times) / len(times) + size) / 2)
    if len(scores) < 2:
        return []
    best, other = sorted(scores, key=lambda way: scores[way])[:2]
    share = 100 * sizes[best] / results.bytes_words
    reason = (
        f"Bytes and times weigh the same: together {scores[best]:.1f} times the best in each, {other} "
        f"{scores[other]:.1f} times; {share:.0f} % of the uncompressed words."
    )
    return [Advice("A bit of everything, originals kept", best, reason)]


def _fastest(results: Results, use: str, workloads: Sequence[str], ways: Sequence[str]) -> Advice | None:
    """By the mean of its times as multiples of the best in each column, so that no column counts by its length."""
    columns = [column for column in results.columns if column.split(", ")[0] in workloads]
    scores: dict[str, float] = {}
    for way in ways:
        cells = [results.cell(way, column) for column in columns]
        measured = [cell for cell in cells if cell is not None]
        if columns and len(measured) == len(columns):
            scores[way] = sum(_multiple(results, cell, ways) for cell in measured) / len(measured)
    if not scores:
        return None
    ordered = sorted(scores, key=lambda way: scores[way])
    best = ordered[0]
    close = [way for way in ordered[1:] if scores[way] <= CLOSE * scores[best]]
    times = ", ".join(f"{column} {seconds_text(_median(results, best, column))}" for column in columns[:4])
    reason = f"{times}."
    if close:
        reason += f" As fast within a tenth: {', '.join(close)}."
    elif len(ordered) > 1:
        times_more = scores[ordered[1]] / scores[best]
        reason += f" The next, {ordered[1]}, takes {times_more:.1f} times as long."
    return Advice(use, best, reason)


def _multiple(results: Results, cell: Row, ways: Sequence[str]) -> float:
    rivals = [results.cell(way, cell.column) for way in ways]
    return cell.median / min(rival.median for rival in rivals if rival is not None)


def _median(results: Results, way: str, column: str) -> float:
    cell = results.cell(way, column)
    assert cell is not None
    return cell.median


def _smallest(results: Results, use: str, ways: Sequence[WayFact]) -> Advice:
    best, *others = sorted(ways, key=lambda way: way.bytes_stored)
    share = 100 * best.bytes_stored / results.bytes_words
    reason = f"{share:.0f} % of the uncompressed words, in {best.files} files."
    if others:
        reason += f" The next, {others[0].name}, takes {100 * others[0].bytes_stored / results.bytes_words:.0f} %."
    return Advice(use, best.name, reason)


def seconds_text(seconds: float) -> str:
    """A time as people read it.

    Examples
    --------
    >>> seconds_text(0.0123), seconds_text(2.5), seconds_text(0.00042)
    ('12.3 ms', '2.50 s', '0.42 ms')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f} ms" if milliseconds >= 100 else f"{milliseconds:.3g} ms"
