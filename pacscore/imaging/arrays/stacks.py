"""What filters ask of arrays: a plane or a stack of numbers, and one number for each of its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.checks import native, output_array, read_only, refuse_overlap

AXES = ("slices", "rows", "columns")

PerAxis = float | Sequence[float]
"""One number for all axes, or one for each in the order of the array's axes."""


def stack_of(values: NDArray[Any]) -> NDArray[Any]:
    """``values`` as (slices, rows, columns), native, C order; a plane becomes a stack of one.

    Raises
    ------
    InputError
        It has neither two nor three axes, or holds no integers or floats.
    """
    if values.ndim not in {2, 3} or values.dtype.kind not in "iuf":
        raise InputError(
            f"A filter takes (rows, columns) or (slices, rows, columns) of integers or floats: this is {values.dtype} "
            f"of {values.ndim} axes.",
            found=(str(values.dtype), values.shape),
        )
    ready = native(values)
    return ready if values.ndim == 3 else ready[None]


def float_stack(values: NDArray[Any]) -> NDArray[np.float32]:
    """``stack_of`` as float32, read-only."""
    return read_only(np.ascontiguousarray(stack_of(values), np.float32))


def float_output(values: NDArray[Any], out: NDArray[Any] | None) -> NDArray[np.float32]:
    """A float32 array for the result, ``out`` if it fits and lies apart from ``values``."""
    target = output_array(out, values.shape, np.dtype(np.float32))
    refuse_overlap(values, target)
    return target


def average_output(values: NDArray[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """An array for averages of the values: float32, or ``out``, which may have their own dtype and is then rounded to.

    Raises
    ------
    InputError
        ``out`` does not fit, or overlaps the input.
    """
    dtype = np.dtype(np.float32) if out is None or out.dtype == np.float32 else values.dtype
    target = output_array(out, values.shape, dtype.newbyteorder("="))
    refuse_overlap(values, target)
    return target


def numbers_of(values: NDArray[Any]) -> NDArray[Any]:
    """``values`` of any shape, native, C order.

    Raises
    ------
    InputError
        They are no integers or floats.
    """
    if values.dtype.kind not in "iuf":
        raise InputError(f"Contrast is changed of integers or floats, not of {values.dtype}.", found=str(values.dtype))
    return native(values)


def finite_limits(values: NDArray[Any], *, allow_nan: bool = True) -> tuple[float, float]:
    """Smallest and largest value, NaN left out.

    Raises
    ------
    InputError
        There is no finite number, or an infinite one; or NaN where that is not allowed.
    """
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if _has_number(values) else (math.nan, math.nan)
    if not (math.isfinite(low) and math.isfinite(high)) or (not allow_nan and bool(np.isnan(values).any())):
        raise InputError("The values must hold a finite number and no infinity. Replace what is not finite first.")
    return low, high


def _has_number(values: NDArray[Any]) -> bool:
    return bool(values.size) and (values.dtype.kind != "f" or not bool(np.isnan(values).all()))


def per_axis(value: PerAxis, ndim: int, name: str, *, at_least: float, plane: float) -> tuple[float, float, float]:
    """Three finite numbers, for slices, rows and columns.

    Parameters
    ----------
    value : float or sequence
        One for all axes, or one for each of the ``ndim`` axes.
    at_least : float
        What each must reach.
    plane : float
        What stands for the slices of a plane.

    Raises
    ------
    InputError
        The array has neither two nor three axes; another count; or a number that is too small or not finite.
    """
    if ndim not in {2, 3}:
        raise InputError(f"A filter takes (rows, columns) or (slices, rows, columns): not {ndim} axes.", found=ndim)
    numbers = (float(value),) * ndim if isinstance(value, int | float) else tuple(float(each) for each in value)
    if len(numbers) != ndim:
        raise InputError(
            f"{name} is one number or one for each of {', '.join(AXES[3 - ndim :])}, not {len(numbers)} numbers.",
            expected=ndim,
            found=len(numbers),
        )
    if not all(math.isfinite(each) and each >= at_least for each in numbers):
        raise InputError(f"{name} must be finite and {at_least:g} or more: it is {value}.", found=numbers)
    first, second, third = numbers if ndim == 3 else (plane, *numbers)
    return first, second, third


def window_size(size: PerAxis, ndim: int, *, most: int) -> tuple[int, int, int]:
    """Three odd window lengths, in samples; 1 for the slices of a plane.

    Raises
    ------
    InputError
        A length is even, not whole, below 1, or the window holds more than ``most`` samples.
    """
    sizes = per_axis(size, ndim, "size", at_least=1, plane=1)
    if any(each % 2 != 1 for each in sizes):
        raise InputError(f"A window has an odd number of samples along each axis: size is {size}.", found=size)
    if math.prod(sizes) > most:
        raise InputError(f"A window of {math.prod(sizes):g} samples is too large: at most {most}.", found=size)
    return int(sizes[0]), int(sizes[1]), int(sizes[2])


def widened(stack: NDArray[Any], least: int) -> NDArray[Any]:
    """``stack`` with its last column repeated until it has ``least``: the nearest value counts beyond it anyway."""
    missing = least - stack.shape[2]
    return stack if missing <= 0 else np.pad(stack, ((0, 0), (0, 0), (0, missing)), mode="edge")
