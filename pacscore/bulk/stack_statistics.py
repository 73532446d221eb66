"""What a whole archive holds, stack by stack: sizes, verdicts, spacings, protocols and, where asked for, intensities.

Everything but intensities stands in catalog and manifests; those are computed by the read engine, one volume after the
other, each by all threads.
"""

from __future__ import annotations

import csv
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pacscore
from pacscore.archive.report import Progress, Reported, no_progress
from pacscore.archive.tabulating import series_facts, stack_rows
from pacscore.errors import DamagedError, InputError, PacscoreError
from pacscore.imaging.outgoing import appearing, library
from pacscore.parallel import map_ordered

if TYPE_CHECKING:
    from pacscore.archive.archive import Archive

ATTRIBUTES = (
    "Modality", "BodyPartExamined", "Manufacturer", "ManufacturerModelName", "ProtocolName", "SeriesDescription",
    "StudyDate", "SliceThickness", "MagneticFieldStrength",
)  # fmt: skip
INTENSITIES = ("minimum", "maximum", "mean", "deviation")
_FACTS = ("series_geometry", "instances", "bytes_original", "bytes_stored", "strategy", "state")
_STACK = (
    "stack", "kind", "geometry", "findings", "volumes", "slices", "rows", "columns", "samples", "dtype",
    "slice_spacing_mm", "row_spacing_mm", "column_spacing_mm", "photometric_interpretation", "unit",
)  # fmt: skip
COLUMNS = ("StudyInstanceUID", "SeriesInstanceUID", *ATTRIBUTES, *_FACTS, *_STACK, *INTENSITIES, "problem")
ENDINGS = (".csv", ".parquet", ".html")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spread(Reported):
    """How values lie: their number, smallest, median and largest, over all stacks that state one."""

    name: str
    unit: str
    count: int
    smallest: float
    median: float
    largest: float

    @property
    def ends(self) -> tuple[float, float, float]:
        """Smallest, median, largest."""
        return self.smallest, self.median, self.largest


@dataclass(frozen=True, slots=True)
class ArchiveStatistics(Reported):
    """One row a stack, and what they come to.

    Attributes
    ----------
    rows : tuple of dict
        By the names of ``COLUMNS``; absent ones are None. Facts of a series stand in each of its stacks' rows.
    """

    rows: tuple[dict[str, Any], ...]

    @property
    def of_series(self) -> tuple[dict[str, Any], ...]:
        """The first row of each series: what counts series counts these."""
        first: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.rows:
            first.setdefault((row["StudyInstanceUID"], row["SeriesInstanceUID"]), row)
        return tuple(first.values())

    def count(self, column: str, *, of_series: bool = True) -> list[tuple[str, int]]:
        """How many series (or stacks) have each value, the most frequent first."""
        rows = self.of_series if of_series else self.rows
        return Counter(str(row[column]) for row in rows if row[column] not in {None, ""}).most_common()

    def spreads(self, modality: str) -> tuple[Spread, ...]:
        """Of the volumes of a modality: spacings, slices, thickness, intensities."""
        rows = [row for row in self.rows if row["Modality"] == modality and row["kind"] == "volume"]
        units = Counter(row["unit"] for row in rows if row["unit"]).most_common(1)
        unit = units[0][0] if units else ""
        wanted = (
            ("slice_spacing_mm", "mm"), ("row_spacing_mm", "mm"), ("SliceThickness", "mm"), ("slices", ""),
            ("rows", ""), ("columns", ""), *((name, unit) for name in INTENSITIES),
        )  # fmt: skip
        found = ((name, unit, [float(row[name]) for row in rows if row[name] is not None]) for name, unit in wanted)
        return tuple(
            Spread(name, unit, len(values), min(values), statistics.median(values), max(values))
            for name, unit, values in found
            if values
        )

    def protocols(self) -> list[tuple[str, str, str, int, int]]:
        """Modality, protocol (or else description), scanner, series and instances, the most frequent first."""
        counted: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.of_series:
            scanner = " ".join(str(row[name]) for name in ("Manufacturer", "ManufacturerModelName") if row[name])
            protocol = str(row["ProtocolName"] or row["SeriesDescription"] or "")
            at = counted[str(row["Modality"] or ""), protocol, scanner]
            at[0] += 1
            at[1] += int(row["instances"] or 0)
        listed = sorted(counted.items(), key=lambda each: -each[1][0])
        return [(*names, series, instances) for names, (series, instances) in listed]

    def total(self, column: str) -> int:
        """The sum over all series."""
        return sum(int(row[column] or 0) for row in self.of_series)

    def write(self, path: Path | str) -> None:
        """Write the rows as ``.csv`` or ``.parquet``, or a page with plots as ``.html``.

        Raises
        ------
        InputError
            Another ending, or the folder does not exist.
        UnsupportedError
            Parquet was asked for and pyarrow is not installed (extra ``tables``).
        """
        target = Path(path)
        check_ending(target)
        if target.suffix == ".html":
            from pacscore.bulk.statistics_page import page_of

            text = page_of(self)
            with appearing(target) as pending:
                pending.write_text(text, "utf-8")
            return
        if target.suffix == ".csv":
            with appearing(target) as pending, pending.open("x", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(self.rows)
            return
        arrow, parquet = (library(name, extra="tables") for name in ("pyarrow", "pyarrow.parquet"))
        columns = {name: _cells([row[name] for row in self.rows]) for name in COLUMNS}
        with appearing(target) as pending:
            parquet.write_table(arrow.table(columns), pending, compression="zstd")


def archive_statistics(
    archive: Archive, *, intensity: bool = False, progress: Progress | None = None, **match: Any
) -> ArchiveStatistics:
    """Look at every stack of the series that match.

    Parameters
    ----------
    intensity : bool
        Read every grey volume for the smallest, largest and mean modality value and their deviation; padding does not
        count.
    **match
        As for ``find``.

    Returns
    -------
    ArchiveStatistics
        A series that is damaged, or a stack that cannot be decoded, is a row whose ``problem`` says so.
    """
    found = list(archive.find("series", **match))
    threads = archive._session.settings.threads()

    def look(row: Mapping[str, Any]) -> list[dict[str, Any]]:
        return _series_rows(archive, row)

    rows: list[dict[str, Any]] = []
    for number, made in enumerate(map_ordered(look, found, threads=threads), 1):
        rows += made
        (progress or no_progress)("looking", number, len(found))
    if intensity:
        for number, row in enumerate(rows, 1):
            _add_intensity(archive, row)
            (progress or no_progress)("reading", number, len(rows))
    return ArchiveStatistics(tuple(rows))


def check_ending(path: Path) -> None:
    """Refuse a file that none can be written as.

    Raises
    ------
    InputError
    """
    if path.suffix not in ENDINGS:
        raise InputError(f"Statistics are written as {', '.join(ENDINGS)}, not {path.suffix or 'without an ending'}.")


def _series_rows(archive: Archive, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    about = dict.fromkeys(COLUMNS) | {name: _one(found.get(name)) for name in (*COLUMNS[:2], *ATTRIBUTES)}
    try:
        series = archive.series(found["SeriesInstanceUID"], found["StudyInstanceUID"])
        facts = series_facts(series)
        about |= {name: facts[name] for name in _FACTS[1:]} | {"series_geometry": facts["geometry"]}
        stacks = stack_rows(series)
    except (pacscore.NotFoundError, DamagedError) as error:
        return [about | {"problem": error.message}]
    return [about | {name: stack[name] for name in _STACK} for stack in stacks] or [about]


def _add_intensity(archive: Archive, row: dict[str, Any]) -> None:
    if row["stack"] is None or row["samples"] != 1:
        return
    try:
        volume = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"]).volume(row["stack"])
        if volume.is_monochrome:
            found = volume.statistics()
            row |= {name: getattr(found, name) for name in INTENSITIES if found.count}
    except PacscoreError as error:
        row["problem"] = error.message


def _one(value: Any) -> Any:
    return "\\".join(map(str, value)) if isinstance(value, list) else value


def _cells(values: Sequence[Any]) -> list[Any]:
    """A column that Arrow takes: of one type."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} or kinds <= {str}:
        return list(values)
    if kinds <= {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def counted_rows(pairs: Iterable[tuple[str, int]], *, rows_max: int) -> list[tuple[str, int]]:
    """The first pairs, and the rest as one."""
    listed = list(pairs)
    rest = sum(count for _, count in listed[rows_max:])
    return [*listed[:rows_max], *([("others", rest)] if rest else [])]
