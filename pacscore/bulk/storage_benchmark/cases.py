"""What is measured: a few series of the user's, their original files and their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import pacscore
from pacscore.archive.series import Series
from pacscore.errors import InputError, PacscoreError
from pacscore.imaging import Volume

Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Case:
    """One series.

    Attributes
    ----------
    name : str
        Number, modality and shape; nothing of the patient.
    files : tuple of Path
        The originals, alone in one folder.
    words : (slices, rows, columns) array
        As stored, in the order of the geometry.
    index_to_lps : (4, 4) float64 or None
        From (slice, row, column) to mm; None where the stack has no spacing.
    slope, intercept : float
        To modality values.
    uids : tuple of str
        SOP Instance UIDs, sorted.
    """

    name: str
    files: tuple[Path, ...]
    words: NDArray[Any]
    index_to_lps: NDArray[np.float64] | None
    slope: float
    intercept: float
    uids: tuple[str, ...]

    @cached_property
    def bytes_files(self) -> int:
        """Bytes of the originals."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def folder(self) -> Path:
        """Where the originals lie."""
        return self.files[0].parent


def load_cases(
    path: Path, match: Mapping[str, str], scratch: Path, *, count: int, bytes_max: int, report: Report
) -> tuple[list[Case], list[str]]:
    """Series of an archive, or of a folder of DICOM, spread over their sizes; and why others were left out.

    Parameters
    ----------
    path
        An archive, which is only read; or files, which are ingested into one below ``scratch``.
    count, bytes_max
        At most so many series, and so many bytes of words together.

    Raises
    ------
    InputError
        No series can be measured: the benchmark needs monochrome stacks of one frame size and one slope.
    """
    report("reading the data", 0, 1)
    with ExitStack() as stack:
        if (path / "pacscore.toml").is_file():
            archive = stack.enter_context(pacscore.open(path, read_only=True))
        else:
            archive = stack.enter_context(pacscore.create(scratch / "source"))
            archive.ingest(path)
        wanted: dict[str, Any] = dict(match)
        usable: list[tuple[int, Series, Volume]] = []
        left_out: list[str] = []
        for row in archive.find("series", **wanted):
            series = archive.series(row["SeriesInstanceUID"], row["StudyInstanceUID"])
            try:
                volume = _volume_of(series)
            except PacscoreError as error:
                left_out.append(f"series {series.series_instance_uid}: {error.message}")
                continue
            usable.append((int(np.prod(volume.shape)) * volume.dtype.itemsize, series, volume))
        if not usable:
            raise InputError("No series here is a monochrome stack of slices: there is nothing to measure.")
        cases: list[Case] = []
        for size, series, volume in _spread_over_sizes(usable, count):
            if size + sum(case.words.nbytes for case in cases) > bytes_max and cases:
                left_out.append(f"series {series.series_instance_uid}: over the limit of bytes")
                continue
            cases.append(_case(len(cases) + 1, series, volume, scratch))
            report("reading the data", len(cases), min(count, len(usable)))
    return cases, left_out


def _volume_of(series: Series) -> Volume:
    volume = series.volume()
    if volume.ndim != 3 or not volume.is_monochrome:
        raise InputError("not a monochrome stack of slices")
    if len(series.instances) != volume.shape[0]:
        raise InputError("not one file for each slice")
    if volume.rescale.slopes.size != 1:
        raise InputError("its rescale slope differs from slice to slice")
    return volume


def _spread_over_sizes(usable: list[tuple[int, Series, Volume]], count: int) -> Sequence[tuple[int, Series, Volume]]:
    """The largest, the smallest and some between: equally far apart in the order of their sizes, largest first."""
    ordered = sorted(usable, key=lambda each: (-each[0], each[1].series_instance_uid))
    places = np.unique(np.linspace(0, len(ordered) - 1, min(count, len(ordered))).astype(int))
    return [ordered[place] for place in places]


def _case(number: int, series: Series, volume: Volume, scratch: Path) -> Case:
    folder = scratch / "files" / str(number)
    folder.mkdir(parents=True)
    files = []
    for instance in series.instances:
        files.append(folder / f"{instance.ordinal:06d}.dcm")
        files[-1].write_bytes(instance.bytes())
    return Case(
        name=f"{number}: {series.document.get('Modality', '')} {' × '.join(map(str, volume.shape))} {volume.dtype}",
        files=tuple(files),
        words=volume.array(),
        index_to_lps=volume.index_to_lps if volume.has_affine else None,
        slope=float(volume.rescale.slopes.reshape(-1)[0]),
        intercept=float(volume.rescale.intercepts.reshape(-1)[0]),
        uids=tuple(sorted(instance.sop_instance_uid for instance in series.instances)),
    )
