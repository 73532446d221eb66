"""Neighbourhood filters on planes and stacks: Gaussian, box, median, rank, sharpening and edges.

All take ``(rows, columns)`` or ``(slices, rows, columns)``, and along each axis a number of its own, so that each slice
can be filtered by itself (0 or 1 along slices) and unequal spacings be respected. Beyond the border the nearest value
counts. Sizes and sigmas are in samples: divide millimetres by the spacing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import read_only
from pacscore.imaging.arrays.stacks import (
    PerAxis,
    float_output,
    float_stack,
    per_axis,
    stack_of,
    widened,
    window_size,
)
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import contrast as pointwise
from pacscore.kernels import edges, smooth

_STRIP = 64
"""Rows that one call weighs: fewer repeat more of their neighbours' work, more leave the cache."""
_REACH_MAX = 1 << 14
_CHUNK = 1 << 18
"""Pixels of one call where pixels do not depend on each other."""


def gaussian(
    values: NDArray[Any],
    sigma: PerAxis,
    *,
    truncate: float = 4.0,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Smooth by a Gaussian.

    Parameters
    ----------
    values : NDArray
        ``(rows, columns)`` or ``(slices, rows, columns)``, integers or floats; computed in float32.
    sigma : float or sequence
        Standard deviation in samples, for all axes or for each; 0 leaves an axis alone.
    truncate : float
        The weights end at so many sigma, rounded to a whole sample.
    out : NDArray of float32, optional
        Shape of ``values``, C order, not overlapping them.
    watch : Watch
        Progress, cancelling, threads.

    Raises
    ------
    InputError
        The array or a number is not as described, or the weights reach further than 16384 samples.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Sampled weights, normalised to 1; the cost grows with sigma. NaN and infinity spread as far as the weights reach,
    and up to three samples further.

    Examples
    --------
    >>> gaussian(np.array([[0, 0, 1, 0, 0]], np.float32), (0, 0.5)).round(3)
    array([[0.   , 0.106, 0.787, 0.106, 0.   ]], dtype=float32)
    """
    sigmas = per_axis(sigma, values.ndim, "sigma", at_least=0, plane=0)
    if not (math.isfinite(truncate) and truncate > 0):
        raise InputError(f"truncate must be finite and above 0: it is {truncate}.", found=truncate)
    return _weigh(values, [_gaussian_weights(each, truncate) for each in sigmas], out, watch)


def box(
    values: NDArray[Any],
    size: PerAxis,
    *,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Smooth by the mean of a box.

    Parameters
    ----------
    values, out, watch
        As for ``gaussian``.
    size : int or sequence
        Odd number of samples, for all axes or for each.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Examples
    --------
    >>> box(np.array([[0, 0, 3, 0, 0]], np.int16), (1, 3))
    array([[0., 1., 1., 1., 0.]], dtype=float32)
    """
    sizes = window_size(size, values.ndim, most=1 << 40)
    return _weigh(values, [np.full(each, 1 / each) for each in sizes], out, watch)


def unsharp(
    values: NDArray[Any],
    sigma: PerAxis,
    *,
    amount: float = 1.0,
    threshold: float = 0.0,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Sharpen: add ``amount`` times what a Gaussian of ``sigma`` takes away.

    Parameters
    ----------
    values, sigma, out, watch
        As for ``gaussian``.
    amount : float
        0 changes nothing.
    threshold : float
        Differences up to it, in the values' unit, are left alone: noise.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Examples
    --------
    >>> unsharp(np.array([[0, 0, 10, 10]], np.float32), (0, 1.0), amount=1).round(1)
    array([[-0.6, -3. , 13. , 10.6]], dtype=float32)
    """
    if not (math.isfinite(amount) and math.isfinite(threshold) and threshold >= 0):
        raise InputError(f"amount must be finite, threshold 0 or more: they are {amount} and {threshold}.")
    target = gaussian(values, sigma, out=out, watch=watch)
    source, smoothed = float_stack(values).reshape(-1), target.reshape(-1)

    def sharpen(start: int, stop: int) -> None:
        part = smoothed[start:stop]
        pointwise.sharpen_into(source[start:stop], part, float(amount), float(threshold), part)

    watch.run("sharpening", sharpen, source.size, tile=_CHUNK)
    return target


def sobel(
    values: NDArray[Any],
    spacing: PerAxis = 1.0,
    *,
    planar: bool = False,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Magnitude of the gradient, after Sobel.

    Parameters
    ----------
    values, out, watch
        As for ``gaussian``.
    spacing : float or sequence
        Distance of neighbours, for all axes or for each: the result is in the values' unit per unit of it.
    planar : bool
        Take each slice by itself.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Central differences, smoothed by (1 2 1) / 4 across; an edge of height h is h / (2 * spacing) high in two samples.

    Examples
    --------
    >>> sobel(np.array([[0, 0, 8, 8]] * 3, np.float32))[1]
    array([0., 4., 4., 0.], dtype=float32)
    """
    steps = per_axis(spacing, values.ndim, "spacing", at_least=1e-9, plane=1)
    stack, target = float_stack(values), float_output(values, out)
    factors = np.array([0.5 / step for step in steps], np.float32)
    if planar or values.ndim == 2:
        factors[0] = 0

    def find(start: int, stop: int) -> None:
        lines = np.empty((3, stack.shape[2] + 2), np.float32)
        edges.sobel_rows_into(stack, factors, lines, target.reshape(stack.shape), start, stop)

    if stack.size:
        watch.run("edges", find, stack.shape[0] * stack.shape[1], tile=256)
    return target


def laplacian(
    values: NDArray[Any],
    spacing: PerAxis = 1.0,
    *,
    planar: bool = False,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Sum of the second differences along each axis.

    Parameters
    ----------
    values, spacing, planar, out, watch
        As for ``sobel``; the result is in the values' unit per square of the spacing's.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Examples
    --------
    >>> laplacian(np.array([[0, 0, 8, 8]], np.float32), 2.0)
    array([[ 0.,  2., -2.,  0.]], dtype=float32)
    """
    steps = per_axis(spacing, values.ndim, "spacing", at_least=1e-9, plane=1)
    stack, target = float_stack(values), float_output(values, out)
    factors = np.array([1 / step**2 for step in steps], np.float32)
    if planar or values.ndim == 2:
        factors[0] = 0

    def find(start: int, stop: int) -> None:
        edges.laplacian_rows_into(stack, factors, target.reshape(stack.shape), start, stop)

    if stack.size:
        watch.run("edges", find, stack.shape[0] * stack.shape[1], tile=256)
    return target


def _gaussian_weights(sigma: float, truncate: float) -> NDArray[np.float64]:
    reach = int(truncate * sigma + 0.5) if truncate * sigma < _REACH_MAX else _REACH_MAX + 1
    if reach == 0:
        return np.ones(1)
    if reach > _REACH_MAX:
        raise InputError(
            f"A Gaussian of sigma {sigma:g} samples reaches {truncate * sigma:g} samples: at most {_REACH_MAX}. "
            "Shrink the image first.",
            found=sigma,
        )
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    normalised: NDArray[np.float64] = weights / weights.sum()
    return normalised


def _weigh(
    values: NDArray[Any], weights: list[NDArray[np.float64]], out: NDArray[np.float32] | None, watch: Watch
) -> NDArray[np.float32]:
    """Weigh neighbours along each of three axes; odd numbers of weights."""
    target = float_output(values, out)
    stack = stack_of(values)
    if not stack.size:
        return target
    if stack.dtype != np.int16:  # CT stays as it is: half the memory to read.
        stack = np.ascontiguousarray(stack, np.float32)
    wide = read_only(widened(stack, smooth.LANES))
    is_whole = wide.shape == stack.shape
    result = target.reshape(stack.shape) if is_whole else np.empty(wide.shape, np.float32)
    along_slices, along_rows, along_columns = (np.pad(each, 3).astype(np.float32) for each in weights)
    taps = [each.size for each in weights]
    width = -(-wide.shape[2] // smooth.LANES) * smooth.LANES
    strip = min(_STRIP, max(16, -(-wide.shape[1] // 4)))

    def weigh(start: int, stop: int) -> None:
        smooth.weigh_strip_into(
            wide, along_slices, along_rows, along_columns,
            np.empty(max(taps) + 3, np.int64),
            np.empty((smooth.GROUP, strip + taps[1] + 2, width), np.float32),
            np.empty((smooth.GROUP, width + taps[2]), np.float32),
            result, start, stop,
        )  # fmt: skip

    watch.run("smoothing", weigh, wide.shape[1], tile=strip)
    if not is_whole:
        np.copyto(target.reshape(stack.shape), result[:, :, : stack.shape[2]])
    return target
