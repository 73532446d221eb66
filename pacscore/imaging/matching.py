"""The pipeline step that gives a volume the distribution of another series, or of a file of bins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pacscore.errors import InputError
from pacscore.imaging.arrays import Histogram
from pacscore.imaging.enhancement_steps import MatchHistogram
from pacscore.imaging.text_files import read_text

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume

OpenSeries = Callable[[str], "Volume"]
"""Gives the volume of a Series Instance UID."""

_FILE_BYTES_MAX = 1 << 22
_BINS = 65536


@dataclass(frozen=True, slots=True)
class MatchHistogramTo:
    """Give the values the distribution of a reference.

    Attributes
    ----------
    series : str, optional
        Series Instance UID of the reference, in the same archive.
    file : str, optional
        Or a file of bins, see ``read_bins``.

    Raises
    ------
    InputError
        Not exactly one of them is given.
    """

    series: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.series is None) == (self.file is None):
            raise InputError("match_histogram takes a reference: series or file, one of them.")

    def resolved(self, open_series: OpenSeries | None) -> MatchHistogram:
        """The step with the reference at hand.

        Raises
        ------
        InputError
            The file cannot be used, the series holds no values, or nothing opens series here.
        """
        if self.file is not None:
            return MatchHistogram(reference=read_bins(Path(self.file)), said="the bins of a file")
        assert self.series is not None
        if open_series is None:
            raise InputError(
                "match_histogram names a series, and nothing here opens it: give open_series, or use pacscore process."
            )
        return MatchHistogram(reference=reference_histogram(open_series(self.series)), said=f"series {self.series}")


def reference_histogram(volume: Volume) -> Histogram:
    """How often each value of a volume occurs: one bin for each whole number, or 65536 bins.

    Raises
    ------
    InputError
        It holds no values, or colours.
    """
    ends = volume.statistics()
    if not ends.count:
        raise InputError("The reference of match_histogram holds no values.")
    rescale = volume.rescale
    whole = volume.dtype.kind in "iu" and not rescale.tables
    whole = whole and bool((rescale.slopes == 1).all() and (rescale.intercepts % 1 == 0).all())
    span = ends.maximum - ends.minimum
    if whole and span < _BINS:
        return volume.histogram(bins=int(span) + 1, limits=(ends.minimum - 0.5, ends.maximum + 0.5))
    return volume.histogram(bins=_BINS)


def read_bins(path: Path) -> Histogram:
    """Read a histogram: a line ``value,count`` for each bin, values its middle, rising in equal steps.

    A first line of names is passed over. ``numpy.savetxt(path, numpy.c_[h.centers, h.counts], delimiter=",")`` writes
    such a file of ``h = volume.histogram()``.

    Raises
    ------
    InputError
        It cannot be read, is longer than 4 MiB, or holds something else.
    """
    text = read_text(path, "The file of bins", bytes_max=_FILE_BYTES_MAX)
    rows = [line.split(",") for line in text.splitlines() if line.strip()]
    if rows and not _is_number(rows[0][0]):
        rows = rows[1:]
    if len(rows) < 2 or not all(len(row) == 2 and all(map(_is_number, row)) for row in rows):
        raise InputError("A file of bins has at least two lines, each value,count: two numbers.", path=str(path))
    values, counts = np.array(rows, np.float64).T
    step = (values[-1] - values[0]) / (len(values) - 1)
    rises = bool(np.isfinite(values).all()) and step > 0 and bool(np.abs(np.diff(values) - step).max() <= 1e-6 * step)
    if not rises or not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise InputError(
            "Values of a file of bins rise in equal steps, and counts are 0 or more and not all 0.", path=str(path)
        )
    edges = values[0] + step * (np.arange(len(values) + 1) - 0.5)
    return Histogram(np.rint(counts).astype(np.int64), edges)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
