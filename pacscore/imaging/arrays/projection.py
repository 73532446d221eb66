"""Projections of plain arrays along an axis, whole or part after part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import native, refuse_overlap
from pacscore.kernels import reduce
from pacscore.parallel import run_tiles

PROJECTION_KINDS = ("max", "min", "mean", "sum")
"""What a projection shows of the values along each line."""

_NATIVE = frozenset({"uint8", "int16", "uint16", "int32", "float32", "float64"})
_TILE_VALUES = 1 << 15


def project_axis(values: NDArray[Any], axis: int, *, kind: str = "max") -> NDArray[Any]:
    """Reduce an array along one axis.

    Parameters
    ----------
    values : NDArray
        ``(slices, rows, columns)`` real numbers, at least one along ``axis``. Strided, byte-swapped and read-only
        arrays are taken; what is not C order is copied first.
    axis : int
        0, 1 or 2; negative from the end.
    kind : str
        ``max``, ``min``, ``mean`` or ``sum``.

    Returns
    -------
    NDArray
        Without ``axis``. Maximum and minimum have the dtype of ``values`` (native; bool becomes uint8, int8 int16,
        float16 float32, all other dtypes float64) and are exact; NaN is passed over unless a line has nothing else.
        Mean and sum are float64, in which sums of integers are exact below 2**53, and NaN spreads.

    Raises
    ------
    InputError
        ``values`` has not three axes, is empty along ``axis``, or holds no real numbers; there is no such axis or kind.

    Examples
    --------
    >>> project_axis(np.arange(24, dtype=np.int16).reshape(2, 3, 4), 0)[2]
    array([20, 21, 22, 23], dtype=int16)
    """
    ready, axis = _reducible(values, axis, kind)
    out = neutral_projection(ready.shape, axis, kind, ready.dtype)
    fold_axis(ready, axis, kind=kind, out=out)
    return finish_projection(out, kind, ready.shape[axis])


def neutral_projection(shape: tuple[int, ...], axis: int, kind: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """What ``fold_axis`` begins with: an array without ``axis`` that changes nothing."""
    kept = tuple(length for place, length in enumerate(shape) if place != axis)
    if kind in ("mean", "sum"):
        return np.zeros(kept)
    bottom: Any = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    top: Any = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
    return np.full(kept, bottom if kind == "max" else top, dtype)


def fold_axis(values: NDArray[Any], axis: int, *, kind: str, out: NDArray[Any]) -> None:
    """Fold one more part of an array into a projection: what came before lies in ``out``.

    Parameters
    ----------
    values : NDArray
        ``(slices, rows, columns)``, any number along ``axis``, of the dtype that ``out`` was made for.
    axis, kind
        As in ``project_axis``.
    out : NDArray
        From ``neutral_projection``, C order; changed. A part of one, for the slices that ``values`` are.

    Raises
    ------
    InputError
        ``out`` does not fit.
    """
    ready, axis = _reducible(values, axis, kind)
    kept = tuple(length for place, length in enumerate(ready.shape) if place != axis)
    wanted = np.dtype(np.float64) if kind in ("mean", "sum") else ready.dtype
    if out.shape != kept or out.dtype != wanted or not (out.flags.c_contiguous and out.flags.writeable):
        raise InputError(
            f"out must be a writable {wanted} array of shape {kept} in C order: it is {out.dtype} {out.shape}."
        )
    refuse_overlap(ready, out)
    if ready.size == 0:
        return
    slices, rows, columns = ready.shape
    if axis == 2:
        lines = ready.reshape(slices * rows, columns)
        of_rows = {"max": reduce.maximum_of_rows_into, "min": reduce.minimum_of_rows_into}
        kernel = of_rows.get(kind, reduce.sum_of_rows_into)
        flat = out.reshape(-1)
        tile = max(1, _TILE_VALUES * 32 // columns)
        run_tiles(lambda start, stop: kernel(lines, start, stop, flat), len(lines), tile=tile)
        return
    of_lines = {"max": reduce.fold_maximum_into, "min": reduce.fold_minimum_into}
    fold = of_lines.get(kind, reduce.fold_sum_into)
    if axis == 1:
        tile = max(1, _TILE_VALUES * 32 // (rows * columns))
        run_tiles(lambda start, stop: fold(ready, (start, stop), (0, columns), out), slices, tile=tile)
        return
    planes, target = ready.reshape(1, slices, rows * columns), out.reshape(1, rows * columns)
    run_tiles(lambda start, stop: fold(planes, (0, 1), (start, stop), target), rows * columns, tile=_TILE_VALUES)


def finish_projection(out: NDArray[Any], kind: str, count: int) -> NDArray[Any]:
    """Turn what was folded from ``count`` values into the result: the mean is divided, nothing but NaN becomes NaN."""
    if kind == "mean":
        return out / count
    if out.dtype.kind == "f" and kind != "sum":
        nothing = -np.inf if kind == "max" else np.inf
        if (out == nothing).any():
            return np.where(out == nothing, np.nan, out).astype(out.dtype)
    return out


def _reducible(values: NDArray[Any], axis: int, kind: str) -> tuple[NDArray[Any], int]:
    if values.ndim != 3 or values.dtype.kind not in "biuf":
        raise InputError(
            f"A projection needs (slices, rows, columns) of real numbers: these are {values.dtype} of shape "
            f"{values.shape}.",
            found=values.shape,
        )
    check_kind(kind)
    if not -3 <= axis < 3:
        raise InputError(f"There is no axis {axis} in (slices, rows, columns): give 0, 1 or 2.", found=axis)
    if values.shape[axis] == 0:
        raise InputError(f"Nothing lies along axis {axis} of an array of shape {values.shape}.", found=values.shape)
    narrow = {"bool": np.uint8, "int8": np.int16, "float16": np.float32}
    name = values.dtype.newbyteorder("=").name
    if name not in _NATIVE:
        values = values.astype(narrow.get(name, np.float64))
    return native(values), axis % 3


def check_kind(kind: str) -> None:
    """Raise InputError unless there is such a projection."""
    if kind not in PROJECTION_KINDS:
        raise InputError(f"There is no projection {kind!r}: choose one of {', '.join(PROJECTION_KINDS)}.", found=kind)
