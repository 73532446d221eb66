"""Filters that choose one of the values around each sample: median, and any other rank."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError, UnsupportedError
from pacscore.imaging.arrays.checks import output_array, read_only, refuse_overlap
from pacscore.imaging.arrays.stacks import PerAxis, stack_of, widened, window_size
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import median as networks
from pacscore.kernels import rank as halving

_WINDOW_MAX = 1 << 15
_LANES = 16


def median(
    values: NDArray[Any], size: PerAxis = 3, *, out: NDArray[Any] | None = None, watch: Watch = UNWATCHED
) -> NDArray[Any]:
    """The median of a box around each sample.

    Parameters
    ----------
    values : NDArray
        ``(rows, columns)`` or ``(slices, rows, columns)``, floats or integers of at most 32 bits.
    size : int or sequence
        Odd number of samples, for all axes or for each. 3 and 5 along rows and columns, with the same or 1 along
        slices, are many times faster than others.
    out : NDArray, optional
        Shape and dtype of the result, C order, not overlapping ``values``.
    watch : Watch
        Progress, cancelling, threads.

    Returns
    -------
    NDArray
        The values' own dtype; float32 for any floats.

    Raises
    ------
    InputError
        The array or the size is not as described, or ``out`` does not fit.
    UnsupportedError
        Integers of 64 bits.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Exact. Beyond the border the nearest value counts. NaN counts as larger than all numbers.

    Examples
    --------
    >>> median(np.array([[1, 9, 2, 3, 8]], np.int16), (1, 3))
    array([[1, 2, 3, 3, 8]], dtype=int16)
    """
    return rank(values, size, percent=50.0, out=out, watch=watch)


def rank(
    values: NDArray[Any],
    size: PerAxis = 3,
    *,
    percent: float,
    out: NDArray[Any] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """The value at a rank among those in a box around each sample.

    Parameters
    ----------
    values, size, out, watch
        As for ``median``.
    percent : float
        0 the smallest, 50 the median, 100 the largest; the nearest rank is taken.

    Returns
    -------
    NDArray
        As for ``median``.

    Raises
    ------
    InputError, UnsupportedError, CancelledError
        As for ``median``.

    Examples
    --------
    >>> rank(np.array([[1, 9, 2, 3, 8]], np.int16), (1, 3), percent=100)
    array([[9, 9, 9, 8, 8]], dtype=int16)
    """
    if not 0 <= percent <= 100:
        raise InputError(f"A rank lies between 0 and 100 percent: {percent} does not.", found=percent)
    stack = stack_of(values)
    sizes = window_size(size, values.ndim, most=_WINDOW_MAX)
    count = math.prod(sizes)
    place = math.floor(percent / 100 * (count - 1) + 0.5)
    dtype = np.dtype(np.float32) if values.dtype.kind == "f" else stack.dtype
    target = output_array(out, values.shape, dtype)
    refuse_overlap(values, target)
    if not stack.size:
        return target
    ordered, restore = _ordered(stack)
    in_place = ordered.dtype == dtype and restore is None
    result = target.reshape(stack.shape) if in_place else np.empty_like(ordered)
    if place == count // 2 and sizes[1] == sizes[2] in {3, 5} and sizes[0] in {1, sizes[1]}:
        _median_by_networks(ordered, result, sizes[1], sizes[0] // 2, watch)
    else:
        _rank_by_halving(ordered, result, sizes, place, watch)
    if restore is not None:
        np.copyto(target.reshape(stack.shape), restore(result))
    return target


def _ordered(stack: NDArray[Any]) -> tuple[NDArray[Any], Callable[[NDArray[Any]], NDArray[Any]] | None]:
    """The values as int16 or int32 of the same order, and the way back; None where they are so already."""
    dtype = stack.dtype
    if dtype.kind == "f":
        words = np.ascontiguousarray(stack, np.float32).view(np.int32)
        ordered = np.empty_like(words)
        halving.order_floats_into(read_only(words.reshape(-1)), ordered.reshape(-1))

        def to_floats(found: NDArray[Any]) -> NDArray[Any]:
            halving.restore_floats_into(found.reshape(-1))
            return found.view(np.float32)

        return ordered, to_floats
    if dtype.itemsize == 8:
        raise UnsupportedError(f"Ranks of {dtype} are not supported: give integers of at most 32 bits or floats.")
    if dtype in (np.int16, np.int32):
        return stack, None
    if dtype.itemsize == 1:
        return stack.astype(np.int16), lambda found: found.astype(dtype)
    top = dtype.type(1 << (dtype.itemsize * 8 - 1))
    return (stack ^ top).view(f"i{dtype.itemsize}"), lambda found: found.view(dtype) ^ top


def _median_by_networks(stack: NDArray[Any], out: NDArray[Any], size: int, plane_reach: int, watch: Watch) -> None:
    wide = read_only(widened(stack, _LANES))
    is_whole = wide.shape == stack.shape
    result = out if is_whole else np.empty(wide.shape, wide.dtype)
    width, line = networks.WIDTH, networks.LINE

    def scratch(*lengths: int) -> list[NDArray[Any]]:
        return [np.empty(length, stack.dtype) for length in lengths]

    def filter_slices(start: int, stop: int) -> None:
        if size == 3:
            buffers = scratch(3 * line, 4 * 9 * width)
            networks.median3_into(wide, plane_reach, *buffers, result, start, stop)
        else:
            buffers = scratch(5 * line, 10 * line, 8 * 25 * width, 2 * 50 * width, 26 * width)
            networks.median5_into(wide, plane_reach, *buffers, result, start, stop)

    watch.run("median", filter_slices, stack.shape[0])
    if not is_whole:
        np.copyto(out, result[:, :, : stack.shape[2]])


def _rank_by_halving(
    stack: NDArray[Any], out: NDArray[Any], sizes: tuple[int, int, int], place: int, watch: Watch
) -> None:
    columns, source = stack.shape[2], read_only(stack)
    reach = np.array([size // 2 for size in sizes], np.int64)
    low, high = int(stack.min()), int(stack.max())

    def filter_rows(start: int, stop: int) -> None:
        window = np.empty((sizes[0] * sizes[1], columns + sizes[2] - 1), stack.dtype)
        least, most, middle = (np.empty(columns, stack.dtype) for _ in range(3))
        counts = np.empty(columns, np.int32)
        halving.rank_rows_into(source, reach, place, low, high, window, least, most, middle, counts, out, start, stop)

    watch.run("ranks", filter_rows, stack.shape[0] * stack.shape[1], tile=32)
