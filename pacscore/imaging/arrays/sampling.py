"""Values between the voxels of plain arrays: along lines and planes, on grids, and spline coefficients.

Words of int16, uint16 and float32 are sampled as they are, smaller integers as int16, all else as float32 (whole
numbers exact below 2**24). Indices are (slice, row, column), voxel centres at whole numbers. A sample lies inside the
array where each index is at least -0.5 and below its length less 0.5, and is the background elsewhere; beyond its
outermost voxels the array is continued by them (by its mirror image for ``bspline``). What uses a NaN is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import native, output_array, refuse_overlap
from pacscore.imaging.arrays.taps import B_SPLINE, CATMULL_ROM, AxisTaps, check_interpolation
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import regrid as grids
from pacscore.kernels import sample_cubic, sample_nearest
from pacscore.kernels import sample_lines as linear
from pacscore.kernels.line_spans import BLOCK

COMBINATIONS = ("mean", "sum", "max", "min")
"""How several samples in depth make one value."""
_SAMPLED = {"int16": "int16", "uint16": "uint16", "int8": "int16", "uint8": "int16", "bool": "int16"}
_RESULTS = ("int16", "uint16", "float32")
_TILE_SAMPLES = 32 << 10
_SLICES_OF_TILE = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """What becomes of a sample: ``slope * sample + intercept``, and what stands where there is none.

    Attributes
    ----------
    slope, intercept : float
    background : float
        In the result's own unit.
    """

    slope: float = 1.0
    intercept: float = 0.0
    background: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)):
            raise InputError("Slope and intercept of sampled values must be finite.")

    def for_result(self, dtype: np.dtype[Any], sampled: np.dtype[Any]) -> NDArray[np.float64]:
        """As kernels take it: integers are rounded and held within their dtype, and are never NaN."""
        nan = float(sampled.kind == "f")
        if dtype.kind == "f":
            return np.array([self.slope, self.intercept, self.background, -np.inf, np.inf, 0.0, nan])
        ends = np.iinfo(dtype)
        if not np.isfinite(self.background):
            raise InputError(f"A background of {self.background} does not fit {dtype} values: give a number.")
        background = min(max(round(self.background), ends.min), ends.max)
        return np.array([self.slope, self.intercept, background, ends.min, ends.max, 1.0, nan])


def sampled_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What words of ``dtype`` are sampled as."""
    return np.dtype(_SAMPLED.get(dtype.name, "float32"))


def plane_lines(
    origin: ArrayLike, *, row_step: ArrayLike, column_step: ArrayLike, depth_step: ArrayLike = (0, 0, 0), rows: int
) -> NDArray[np.float64]:
    """The lines of a plane: (rows, 3, 3) of start, step from column to column, step in depth, as indices.

    Parameters
    ----------
    origin : (3,) array
        The index of the first row's first sample.
    row_step, column_step, depth_step : (3,) array
        From row to row, column to column, sample to sample in depth.
    rows : int
        How many.
    """
    lines = np.empty((rows, 3, 3))
    lines[:, 0] = np.asarray(origin, np.float64) + np.arange(rows)[:, None] * np.asarray(row_step, np.float64)
    lines[:, 1] = np.asarray(column_step, np.float64)
    lines[:, 2] = np.asarray(depth_step, np.float64)
    return lines


def sample_lines(
    array: NDArray[Any],
    lines: NDArray[np.float64],
    columns: int,
    *,
    depths: int = 1,
    combine: str = "mean",
    interpolation: str = "linear",
    scale: Scale | None = None,
    corner: tuple[int, int, int] = (0, 0, 0),
    extent: tuple[int, int, int] | None = None,
    part: tuple[int, int, int, int] | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """Sample an array along straight lines.

    Parameters
    ----------
    array : NDArray
        ``(slices, rows, columns)``; with ``bspline`` its ``spline_coefficients``.
    lines : NDArray of float64
        ``(lines, 3, 3)``: start, step from column to column, step in depth; see ``plane_lines``.
    columns : int
        Samples of each line.
    depths, combine : int, str
        How many samples in depth make one value, and how: one of ``COMBINATIONS``, of the samples as ``scale`` makes
        them. Samples outside, and NaN, are left out; where none remains stands the background.
    interpolation : str
        One of ``INTERPOLATIONS``.
    scale : Scale, optional
        By default the samples as they are, background 0.
    corner, extent : tuple of int
        ``array`` is the part from ``corner`` on of one of shape ``extent``; it must hold what the lines need.
    part : tuple of int, optional
        First and last line, first and last column (exclusive) to compute; the rest of ``out`` stays.
    out : NDArray, optional
        ``(lines, columns)`` float32, int16 or uint16 (rounded, ties to even, and held within the dtype), C order; by
        default new, float32.
    threads : int, optional
        How many to use at most; the result is the same for any number.
    watch : Watch
        Progress and cancelling.

    Raises
    ------
    InputError
        Shapes, dtypes or names do not fit, a number is not finite, or ``out`` overlaps the array.

    Examples
    --------
    >>> ramp = np.arange(8, dtype=np.int16).reshape(2, 2, 2)
    >>> sample_lines(ramp, plane_lines((0.5, 0, 0), row_step=(0, 1, 0), column_step=(0, 0, 0.5), rows=2), 3)
    array([[2. , 2.5, 3. ],
           [4. , 4.5, 5. ]], dtype=float32)
    """
    check_interpolation(interpolation)
    _check_depths(depths, combine)
    _check_array(array)
    whole, first = _check_place(array, corner, extent)
    if lines.shape[1:] != (3, 3) or not np.isfinite(lines).all():
        raise InputError(f"Lines are (lines, 3, 3) finite numbers: these have shape {lines.shape}.", found=lines.shape)
    ready = _as_sampled(array)
    target = _target(out, (len(lines), columns))
    refuse_overlap(array, target)
    span = part or (0, len(lines), 0, columns)
    if not (0 <= span[0] <= span[1] <= len(lines) and 0 <= span[2] <= span[3] <= columns) or span[2] % BLOCK:
        raise InputError(f"Part {span} does not lie within {len(lines)} lines of {columns} columns, or begins between.")
    kernel, options = _kernel(interpolation)
    held = np.ascontiguousarray(lines, np.float64)
    values = (scale or Scale()).for_result(target.dtype, ready.dtype)
    # The largest value is that of the smallest sample where the slope turns them around.
    turned = {"max": "min", "min": "max"} if scale is not None and scale.slope < 0 else {}
    number = COMBINATIONS.index(turned.get(combine, combine))

    def fill(begin: int, end: int) -> None:
        tile = np.array([span[0] + begin, span[0] + end, span[2], span[3]], np.int64)
        scratch, offsets = np.zeros((5, BLOCK + 8), np.float32), np.empty(BLOCK + 8, np.int32)
        spans = np.empty((end - begin, depths, 4), np.int32)
        kernel(ready, first, whole, held, depths, number, *options, values, tile, scratch, offsets, spans, target)

    tile_lines = max(8, _TILE_SAMPLES // max(1, (span[3] - span[2]) * depths))
    watch.limited(threads).run("sampling", fill, span[1] - span[0], tile=tile_lines)
    return target


def _as_sampled(array: NDArray[Any]) -> NDArray[Any]:
    """What kernels take: always read-only, so that each has one version for arrays that are and that are not."""
    ready = native(array.astype(sampled_dtype(array.dtype), copy=False)).view()
    ready.flags.writeable = False
    return ready


def _check_depths(depths: int, combine: str) -> None:
    if combine not in COMBINATIONS or depths < 1:
        raise InputError(f"{depths} samples cannot be combined by {combine!r}: one of {', '.join(COMBINATIONS)}.")


def _check_array(array: NDArray[Any]) -> None:
    if array.ndim != 3 or array.dtype.kind not in "iufb" or 0 in array.shape:
        raise InputError(
            f"Samples are taken from (slices, rows, columns) of numbers: this is {array.dtype} {array.shape}.",
            found=array.shape,
        )


def _check_place(
    array: NDArray[Any], corner: tuple[int, int, int], extent: tuple[int, int, int] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The shape of the whole, and where in it the array lies."""
    whole, first = np.array(array.shape if extent is None else extent, np.int64), np.array(corner, np.int64)
    if (first < 0).any() or (first + array.shape > whole).any():
        raise InputError(f"An array of shape {array.shape} at {corner} does not lie within {extent}.")
    return whole, first


def _kernel(interpolation: str) -> tuple[Any, tuple[Any, ...]]:
    if interpolation == "nearest":
        return sample_nearest.sample_nearest_into, ()
    if interpolation == "linear":
        return linear.sample_linear_into, ()
    mirrored = interpolation == "bspline"
    return sample_cubic.sample_cubic_into, (B_SPLINE if mirrored else CATMULL_ROM, mirrored)


def _target(out: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any]:
    if out is not None and out.dtype.name not in _RESULTS:
        raise InputError(f"Samples are put into {', '.join(_RESULTS)}, not {out.dtype}.", found=str(out.dtype))
    return output_array(out, shape, np.dtype(np.float32) if out is None else out.dtype)


def regrid(
    array: NDArray[Any],
    axes: tuple[AxisTaps, AxisTaps, AxisTaps],
    *,
    scale: Scale | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[Any]:
    """Resample an array onto a grid along its own axes.

    Parameters
    ----------
    array : NDArray
        ``(slices, rows, columns)``; for ``bspline`` taps its ``spline_coefficients``.
    axes : tuple of AxisTaps
        The places along slices, rows and columns; see ``axis_taps``.
    scale, out, threads, watch
        As in ``sample_lines``; ``out`` has the counts of the three axes.

    Raises
    ------
    InputError
        Shapes or dtypes do not fit, or ``out`` overlaps the array.

    Examples
    --------
    >>> from pacscore.imaging.arrays import axis_taps
    >>> row = np.array([[[0, 10, 20, 30]]], np.int16)
    >>> one = axis_taps(1, start=0, step=1, count=1)
    >>> regrid(row, (one, one, axis_taps(4, start=0.5, step=2, count=2, smooth=False)))
    array([[[ 5., 25.]]], dtype=float32)
    """
    _check_array(array)
    for axis, length in zip(axes, array.shape, strict=True):
        if axis.firsts.size and int(axis.firsts.max()) + axis.weights.shape[1] > length:
            raise InputError(f"Taps were made for an axis longer than {length}.", found=array.shape)
    ready = _as_sampled(array)
    target = _target(out, tuple(axis.firsts.size for axis in axes))
    refuse_overlap(array, target)
    inside = np.array([axis.inside for axis in axes], np.int64)
    firsts, weights = _column_tables(axes[2])
    values = (scale or Scale()).for_result(target.dtype, ready.dtype)

    def fill(begin: int, end: int) -> None:
        plane = np.empty(array.shape[1:], np.float32)
        row, line = np.zeros(array.shape[2] + 1, np.float32), np.empty(firsts.size, np.float32)
        here = inside.copy()
        here[0] -= begin
        grids.regrid_into(
            ready, axes[0].firsts[begin:end], axes[0].weights[begin:end], axes[1].firsts, axes[1].weights, firsts,
            weights, here, values, plane, row, line, target[begin:end],
        )  # fmt: skip

    watch.limited(threads).run("resampling", fill, target.shape[0], tile=_SLICES_OF_TILE)
    return target


def _column_tables(axis: AxisTaps) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Of the columns inside, tap by tap, filled up to whole vectors and an even number of taps."""
    begin, end = axis.inside
    count = -(-(end - begin) // 8) * 8
    firsts = np.zeros(count, np.int32)
    firsts[: end - begin] = axis.firsts[begin:end]
    taps = axis.weights.shape[1]
    weights = np.zeros((taps + taps % 2, count), np.float32)
    weights[:taps, : end - begin] = axis.weights[begin:end].T
    return firsts, weights


def spline_coefficients(
    array: NDArray[Any],
    *,
    out: NDArray[np.float32] | None = None,
    threads: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """The coefficients of the cubic B-spline through all voxels.

    Parameters
    ----------
    array : NDArray
        ``(slices, rows, columns)``, finite: a NaN would spread over its line.
    out : NDArray of float32, optional
        Shape of ``array``, C order, not overlapping it.
    threads : int, optional
        How many to use at most.
    watch : Watch
        Progress and cancelling.

    Raises
    ------
    InputError
        The shape or dtype does not fit, or ``out`` does not.

    Notes
    -----
    M. Unser, "Splines: a perfect fit for signal and image processing", IEEE Signal Process. Mag. 16 (1999) 22: two
    recursive filters along each axis, the array continued by its mirror image about the outermost voxels. Within 1e-6
    of the range of values of the float64 result.

    Examples
    --------
    >>> spline_coefficients(np.full((3, 3, 3), 7, np.int16)).round(4)[1, 1]
    array([7., 7., 7.], dtype=float32)
    """
    _check_array(array)
    target = output_array(out, array.shape, np.dtype(np.float32))
    refuse_overlap(array, target)
    slices, rows, columns = array.shape
    factor = np.float32(6.0 ** sum(length > 1 for length in array.shape))

    def along_plane(begin: int, end: int) -> None:
        scratch = np.empty((columns, 16), np.float32)
        for number in range(begin, end):
            np.multiply(array[number], factor, out=target[number], dtype=np.float32, casting="unsafe")
            grids.filter_plane_into(target[number], scratch)

    watch = watch.limited(threads)
    watch.run("spline coefficients in planes", along_plane, slices)
    if slices > 1:
        flat, tile = target.reshape(slices, -1), 512

        def across_planes(begin: int, end: int) -> None:
            grids.filter_slices_into(flat, begin * tile, min(end * tile, rows * columns))

        watch.run("spline coefficients across planes", across_planes, -(-rows * columns // tile), tile=4)
    return target
