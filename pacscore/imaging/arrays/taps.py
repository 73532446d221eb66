"""Which samples of an axis make a value between them, and with what weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError

INTERPOLATIONS = ("nearest", "linear", "cubic", "bspline")
"""Nearest voxel; trilinear; Catmull-Rom; cubic B-spline through the voxels."""

# The weight of tap n (voxels -1 to 2 from the one before the sample) as a polynomial of the fraction.
CATMULL_ROM = np.array([[0, 1, 0, 0], [-0.5, 0, 0.5, 0], [1, -2.5, 2, -0.5], [-0.5, 1.5, -1.5, 0.5]], np.float32)
B_SPLINE = np.array(
    [[1 / 6, 4 / 6, 1 / 6, 0], [-0.5, 0, 0.5, 0], [0.5, -1, 0.5, 0], [-1 / 6, 0.5, -0.5, 1 / 6]], np.float32
)
_RELATIVE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class AxisTaps:
    """Tables for one axis.

    Attributes
    ----------
    firsts : (n,) int32
        The first sample that each value uses.
    weights : (n, taps) float32
        Of that sample and those behind it.
    inside : tuple of int
        The values from the first to before the second lie within half a step of the axis's samples.
    """

    firsts: NDArray[np.int32]
    weights: NDArray[np.float32]
    inside: tuple[int, int]


def check_interpolation(interpolation: str) -> None:
    """Raise InputError unless it is one of ``INTERPOLATIONS``."""
    if interpolation not in INTERPOLATIONS:
        raise InputError(
            f"Interpolation is {interpolation!r}, which is none of {', '.join(INTERPOLATIONS)}.", found=interpolation
        )


def axis_taps(
    length: int, *, start: float, step: float, count: int, interpolation: str = "linear", smooth: bool = True
) -> AxisTaps:
    """Make the tables for values at ``start + step * n``.

    Parameters
    ----------
    length : int
        How many samples the axis has, at least 1.
    start, step : float
        In samples; the step is above 0.
    count : int
        How many values.
    interpolation : str
        One of ``INTERPOLATIONS``; with ``bspline`` the samples are spline coefficients.
    smooth : bool
        Where the step is above 1, widen the weights by it, so that detail too fine for the result does not alias.

    Notes
    -----
    Beyond its ends the axis is continued by its end samples, for ``bspline`` by its mirror image.

    Examples
    --------
    >>> axis_taps(4, start=0.25, step=1.5, count=2, smooth=False).weights
    array([[0.75, 0.25],
           [0.25, 0.75]], dtype=float32)
    """
    check_interpolation(interpolation)
    if length < 1 or count < 0 or not (math.isfinite(start) and math.isfinite(step) and step > 0):
        raise InputError(f"An axis of {length} samples cannot be sampled from {start} on in steps of {step}.")
    places = start + step * np.arange(count)
    # Places computed by way of millimetres miss whole numbers and borders by a rounding error.
    near = np.rint(places * 2) / 2
    places = np.where(np.abs(places - near) < _RELATIVE * (np.abs(near) + 1), near, places)
    width = step if smooth and step > 1 and interpolation != "nearest" else 1.0
    within = (places >= -0.5) & (places < length - 0.5)
    inside = (int(within.argmax()), int(within.argmax() + np.count_nonzero(within))) if within.any() else (0, 0)
    if interpolation == "nearest":
        chosen = np.floor(places + 0.5)
        indices, weights = chosen[:, None], np.ones((count, 1))
    else:
        profile, support = _PROFILES[interpolation]
        taps = 2 * math.ceil(support * width - _RELATIVE)
        indices = np.floor(places)[:, None] + np.arange(1 - taps // 2, taps // 2 + 1)
        weights = profile((indices - places[:, None]) / width)
        weights = weights / weights.sum(axis=1, keepdims=True)
    folded = _fold(np.clip(indices, -2 * length - 8, 3 * length + 8).astype(np.int64), length, interpolation)
    taps = min(indices.shape[1], length)
    firsts = np.clip(folded.min(axis=1, initial=length), 0, length - taps)
    table = np.zeros((count, taps))
    offsets = np.clip(folded - firsts[:, None], 0, taps - 1)  # Only values outside the axis reach farther.
    np.add.at(table, (np.arange(count)[:, None], offsets), weights)
    return AxisTaps(firsts.astype(np.int32), table.astype(np.float32), inside)


def _fold(indices: NDArray[np.int64], length: int, interpolation: str) -> NDArray[np.int64]:
    if interpolation != "bspline":
        return np.clip(indices, 0, length - 1)
    if length == 1:
        return np.zeros_like(indices)
    period = 2 * (length - 1)
    around = np.mod(indices, period)
    mirrored: NDArray[np.int64] = np.minimum(around, period - around)
    return mirrored


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _catmull_rom(x: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.abs(x)
    inner = 1.5 * t**3 - 2.5 * t**2 + 1.0
    outer = -0.5 * t**3 + 2.5 * t**2 - 4.0 * t + 2.0
    return np.where(t < 1, inner, np.where(t < 2, outer, 0.0))


def _b_spline(x: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.abs(x)
    return np.where(t < 1, 2 / 3 - t**2 + t**3 / 2, np.where(t < 2, (2 - t) ** 3 / 6, 0.0))


_PROFILES: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], int]] = {
    "linear": (_triangle, 1), "cubic": (_catmull_rom, 2), "bspline": (_b_spline, 2),
}  # fmt: skip
