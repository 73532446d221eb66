"""Histograms and statistics of plain arrays, whole or under a mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import kernel_input, read_only
from pacscore.kernels import statistics as kernels
from pacscore.parallel import map_ordered

_HISTOGRAM_TILE = 1 << 24


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers about values.

    Attributes
    ----------
    count : int
        How many values there were; NaN and infinities are not among them.
    sum, mean, deviation : float
        The deviation is that of the population (divided by the count). NaN where the count is 0.
    minimum, maximum : float
        NaN where the count is 0.
    unit : str
        Of the values; empty when unknown.
    voxel_mm3 : float, optional
        Volume of one voxel, where it is known.
    """

    count: int
    sum: float
    mean: float
    deviation: float
    minimum: float
    maximum: float
    unit: str = ""
    voxel_mm3: float | None = None

    @property
    def volume_mm3(self) -> float | None:
        """Of all voxels counted; None where that of one is not known."""
        return None if self.voxel_mm3 is None else self.count * self.voxel_mm3

    @classmethod
    def of_nothing(cls) -> Statistics:
        """Those of no values."""
        return cls(0, 0.0, math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often values occur.

    Attributes
    ----------
    counts : NDArray of int64
        ``(bins,)``.
    edges : NDArray of float64
        ``(bins + 1,)``; bin k holds values from ``edges[k]`` on, up to but without ``edges[k + 1]``.
    unit : str
        Of the edges.
    """

    counts: NDArray[np.int64]
    edges: NDArray[np.float64]
    unit: str = ""

    @property
    def centers(self) -> NDArray[np.float64]:
        """Of the bins."""
        middle: NDArray[np.float64] = (self.edges[1:] + self.edges[:-1]) / 2
        return middle

    def percentile(self, percent: float) -> float:
        """The lower edge of the bin that the value of this rank lies in: exact for bins of one whole number.

        Raises
        ------
        InputError
            Nothing was counted, or the percentage is not one.
        """
        total = int(self.counts.sum())
        if not 0 <= percent <= 100 or not total:
            raise InputError(f"There is no {percent:g} % of {total} values.", found=percent)
        rank = min(total - 1, int(percent / 100 * total))
        return float(self.edges[np.searchsorted(np.cumsum(self.counts), rank, side="right")])


def histogram_16(
    words: NDArray[Any], *, mask: NDArray[Any] | None = None, threads: int | None = None
) -> NDArray[np.int64]:
    """Count how often each value of 8 or 16-bit integers occurs.

    Parameters
    ----------
    words : NDArray
        Any shape, 8 or 16 bits, signed or not.
    mask : NDArray, optional
        Bool or uint8 of the same shape; where it is 0, values are not counted.
    threads : int, optional
        At most so many; by default those of ``Settings``.

    Returns
    -------
    NDArray of int64
        ``(65536,)`` or ``(256,)``: counts from the smallest value of the dtype on.

    Raises
    ------
    InputError
        Another dtype, or a mask that does not fit.

    Examples
    --------
    >>> histogram_16(np.array([-2, 0, 0], np.int8))[126:130]
    array([1, 0, 2, 0])
    """
    if words.dtype.kind not in "iu" or words.dtype.itemsize > 2:
        raise InputError(f"Only integers of 8 and 16 bits are counted value by value, not {words.dtype}.")
    bits = words.dtype.itemsize * 8
    ready = kernel_input(words).reshape(-1).view(f"u{words.dtype.itemsize}")
    ready = read_only(ready.astype(np.uint16, copy=False))
    held = None if mask is None else mask_bytes(mask, words.shape)
    nothing = read_only(np.zeros(0, np.uint8))
    half = (1 << bits) >> 1 if words.dtype.kind == "i" else 0

    def count(start: int) -> NDArray[np.int64]:
        found = np.empty(1 << bits, np.int64)
        part = slice(start, start + _HISTOGRAM_TILE)
        mask_part = nothing if held is None else held[part]
        rows = np.empty((4, 65536), np.uint32)
        kernels.word_counts_into(ready[part], mask_part, half, rows, found)
        return found

    if ready.size <= _HISTOGRAM_TILE:
        return count(0)
    total = np.zeros(1 << bits, np.int64)
    for part in map_ordered(count, range(0, ready.size, _HISTOGRAM_TILE), threads=threads):
        total += part
    return total


def histogram(
    values: NDArray[Any],
    *,
    bins: int = 256,
    limits: tuple[float, float] | None = None,
    mask: NDArray[Any] | None = None,
    threads: int | None = None,
) -> Histogram:
    """Count values in bins of equal width.

    Parameters
    ----------
    values : NDArray
        Any shape; NaN and infinities are left out.
    bins : int
        How many.
    limits : tuple of float, optional
        Where the first bin begins and the last ends, values outside left out; by default the smallest value and the
        largest, which the last bin then holds.
    mask : NDArray, optional
        Bool or uint8 of the same shape.
    threads : int, optional
        At most so many; by default those of ``Settings``.

    Raises
    ------
    InputError
        No bins, limits the wrong way round, or a mask that does not fit.
    """
    check_bins(bins, limits)
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
        weights = histogram_16(values, mask=mask, threads=threads)
        smallest = np.iinfo(values.dtype).min
        numbers = np.arange(smallest, smallest + len(weights), dtype=np.float64)
        numbers, weights = numbers[weights > 0], weights[weights > 0]
    else:
        flat = values.reshape(-1) if mask is None else values[mask_bytes(mask, values.shape).reshape(values.shape) != 0]
        numbers, weights = flat[np.isfinite(flat)].astype(np.float64), None
    return binned(numbers, weights, bins=bins, limits=limits)


def check_bins(bins: int, limits: tuple[float, float] | None) -> None:
    """Raise InputError where there are no bins, or limits are the wrong way round."""
    if bins < 1 or (limits is not None and not (math.isfinite(limits[0]) and limits[0] < limits[1] < math.inf)):
        raise InputError(f"A histogram has bins, between a lower limit and a higher: {bins} bins, {limits}.")


def binned(
    numbers: NDArray[Any], weights: NDArray[np.int64] | None, *, bins: int, limits: tuple[float, float] | None
) -> Histogram:
    """The histogram of finite numbers, each as often as its weight says."""
    if limits is None:
        low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 1.0)
        limits = (low, high if high > low else low + 1.0)
    counts, edges = np.histogram(numbers, bins, limits, weights=weights)
    return Histogram(counts.astype(np.int64), edges)


def statistics(values: NDArray[Any], *, mask: NDArray[Any] | None = None, threads: int | None = None) -> Statistics:
    """Count, sum, mean, deviation, minimum and maximum.

    Parameters
    ----------
    values : NDArray
        Numbers of any shape; NaN and infinities are left out.
    mask : NDArray, optional
        Bool or uint8 of the same shape; where it is 0, values are left out.
    threads : int, optional
        At most so many; by default those of ``Settings``.

    Raises
    ------
    InputError
        Values are no numbers, or the mask does not fit.

    Notes
    -----
    Exact for integers of 8 and 16 bits but for one rounding of each result; others are added up in float64 in parts of
    fixed size, so that the result does not depend on the number of threads.

    Examples
    --------
    >>> statistics(np.array([1, 2, 3, 100], np.int16), mask=np.array([1, 1, 1, 0], np.uint8)).mean
    2.0
    """
    if values.dtype.kind not in "iufb":
        raise InputError(f"Statistics are of numbers, not {values.dtype}.", found=str(values.dtype))
    held = None if mask is None else mask_bytes(mask, values.shape)
    flat = kernel_input(values).reshape(-1)
    if flat.dtype.kind == "b" or (flat.dtype.kind in "iu" and flat.dtype.itemsize == 1):
        flat = read_only(flat.astype(np.int16))
    if flat.dtype.kind in "iu" and flat.dtype.itemsize == 2:
        return _of_integers(flat, held, threads)
    return _of_floats(
        flat if flat.dtype == np.float32 else read_only(flat.astype(np.float64, copy=False)), held, threads
    )


def mask_bytes(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask as kernels take it, ``(pixels,)`` uint8.

    Raises
    ------
    InputError
        It is neither bool nor uint8, or its shape is not ``shape``.
    """
    if mask.shape != shape or mask.dtype not in (np.bool_, np.uint8):
        raise InputError(
            f"A mask is bool or uint8 with the shape {shape} of its values: this is {mask.dtype} {mask.shape}.",
            expected=shape,
            found=mask.shape,
        )
    return kernel_input(mask).reshape(-1).view(np.uint8)


def _of_integers(flat: NDArray[Any], held: NDArray[np.uint8] | None, threads: int | None) -> Statistics:
    words, flip = flat.view(np.int16), -32768 if flat.dtype.kind == "u" else 0
    nothing = read_only(np.zeros(0, np.uint8))

    def gather(start: int) -> list[int]:
        found = np.empty(5, np.int64)
        part = slice(start, start + kernels.MOMENT_VALUES_MAX)
        mask = nothing if held is None else held[part]
        kernels.moments_int16_into(words[part], flip, mask, held is not None, found)
        return found.tolist()

    parts = [part for part in map_ordered(gather, _tiles(flat.size), threads=threads) if part[0]]
    if not parts:
        return Statistics.of_nothing()
    count, total, squares = (sum(part[at] for part in parts) for at in range(3))  # Python's integers: no overflow.
    low, high = min(part[3] for part in parts), max(part[4] for part in parts)
    variance = (squares * count - total * total) / (count * count)
    total -= flip * count
    return Statistics(count, total, total / count, math.sqrt(variance), low - flip, high - flip)


def _of_floats(flat: NDArray[Any], held: NDArray[np.uint8] | None, threads: int | None) -> Statistics:
    nothing = read_only(np.zeros(0, np.uint8))
    inside = flat if held is None else flat[: kernels.MOMENT_VALUES_MAX][held[: kernels.MOMENT_VALUES_MAX] != 0]
    sample = inside[:1024]
    finite = sample[np.isfinite(sample)]
    shift = float(finite.mean(dtype=np.float64)) if finite.size else 0.0

    def gather(start: int) -> NDArray[np.float64]:
        found = np.empty(5)
        part = slice(start, start + kernels.MOMENT_VALUES_MAX)
        mask = nothing if held is None else held[part]
        kernels.moments_float_into(flat[part], mask, held is not None, shift, found)
        return found

    parts = np.array([*map_ordered(gather, _tiles(flat.size), threads=threads)]).reshape(-1, 5)
    count = int(parts[:, 0].sum())
    if not count:
        return Statistics.of_nothing()
    total, squares = (math.fsum(parts[:, at]) for at in (1, 2))
    mean = total / count
    deviation = math.sqrt(max(0.0, squares / count - mean * mean))
    low, high = float(parts[:, 3].min()), float(parts[:, 4].max())
    return Statistics(count, total + shift * count, mean + shift, deviation, low, high)


def _tiles(size: int) -> range:
    return range(0, size, kernels.MOMENT_VALUES_MAX)
