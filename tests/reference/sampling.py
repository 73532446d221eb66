"""Samples between voxels, from the definitions: float64, one tap after the other, no tables, no recursion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def inside(points: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which of (3, n) points lie within half a voxel of the array."""
    lengths = np.array(shape)[:, None]
    return ((points >= -0.5) & (points < lengths - 0.5)).all(axis=0)


def weight(x: Floats, interpolation: str) -> Floats:
    """How much a sample at distance ``x`` counts."""
    t = np.abs(x)
    if interpolation == "nearest":
        return ((x > -0.5) & (x <= 0.5)).astype(float)
    if interpolation == "linear":
        return np.clip(1 - t, 0, None)
    if interpolation == "cubic":  # Keys, a = -1/2.
        return np.select([t < 1, t < 2], [1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2], 0.0)
    return np.select([t < 1, t < 2], [(4 - 6 * t**2 + 3 * t**3) / 6, (2 - t) ** 3 / 6], 0.0)


def _continued(index: NDArray[np.int64], length: int, interpolation: str) -> NDArray[np.int64]:
    if interpolation != "bspline":
        return np.clip(index, 0, length - 1)
    if length == 1:
        return np.zeros_like(index)
    index = np.mod(index, 2 * length - 2)
    return np.where(index >= length, 2 * length - 2 - index, index)


def sample_points(array: NDArray, points: Floats, interpolation: str, background: float = 0.0) -> Floats:
    """Values at (3, n) index points; for ``bspline`` the array holds coefficients."""
    values = array.astype(np.float64)
    base = np.floor(points).astype(np.int64)
    total = np.zeros(points.shape[1])
    for dz in range(-1, 3):
        for dy in range(-1, 3):
            for dx in range(-1, 3):
                taps = base + np.array([[dz], [dy], [dx]])
                share = np.prod(
                    [weight(tap - point, interpolation) for tap, point in zip(taps, points, strict=True)], axis=0
                )
                z, y, x = (
                    _continued(tap, length, interpolation) for tap, length in zip(taps, array.shape, strict=True)
                )
                total += np.where(share != 0, share * np.where(share != 0, values[z, y, x], 0), 0)
    return np.where(inside(points, array.shape), total, background)


def line_points(lines: Floats, columns: int, depth: int) -> Floats:
    """The (3, lines × columns) index points of one depth."""
    steps = np.arange(columns)
    places = lines[:, 0, None] + depth * lines[:, 2, None] + steps[None, :, None] * lines[:, 1, None]
    return places.reshape(-1, 3).T


def sample_lines(
    array: NDArray,
    lines: Floats,
    columns: int,
    *,
    depths: int = 1,
    combine: str = "mean",
    interpolation: str = "linear",
    background: float = 0.0,
) -> Floats:
    """(lines, columns) values."""
    stack = []
    for depth in range(depths):
        points = line_points(lines, columns, depth)
        values = sample_points(array, points, interpolation)
        stack.append((values, inside(points, array.shape)))
    values, held = np.stack([each[0] for each in stack]), np.stack([each[1] for each in stack])
    if depths > 1:
        held &= ~np.isnan(values)
    none = ~held.any(axis=0)
    if combine in {"mean", "sum"}:
        result = np.where(held, values, 0).sum(axis=0) / (np.maximum(held.sum(axis=0), 1) if combine == "mean" else 1)
    elif combine == "max":
        result = np.where(held, values, -np.inf).max(axis=0)
    else:
        result = np.where(held, values, np.inf).min(axis=0)
    return np.where(none, background, result).reshape(len(lines), columns)


def spline_coefficients(array: NDArray) -> Floats:
    """Solve, along each axis, for the coefficients whose B-spline passes through the samples (mirrored ends)."""
    result = array.astype(np.float64)
    for axis, length in enumerate(array.shape):
        if length == 1:
            continue
        matrix = np.zeros((length, length))
        for row in range(length):
            for offset, share in ((-1, 1 / 6), (0, 4 / 6), (1, 1 / 6)):
                matrix[row, _continued(np.array([row + offset]), length, "bspline")[0]] += share
        result = np.moveaxis(np.tensordot(np.linalg.inv(matrix), result, (1, axis)), 0, axis)
    return result


def smoothed_axis(values: Floats, axis: int, places: Floats, step: float, interpolation: str) -> Floats:
    """Values at ``places`` along one axis, the weights widened by the step where it is above 1."""
    width = step if step > 1 and interpolation != "nearest" else 1.0
    moved = np.moveaxis(values, axis, 0)
    reach = int(np.ceil(2 * width)) + 1
    result = []
    for place in places:
        taps = np.arange(int(np.floor(place)) - reach, int(np.floor(place)) + reach + 1)
        shares = weight((taps - place) / width, interpolation)
        shares = shares / shares.sum()
        result.append(np.tensordot(shares, moved[_continued(taps, len(moved), interpolation)], (0, 0)))
    return np.moveaxis(np.array(result), 0, axis)
