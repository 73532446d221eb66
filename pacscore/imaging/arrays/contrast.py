"""Contrast of planes and stacks: equalisation, matching, CLAHE, gamma, and detail of many sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import native, output_array, refuse_overlap
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import contrast as kernels

_CHUNK = 1 << 18
_SHORT_MIN = 4
"""A pyramid ends before an image has fewer rows or columns."""


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
    source = _numbers(values)
    smallest, largest = _limits(source)
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


def match_histogram(values: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float32]:
    """Change values so that their distribution becomes that of ``reference``.

    Parameters
    ----------
    values, reference : NDArray
        Integers or floats, any shape each. Floats of more than 65536 steps of their range are sorted into these.

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
    source, model = _numbers(values), _numbers(reference)
    shares, tables = [], []
    places: NDArray[np.int32] = np.empty(0, np.int32)
    for numbers in (model, source):
        smallest, largest = _limits(numbers)
        places, step = _binned(numbers, smallest, largest, 65536)
        counts = _counts(places, step)
        tables.append((smallest + (largest - smallest) * np.arange(step) / max(step - 1, 1), counts > 0))
        shares.append(np.cumsum(counts) / max(int(counts.sum()), 1))
    (levels, is_there), _ = tables
    table = np.interp(shares[1], shares[0][is_there], levels[is_there]).astype(np.float32)
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
    source = native(image)
    target = output_array(out, source.shape, source.dtype)
    refuse_overlap(source, target)
    if not source.size:
        return target
    low, high = int(source.min()), int(source.max())
    count = steps if levels is None else levels
    if not max(2, high + 1) <= count <= steps:
        raise InputError(f"Values up to {high} need {high + 1} to {steps} levels, and 2 or more: not {count}.")
    extended = _divided(source, down, across)
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
    source = np.ascontiguousarray(_numbers(values), np.float32)
    smallest, largest = _limits(source) if low is None or high is None else (low, high)
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


def amplify_detail(
    image: NDArray[Any],
    *,
    exponent: float = 0.7,
    core: float = 0.01,
    base: float = 1.0,
    levels: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Multi-scale contrast enhancement of a radiograph: raise faint detail of every size, hold back strong detail.

    Parameters
    ----------
    image : NDArray
        ``(rows, columns)``, integers or floats, finite.
    exponent : float
        0 < exponent <= 1: detail becomes its power, relative to the strongest; 1 changes nothing.
    core : float
        Share of the strongest detail, 0 < core <= 1, below which the gain no longer grows, so that noise does not.
    base : float
        Factor on what remains beneath the levels, the broad brightness: below 1 narrows the latitude.
    levels : int, optional
        How many sizes of detail, each twice the last; by default as many as the image has.
    watch : Watch
        Progress, cancelling, threads.

    Returns
    -------
    NDArray of float32
        Shape of ``image``, in its unit, around the same mean brightness.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Vuylsteke and Schoeters, Multiscale image contrast amplification (MUSICA), Proc. SPIE 2167 (1994) 551, on the
    Laplacian pyramid of Burt and Adelson (1983). Beyond the border the nearest value counts.

    Examples
    --------
    >>> ramp = np.add.outer(np.arange(16.0), np.arange(16.0))
    >>> bool(np.allclose(amplify_detail(ramp, exponent=1.0), ramp, atol=1e-4))
    True
    """
    source = _numbers(image)
    if source.ndim != 2 or not (0 < exponent <= 1 and 0 < core <= 1 and math.isfinite(base)):
        raise InputError(
            "Detail of (rows, columns) is amplified with exponent and core above 0 and up to 1: not "
            f"{source.shape}, {exponent} and {core}."
        )
    if levels is not None and levels < 1:
        raise InputError(f"A pyramid has at least one level, not {levels}.", found=levels)
    details = [source.astype(np.float32)]
    if not source.size:
        return details[0]
    _limits(source, allow_nan=False)
    while min(details[-1].shape) >= 2 * _SHORT_MIN and (levels is None or len(details) <= levels):
        details.append(_halved(details[-1], watch))
        _doubled(details[-1], -1.0, details[-2], watch)
    strongest = [float(max(detail.max(), -detail.min())) for detail in details[:-1]]
    limit = max(strongest, default=0.0)
    if limit > 0:
        for detail in details[:-1]:
            _amplified(detail, limit, exponent, core, watch)
    remainder = details.pop()
    mean = remainder.mean(dtype=np.float64)
    remainder[...] = mean + base * (remainder - mean)
    while details:
        finer = details.pop()
        _doubled(remainder, 1.0, finer, watch)
        remainder = finer
    return remainder


def _halved(image: NDArray[np.float32], watch: Watch) -> NDArray[np.float32]:
    rows, columns = image.shape
    out = np.empty((-(-rows // 2), -(-columns // 2)), np.float32)

    def halve(start: int, stop: int) -> None:
        kernels.halve_into(image, np.empty(columns, np.float32), out, start, stop)

    watch.run("detail", halve, out.shape[0], tile=64)
    return out


def _doubled(coarse: NDArray[np.float32], sign: float, image: NDArray[np.float32], watch: Watch) -> None:
    def double(start: int, stop: int) -> None:
        kernels.double_into(coarse, sign, np.empty(coarse.shape[1], np.float32), image, start, stop)

    watch.run("detail", double, image.shape[0], tile=128)


def _amplified(detail: NDArray[np.float32], limit: float, exponent: float, core: float, watch: Watch) -> None:
    flat = detail.reshape(-1)

    def amplify(start: int, stop: int) -> None:
        kernels.amplify_detail_into(flat[start:stop], limit, exponent, core * limit, 1.0)

    watch.run("detail", amplify, flat.size, tile=_CHUNK // 4)


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "iuf":
        raise InputError(f"Contrast is changed of integers or floats, not of {values.dtype}.", found=str(values.dtype))
    return native(values)


def _limits(values: NDArray[Any], *, allow_nan: bool = True) -> tuple[float, float]:
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if _has_number(values) else (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high)) or (not allow_nan and bool(np.isnan(values).any())):
        raise InputError("The values must hold a finite number and no infinity. Replace what is not finite first.")
    return low, high


def _has_number(values: NDArray[Any]) -> bool:
    return bool(values.size) and (values.dtype.kind != "f" or not bool(np.isnan(values).all()))


def _binned(values: NDArray[Any], low: float, high: float, bins: int) -> tuple[NDArray[np.int32], int]:
    """The bin of each value, flat, and how many bins there are: one each for integers of a range that is not wider."""
    flat = values.reshape(-1)
    if values.dtype.kind in "iu" and high - low < bins:
        return (flat.astype(np.int64) - int(low)).astype(np.int32), int(high - low) + 1
    scale = (bins - 1) / (high - low) if high > low else 0.0
    placed = np.nan_to_num((flat.astype(np.float64) - low) * scale + 0.5, nan=-1.0)
    return np.floor(placed).astype(np.int32), bins


def _counts(places: NDArray[np.int32], bins: int) -> NDArray[np.int64]:
    counts = np.zeros((2, bins), np.int64)
    kernels.count_values_into(places if not places.size or places.min() >= 0 else places[places >= 0], 0, counts)
    total: NDArray[np.int64] = counts.sum(axis=0)
    return total


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
