"""Numbers about volumes: statistics, histograms, profiles, comparisons; methods of ``Volume``."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import AmbiguousError, GeometryError, InputError
from pacscore.imaging import arrays
from pacscore.imaging.arrays import Histogram, Progress, Statistics, Watch
from pacscore.imaging.arrays.statistics import binned, check_bins
from pacscore.imaging.regions import Region
from pacscore.imaging.slabs import modality_of, slab_boxes
from pacscore.imaging.sources import Box
from pacscore.imaging.values import MONOCHROME, Rescale

if TYPE_CHECKING:
    from pacscore.imaging.volume import Volume


class OnGrid(Protocol):
    """What lies on a volume's grid, such as a segment that ``Archive.masks`` gives."""

    @property
    def array(self) -> NDArray[np.bool_]:
        """``(slices, rows, columns)``."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Values along a line.

    Attributes
    ----------
    values : NDArray of float64
        ``(samples,)``, linear between voxels; NaN outside the volume.
    distances_mm : NDArray of float64
        ``(samples,)`` from the first point.
    unit : str
        Of the values.
    """

    values: NDArray[np.float64]
    distances_mm: NDArray[np.float64]
    unit: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """How alike two volumes are; see ``arrays.structural_similarity`` and its neighbours."""

    mean_squared_error: float
    peak_signal_to_noise_db: float
    structural_similarity: float


def statistics(
    volume: Volume,
    *,
    mask: NDArray[Any] | OnGrid | None = None,
    roi: Region | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Statistics:
    """Count, mean, deviation, minimum and maximum of modality values.

    Parameters
    ----------
    mask : NDArray or a segment of ``Archive.masks``, optional
        Bool or uint8 of the volume's shape; only where it holds, values count.
    roi : Polygon or Ellipse, optional
        In a plane of the volume's grid; only values of that plane inside it count, and only they are read.
    progress : callable, optional
        Called as ``progress(phase, done, total)``.
    cancel : threading.Event, optional
        Once set, the work ends with ``CancelledError``.

    Returns
    -------
    Statistics
        With the unit, and the volume in mm³ where the grid has an affine. Padding, NaN and infinities do not count.

    Raises
    ------
    InputError
        The mask does not fit, or the volume is in colour.
    GeometryError
        The region lies in no plane of the grid.
    AmbiguousError
        A region, but further axes: choose with ``at``.
    CancelledError
        ``cancel`` was set.

    Notes
    -----
    Exact for words of at most 16 bits that all frames rescale alike. Works in slabs of whole chunks, about 16 MiB each.
    """
    parts = Watch(progress, cancel).each("statistics", list(_parts(volume, mask, roi)))
    found = _merged([_part_statistics(volume, *part) for part in parts])
    return replace(found, unit=volume.rescale.unit, voxel_mm3=voxel_mm3(volume))


def histogram(
    volume: Volume,
    *,
    bins: int = 256,
    limits: tuple[float, float] | None = None,
    mask: NDArray[Any] | OnGrid | None = None,
    roi: Region | None = None,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Histogram:
    """Count modality values in bins of equal width; other arguments as for ``statistics``.

    Parameters
    ----------
    bins : int
        How many.
    limits : tuple of float, optional
        Where the first begins and the last ends; by default the smallest and largest value.

    Raises
    ------
    InputError, GeometryError, AmbiguousError, CancelledError
        As ``statistics``; no bins, or limits the wrong way round.

    Notes
    -----
    Works in slabs as ``statistics`` does, and reads words of at most 16 bits that all frames rescale alike once. Others
    are read twice where no limits are given: the first time to find them.
    """
    check_bins(bins, limits)
    watch, parts = Watch(progress, cancel), list(_parts(volume, mask, roi))
    if _is_counted_by_word(volume):
        numbers, weights = _counted_words(volume, parts, watch)
        found = binned(numbers, weights, bins=bins, limits=limits)
    else:
        if limits is None:
            ends = _merged([_part_statistics(volume, *part) for part in watch.each("finding limits", parts)])
            low, high = (ends.minimum, ends.maximum) if ends.count else (0.0, 1.0)
            limits = (low, high if high > low else low + 1.0)
        found = binned(np.zeros(0), None, bins=bins, limits=limits)
        for part in watch.each("histogram", parts):
            found.counts[...] += arrays.histogram(_kept_values(volume, *part), bins=bins, limits=limits).counts
    return replace(found, unit=volume.rescale.unit)


def profile(volume: Volume, first_lps: ArrayLike, second_lps: ArrayLike, *, samples: int | None = None) -> Profile:
    """Modality values along a straight line.

    Parameters
    ----------
    first_lps, second_lps : three floats
        Its ends, LPS millimetres.
    samples : int, optional
        How many, both ends among them; by default one per half of the smallest voxel side.

    Raises
    ------
    InputError
        The ends are no points or one, or there are fewer than two samples.
    GeometryError, AmbiguousError
        The volume has no affine, a single slice, or further axes.
    """
    refuse_axes(volume)
    affine = volume.index_to_lps
    ends = np.asarray([first_lps, second_lps], np.float64)
    if ends.shape != (2, 3) or not np.isfinite(ends).all() or not (ends[0] != ends[1]).any():
        raise InputError("A profile runs between two points (x, y, z).", found=ends.shape)
    if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise GeometryError("A single slice has no thickness: profiles need a volume of two slices or more.")
    length = float(np.linalg.norm(ends[1] - ends[0]))
    if samples is None:
        samples = max(2, math.ceil(2 * length / float(np.linalg.norm(affine[:3, :3], axis=0).min())) + 1)
    if samples < 2:
        raise InputError(f"A profile has at least two samples, not {samples}.", found=samples)
    share = np.linspace(0.0, 1.0, samples)
    points = ends[0] + share[:, None] * (ends[1] - ends[0])
    places = np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).T).T
    return Profile(_interpolated(volume, places), share * length, volume.rescale.unit)


def compare(volume: Volume, other: Volume, *, value_range: float | None = None) -> Comparison:
    """How alike another volume of the same shape is, in modality values.

    Parameters
    ----------
    other : Volume
        Compared with this one, which counts as true.
    value_range : float, optional
        By default the largest less the smallest value of this volume.

    Raises
    ------
    InputError
        The shapes differ, one is in colour, slices are smaller than 7 × 7, or there is no range.
    """
    for each in (volume, other):
        refuse_colour(each)
    first, second = volume.modality(), other.modality()
    planes = first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:])
    return Comparison(
        arrays.mean_squared_error(first, second),
        arrays.peak_signal_to_noise(first, second, value_range=value_range),
        arrays.structural_similarity(*planes, value_range=value_range),
    )


def voxel_mm3(volume: Volume) -> float | None:
    """Volume of one voxel; None where the stack has no affine or a single slice."""
    affine = volume.geometry.index_to_lps
    size = 0.0 if affine is None else abs(float(np.linalg.det(affine[:3, :3])))
    return size or None


_Part = tuple[Box, "NDArray[Any] | None"]


def _parts(volume: Volume, mask: NDArray[Any] | OnGrid | None, roi: Region | None) -> Iterator[_Part]:
    """Boxes of the volume, each with its mask."""
    refuse_colour(volume)
    held = None if mask is None else mask if isinstance(mask, np.ndarray) else mask.array
    if held is not None and (held.shape != volume.shape or held.dtype not in (np.bool_, np.uint8)):
        raise InputError(
            f"A mask is bool or uint8 with the volume's shape {volume.shape}: this is {held.dtype} {held.shape}.",
            expected=volume.shape,
            found=held.shape,
        )
    if roi is not None:
        refuse_axes(volume)
        plane = roi.on_grid(volume.index_to_lps, volume.shape)
        around = plane.box()
        if around is not None:
            whole = np.expand_dims(plane.mask, plane.axis)
            inside = whole[tuple(slice(None) if axis == plane.axis else around[axis] for axis in range(3))]
            yield around, inside if held is None else inside & (held[around] != 0)
        return
    for box in slab_boxes(volume):
        part = None if held is None else held[box]
        if part is None or part.any():
            yield box, part


def _is_counted_by_word(volume: Volume) -> bool:
    """There are so few stored values that they can be counted one by one."""
    return volume.dtype.itemsize <= 2 and volume.dtype.kind in "iu" and _is_linear(volume.rescale)


def _counted_words(
    volume: Volume, parts: Sequence[_Part], watch: Watch
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The modality values that occur, and how often each does."""
    words = arrays.stored_values(volume.dtype)
    counts = np.zeros(words.size, np.int64)
    for box, mask in watch.each("histogram", parts):
        stored = volume.read_box(box)
        counts += arrays.histogram_16(stored, mask=_without_padding(volume, stored, mask))
    occurs = counts > 0
    return volume.rescale.apply(words[None, occurs])[0].astype(np.float64), counts[occurs]


def _part_statistics(volume: Volume, box: Box, mask: NDArray[Any] | None) -> Statistics:
    stored = volume.read_box(box)
    mask = _without_padding(volume, stored, mask)
    rescale = volume.rescale
    if not _is_counted_by_word(volume):
        return arrays.statistics(modality_of(volume, box, stored), mask=mask)
    found = arrays.statistics(stored, mask=mask)
    slope, intercept = float(rescale.slopes[0]), float(rescale.intercepts[0])
    low, high = sorted((found.minimum * slope + intercept, found.maximum * slope + intercept))
    return Statistics(
        found.count,
        found.sum * slope + found.count * intercept,
        found.mean * slope + intercept,
        found.deviation * abs(slope),
        low,
        high,
    )


def _kept_values(volume: Volume, box: Box, mask: NDArray[Any] | None) -> NDArray[Any]:
    """Modality values of a part where the mask holds, flat."""
    stored = volume.read_box(box)
    mask = _without_padding(volume, stored, mask)
    values = modality_of(volume, box, stored)
    return values.reshape(-1) if mask is None else values[mask != 0]


def _without_padding(volume: Volume, stored: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[Any] | None:
    padding = volume.presentation.padding
    if padding is None:
        return mask
    shown = (stored < padding[0]) | (stored > padding[1])
    return shown if mask is None else shown & (mask != 0)


def _is_linear(rescale: Rescale) -> bool:
    return rescale.slopes.size == 1 and not rescale.tables and not rescale.missing


def _merged(parts: Sequence[Statistics]) -> Statistics:
    """Statistics of several parts together (T. F. Chan et al., Am. Stat. 37 (1983) 242, equation 2.1)."""
    parts = [part for part in parts if part.count]
    if not parts:
        return Statistics.of_nothing()
    count = sum(part.count for part in parts)
    total = math.fsum(part.sum for part in parts)
    mean = math.fsum(part.mean * (part.count / count) for part in parts)
    squares = math.fsum(part.count * (part.deviation**2 + (part.mean - mean) ** 2) for part in parts)
    low, high = min(part.minimum for part in parts), max(part.maximum for part in parts)
    return Statistics(count, total, mean, math.sqrt(squares / count), low, high)


def _interpolated(volume: Volume, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear between the voxels around ``(samples, 3)`` index coordinates, NaN outside."""
    last = np.array(volume.shape) - 1
    inside = ((places > -1e-9) & (places < last + 1e-9)).all(1)
    values = np.full(len(places), np.nan)
    if not inside.any():
        return values
    wanted = np.clip(places[inside], 0, last)
    low = np.minimum(np.floor(wanted).astype(np.int64), np.maximum(last - 1, 0))
    start, stop = low.min(0), np.minimum(low.max(0) + 2, last + 1)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    block = modality_of(volume, box, volume.read_box(box)).astype(np.float64)
    share = wanted - low
    total = np.zeros(len(wanted))
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(np.array(corner) == 1, share, 1 - share).prod(1)
        at = np.minimum(low + corner, last) - start
        total += np.where(weight > 0, weight * block[tuple(at.T)], 0.0)
    values[inside] = total
    return values


def refuse_axes(volume: Volume) -> None:
    """Raise AmbiguousError where the volume has further axes, InputError where it is in colour."""
    refuse_colour(volume)
    if volume.axes:
        names = ", ".join(axis.name for axis in volume.axes)
        raise AmbiguousError(f"This stack has further axes: {names}. Choose one volume with at().", axes=names)


def refuse_colour(volume: Volume) -> None:
    """Raise InputError where the volume is in colour."""
    if volume.presentation.photometric not in MONOCHROME:
        raise InputError("Colours have no modality values to measure.", found=volume.presentation.photometric)
