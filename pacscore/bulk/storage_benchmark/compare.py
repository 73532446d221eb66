"""What changed between two runs, beyond noise."""

from __future__ import annotations

from dataclasses import dataclass

from pacscore.bulk.storage_benchmark.results import Results
from pacscore.timing import ratio_interval

CHANGE_MIN = 0.05
"""Less than so much is no change, however sure."""


@dataclass(frozen=True, slots=True)
class Change:
    """One cell in both runs.

    Attributes
    ----------
    ratio, low, high : float
        Its time now as a multiple of its time before, and where that lies with 95 % (bootstrap).
    verdict : str
        ``faster``, ``slower`` or ``same``.
    """

    way: str
    column: str
    before: float
    after: float
    ratio: float
    low: float
    high: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes
    ----------
    differences : dict
        What of machine, versions, data and settings is not the same, so that changes may come from there.
    changes : tuple of Change
        Every cell that both have.
    sizes : dict
        Ways whose bytes changed: before and after.
    only_before, only_after : tuple of str
        Cells that one of them has.
    """

    differences: dict[str, tuple[str, str]]
    changes: tuple[Change, ...]
    sizes: dict[str, tuple[int, int]]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def compare_results(before: Results, after: Results) -> Comparison:
    """Compare cell by cell.

    A change counts where the interval of the ratio of medians excludes 1, and the ratio is off it by 5 % or more.
    """
    cells = {(row.way, row.column): row for row in before.rows}
    now = {(row.way, row.column): row for row in after.rows}
    changes = []
    for key in (key for key in cells if key in now):
        ratio = now[key].median / cells[key].median
        low, high = ratio_interval(now[key].seconds, cells[key].seconds)
        sure = (low > 1 or high < 1) and abs(ratio - 1) >= CHANGE_MIN
        verdict = "same" if not sure else "slower" if ratio > 1 else "faster"
        changes.append(Change(*key, cells[key].median, now[key].median, ratio, low, high, verdict))
    sizes = {way.name: way.bytes_stored for way in before.ways}
    return Comparison(
        differences=_differences(before, after),
        changes=tuple(changes),
        sizes={
            way.name: (sizes[way.name], way.bytes_stored)
            for way in after.ways
            if way.name in sizes and sizes[way.name] != way.bytes_stored
        },
        only_before=tuple(f"{way}: {column}" for way, column in cells if (way, column) not in now),
        only_after=tuple(f"{way}: {column}" for way, column in now if (way, column) not in cells),
    )


def _differences(before: Results, after: Results) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for name in sorted({*before.machine, *after.machine} - {"load before"}):
        one, other = before.machine.get(name, ""), after.machine.get(name, "")
        if one != other:
            found[name] = one, other
    versions = [{(way.name, name): found for way in each.ways for name, found in way.versions.items()}
                for each in (before, after)]  # fmt: skip
    for key in versions[0]:
        if key in versions[1] and versions[0][key] != versions[1][key]:
            found[key[1]] = versions[0][key], versions[1][key]
    data = ["; ".join(each.name for each in run.data) for run in (before, after)]
    if data[0] != data[1]:
        found["series"] = data[0], data[1]
    return found
