"""Contrast of arrays: histogram equalisation and matching, CLAHE, gamma."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import native, output_array, read_only, refuse_overlap
from pacscore.imaging.arrays.stacks import finite_limits, numbers_of
from pacscore.imaging.arrays.statistics import Histogram, histogram_16
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import contrast as kernels

_CHUNK = 1 << 18


def equalize(
    values: NDArray[Any], *, low: float | None = None, high: float | None = None, bins: int = 65536
) -> NDArray[np.float32]:
    """Spread values so that each part of their range holds as many.

    Parameters
    ----------
    values : NDArray
        Integers or floats, any shape.
    low, high : float, optional
        The range of the result; by default that of the values.
    bins : int
        Into how many steps floats, and integers of a wider range, are sorted.

    Returns
    -------
    NDArray of float32
        Shape of ``values``. NaN stays; infinities are refused.

    Raises
    ------
    InputError
        No number is finite, the range is empty, or ``bins`` is below 2.

    Notes
    -----
    A value goes to low + (high - low) * (C(value) - C(smallest)) / (1 - C(smallest)), C the share of values not above
    it.

    Examples
    --------
    >>> equalize(np.array([0, 1, 1, 100], np.int16), low=0, high=255)
    array([  0., 170., 170., 255.], dtype=float32)
    """
    source = numbers_of(values)
    smallest, largest = finite_limits(source)
    start = smallest if low is None else low
    end = largest if high is None else high
    if not (math.isfinite(start) and math.isfinite(end) and end >= start and bins >= 2):
        raise InputError(f"A result from {start} to {end} in {bins} bins: the range must rise and bins be 2 or more.")
    places, step = _binned(source, smallest, largest, bins)
    counts = np.cumsum(_counts(places, step))
    first = int(counts[0])
    spread = max(int(counts[-1]) - first, 1)
    table = (start + (end - start) * ((counts - first) / spread)).astype(np.float32)
    return _looked_up(source, places, table)


def match_histogram(values: NDArray[Any], reference: NDArray[Any] | Histogram) -> NDArray[np.float32]:
    """Change values so that their distribution becomes that of ``reference``.

    Parameters
    ----------
    values : NDArray
        Integers or floats, any shape. Floats of more than 65536 steps of their range are sorted into these.
    reference : NDArray or Histogram
        As ``values``; or how often its values occur.

    Returns
    -------
    NDArray of float32
        Shape of ``values``; NaN stays.

    Raises
    ------
    InputError
        One of them has no finite number, or an infinite one.

    Notes
    -----
    A value whose share of values not above it is C goes where the reference has that share, interpolated linearly
    (Gonzalez and Woods, Digital Image Processing, 3.3.2).

    Examples
    --------
    >>> match_histogram(np.array([1, 2, 3, 4], np.int16), np.array([10, 20, 30, 40], np.int16))
    array([10., 20., 30., 40.], dtype=float32)
    """
    source = numbers_of(values)
    smallest, largest = finite_limits(source)
    places, step = _binned(source, smallest, largest, 65536)
    if isinstance(reference, Histogram):
        levels, occurring = reference.centers, reference.counts
        if not occurring.any():
            raise InputError("A histogram in which nothing was counted is no reference.")
    else:
        model = numbers_of(reference)
        low, high = finite_limits(model)
        placed, count = _binned(model, low, high, 65536)
        levels = low + (high - low) * np.arange(count) / max(count - 1, 1)
        occurring = _counts(placed, count)
    is_there = occurring > 0
    shares = np.cumsum(_counts(places, step))
    wanted = np.cumsum(occurring)[is_there]
    table = np.interp(shares / max(int(shares[-1]), 1), wanted / wanted[-1], levels[is_there]).astype(np.float32)
    return _looked_up(source, places, table)


def clahe(
    image: NDArray[Any],
    *,
    clip: float = 2.0,
    tiles: tuple[int, int] = (8, 8),
    levels: int | None = None,
    out: NDArray[Any] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """Contrast-limited adaptive histogram equalisation of a plane.

    Parameters
    ----------
    image : NDArray
        ``(rows, columns)`` uint8 or uint16.
    clip : float
        How many times the mean a level may hold before the rest is spread over all; 0 for no limit.
    tiles : tuple of int
        Context regions down and across, 1 to 64 each.
    levels : int, optional
        Values run from 0 to ``levels - 1``; by default 256 or 65536.
    out : NDArray, optional
        Shape and dtype of ``image``, C order, not overlapping it.
    watch : Watch
        Progress, cancelling, threads.

    Returns
    -------
    NDArray
        Of the image's dtype, from 0 to ``levels - 1``.

    Raises
    ------
    InputError
        The array or a number is not as described, or a value lies above ``levels - 1``.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Equal, value for value, to OpenCV's ``createCLAHE`` with the default levels; as there an image that the regions do
    not divide is mirrored beyond its right and lower border. Zuiderveld, in Graphics Gems IV (1994) 474.

    Examples
    --------
    >>> clahe(np.array([[10, 10, 12, 12]] * 4, np.uint8), clip=0, tiles=(1, 1))
    array([[128, 128, 255, 255],
           [128, 128, 255, 255],
           [128, 128, 255, 255],
           [128, 128, 255, 255]], dtype=uint8)
    """
    down, across = tiles
    steps = {np.dtype(np.uint8): 256, np.dtype(np.uint16): 65536}.get(image.dtype.newbyteorder("="), 0)
    if image.ndim != 2 or not steps:
        raise InputError(f"CLAHE takes (rows, columns) of uint8 or uint16: this is {image.dtype} {image.shape}.")
    if not (1 <= down <= 64 and 1 <= across <= 64 and clip >= 0 and math.isfinite(clip)):
        raise InputError(f"CLAHE takes 1 to 64 regions each way and a clip of 0 or more: not {tiles} and {clip}.")
    source = read_only(native(image))
    target = output_array(out, source.shape, source.dtype)
    refuse_overlap(source, target)
    if not source.size:
        return target
    low, high = int(source.min()), int(source.max())
    count = steps if levels is None else levels
    if not max(2, high + 1) <= count <= steps:
        raise InputError(f"Values up to {high} need {high + 1} to {steps} levels, and 2 or more: not {count}.")
    extended = read_only(_divided(source, down, across))
    rows, columns = extended.shape[0] // down, extended.shape[1] // across
    limit = max(int(clip * (rows * columns) / count), 1) if clip > 0 else 0
    tables = np.empty((down, across, high - low + 1), source.dtype)

    def tabulate(start: int, stop: int) -> None:
        counts = np.empty((2, tables.shape[2]), np.int32)
        kernels.clahe_tables_into(extended, low, count, limit, counts, tables, start, stop)

    watch.run("CLAHE tables", tabulate, down * across, tile=2)
    row_starts, row_weights = _cells(source.shape[0], rows, down)
    column_starts, column_weights = _cells(source.shape[1], columns, across)

    def apply(start: int, stop: int) -> None:
        corners = np.empty(4 * tables.shape[2], np.float32)
        kernels.clahe_cells_into(
            source, tables, low, row_starts, row_weights, column_starts, column_weights, corners, target, start, stop
        )

    watch.run("CLAHE", apply, (down + 1) * (across + 1), tile=2)
    return target


def gamma(
    values: NDArray[Any],
    exponent: float,
    *,
    low: float | None = None,
    high: float | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Bend a range of values by a power: below 1 brightens, above 1 darkens.

    Parameters
    ----------
    values : NDArray
        Integers or floats, any shape.
    exponent : float
        Above 0.
    low, high : float, optional
        The range that keeps its ends, by default that of the values; what lies outside is clamped to it.
    watch : Watch
        Progress, cancelling, threads.

    Returns
    -------
    NDArray of float32
        Shape of ``values``; NaN stays.

    Raises
    ------
    InputError
        The exponent is not above 0, or the range does not rise.
    CancelledError
        ``watch`` says so.

    Examples
    --------
    >>> gamma(np.array([0, 25, 100], np.int16), 0.5)
    array([  0.,  50., 100.], dtype=float32)
    """
    source = read_only(np.ascontiguousarray(numbers_of(values), np.float32))
    smallest, largest = finite_limits(source) if low is None or high is None else (low, high)
    start = smallest if low is None else float(low)
    end = largest if high is None else float(high)
    if not (math.isfinite(exponent) and exponent > 0 and math.isfinite(start) and math.isfinite(end) and end >= start):
        raise InputError(f"Gamma takes an exponent above 0 and a rising range: not {exponent}, {start} to {end}.")
    if end == start:
        return np.where(np.isnan(source), source, np.float32(start))
    target = np.empty_like(source)
    flat, result = source.reshape(-1), target.reshape(-1)

    def bend(first: int, last: int) -> None:
        kernels.gamma_into(flat[first:last], start, end, float(exponent), result[first:last])

    watch.run("gamma", bend, flat.size, tile=_CHUNK)
    return target


def _binned(values: NDArray[Any], low: float, high: float, bins: int) -> tuple[NDArray[np.int32], int]:
    """The bin of each value, flat, and how many bins there are: one each for integers of a range that is not wider."""
    flat = values.reshape(-1)
    if values.dtype.kind in "iu" and high - low < bins:
        # Differences fit into 32 bits, whatever the values; only uint32 does not convert to them.
        wide = np.int64 if values.dtype.itemsize > 4 or values.dtype == np.uint32 else np.int32
        places: NDArray[np.int32] = np.subtract(flat, wide(low), dtype=wide).astype(np.int32, copy=False)
        return places, int(high - low) + 1
    scale = (bins - 1) / (high - low) if high > low else 0.0
    placed = np.nan_to_num((flat.astype(np.float64) - low) * scale + 0.5, nan=-1.0)
    return np.floor(placed).astype(np.int32), bins


def _counts(places: NDArray[np.int32], bins: int) -> NDArray[np.int64]:
    valid = places if not places.size or places.min() >= 0 else places[places >= 0]
    if bins > 1 << 16:
        return np.bincount(valid, minlength=bins)
    return histogram_16(valid.astype(np.uint16))[:bins]


def _looked_up(values: NDArray[Any], places: NDArray[np.int32], table: NDArray[np.float32]) -> NDArray[np.float32]:
    result = table[np.maximum(places, 0)].reshape(values.shape)
    if values.dtype.kind == "f":
        result[np.isnan(values)] = np.nan
    return result


def _divided(image: NDArray[Any], down: int, across: int) -> NDArray[Any]:
    """``image``, mirrored beyond its border where the regions do not divide it; as OpenCV, both ways or neither."""
    rows, columns = image.shape
    if rows % down == 0 and columns % across == 0:
        return image
    return np.pad(image, ((0, down - rows % down), (0, across - columns % across)), mode="reflect")


def _cells(length: int, size: int, regions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Where the cells between the centers of regions begin, and how much of the further region each pixel takes."""
    places = np.arange(length, dtype=np.float32) * (np.float32(1) / np.float32(size)) - np.float32(0.5)
    cells = np.floor(places)
    return np.searchsorted(cells, np.arange(-1, regions + 1)).astype(np.int64), places - cells
