"""How alike two arrays are: mean squared error, peak signal-to-noise ratio, structural similarity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.parallel import map_ordered

_TILE = 1 << 20


def mean_squared_error(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Mean of the squared differences, in float64.

    Raises
    ------
    InputError
        The shapes differ, or there is nothing to compare.

    Examples
    --------
    >>> mean_squared_error(np.array([0, 3]), np.array([0, 0]))
    4.5
    """
    _check_pair(first, second)
    a, b = first.reshape(-1), second.reshape(-1)

    def squares(start: int) -> float:
        part = slice(start, start + _TILE)
        difference = a[part].astype(np.float64) - b[part]
        return float(difference @ difference)

    return math.fsum(map_ordered(squares, range(0, a.size, _TILE))) / a.size


def peak_signal_to_noise(first: NDArray[Any], second: NDArray[Any], *, value_range: float | None = None) -> float:
    """Peak signal-to-noise ratio in decibels: ``10 log10(range² / mean squared error)``; infinite for equal arrays.

    Parameters
    ----------
    first, second : NDArray
        Of one shape; ``first`` is the one that counts as true.
    value_range : float, optional
        By default the largest less the smallest value of ``first``.

    Raises
    ------
    InputError
        As ``mean_squared_error``; or the range is not positive.
    """
    error = mean_squared_error(first, second)
    span = _range(first, value_range)
    return math.inf if error == 0 else 10 * math.log10(span * span / error)


def structural_similarity(
    first: NDArray[Any], second: NDArray[Any], *, value_range: float | None = None, window: int = 7
) -> float:
    """Mean structural similarity of two pictures, or of the slices of two volumes.

    Parameters
    ----------
    first, second : NDArray
        ``(rows, columns)`` or ``(slices, rows, columns)`` of one shape; slices are compared one by one.
    value_range : float, optional
        By default the largest less the smallest value of ``first``.
    window : int
        Odd side of the square in which means and variances are taken, each pixel weighing the same.

    Raises
    ------
    InputError
        The shapes differ, are smaller than the window or have other axes; the window is even; the range not positive.

    Notes
    -----
    Z. Wang et al., IEEE Trans. Image Process. 13 (2004) 600, equation 13, with K1 = 0.01, K2 = 0.03 and unbiased
    variances; the mean is over the windows that lie wholly inside.
    """
    _check_pair(first, second)
    if first.ndim not in {2, 3} or window < 3 or window % 2 == 0 or min(first.shape[-2:]) < window:
        raise InputError(
            f"Similarity is of (rows, columns) or (slices, rows, columns), at least as large as an odd window: shape "
            f"{first.shape}, window {window}.",
            found=first.shape,
        )
    span = _range(first, value_range)
    planes = first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:])

    def compare(index: int) -> float:
        return _similarity(planes[0][index].astype(np.float64), planes[1][index].astype(np.float64), span, window)

    return math.fsum(map_ordered(compare, range(len(planes[0])))) / len(planes[0])


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64], span: float, window: int) -> float:
    shift = x.mean()  # Sums of squares cancel less near zero.
    x, y = x - shift, y - shift
    mean_x, mean_y = _box_means(x, window), _box_means(y, window)
    count = window * window
    unbiased = count / (count - 1)
    variance_x = unbiased * (_box_means(x * x, window) - mean_x * mean_x)
    variance_y = unbiased * (_box_means(y * y, window) - mean_y * mean_y)
    covariance = unbiased * (_box_means(x * y, window) - mean_x * mean_y)
    mean_x, mean_y = mean_x + shift, mean_y + shift
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    below = (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    return float((above / below).mean())


def _box_means(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Means over all squares that lie wholly inside."""
    for axis in (0, 1):
        sums = np.cumsum(np.insert(values, 0, 0.0, axis), axis)
        values = np.take(sums, range(window, sums.shape[axis]), axis) - np.take(
            sums, range(sums.shape[axis] - window), axis
        )
    return values / (window * window)


def _range(first: NDArray[Any], value_range: float | None) -> float:
    span = float(first.max()) - float(first.min()) if value_range is None else float(value_range)
    if not (math.isfinite(span) and span > 0):
        raise InputError(f"The range of values must be positive, not {span:g}: give value_range.", found=span)
    return span


def _check_pair(first: NDArray[Any], second: NDArray[Any]) -> None:
    if first.shape != second.shape or not first.size:
        raise InputError(
            f"Two arrays of one shape are compared, not {first.shape} and {second.shape}.",
            expected=first.shape,
            found=second.shape,
        )
