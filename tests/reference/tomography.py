"""Tomography in plain NumPy float64, from the formulas: what the kernels are compared with. Slow, for tiny cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ramp_filtered(row: Array, spacing: float = 1.0) -> Array:
    """A row convolved with the band-limited ramp (Kak and Slaney, chapter 3, equation 61)."""
    result = np.zeros(row.size)
    for out in range(row.size):
        for place in range(row.size):
            lag = out - place
            odd = 0.0 if lag % 2 == 0 else -1 / (math.pi * lag * spacing) ** 2
            tap = 1 / (4 * spacing**2) if lag == 0 else odd
            result[out] += tap * row[place] * spacing
    return result


def linear_at(row: Array, place: float) -> float:
    """Linear interpolation, with zeros beyond the ends."""
    whole = math.floor(place)
    value = 0.0
    for tap, weight in ((whole, 1 - (place - whole)), (whole + 1, place - whole)):
        if 0 <= tap < row.size:
            value += weight * row[tap]
    return value


def bilinear_at(image: Array, row: float, column: float) -> float:
    """Bilinear interpolation, with zeros beyond the border."""
    whole = math.floor(row)
    value = 0.0
    for tap, weight in ((whole, 1 - (row - whole)), (whole + 1, row - whole)):
        if 0 <= tap < image.shape[0] and weight:
            value += weight * linear_at(image[tap], column)
    return value


def fdk_of_circle(
    projections: Array, angles: Array, sid: float, sdd: float, pitch: tuple[float, float], places: Array
) -> Array:
    """FDK of a full equiangular circle, flat centred detector, at points (n, 3).

    The source stands at ``sid (cos, sin, 0)``; columns rise along ``(-sin, cos, 0)``, rows along z.
    """
    views, rows, columns = projections.shape
    u = (np.arange(columns) - (columns - 1) / 2) * pitch[1]
    v = (np.arange(rows) - (rows - 1) / 2) * pitch[0]
    cosine = sdd / np.sqrt(sdd**2 + u[None] ** 2 + v[:, None] ** 2)
    result = np.zeros(len(places))
    for view in range(views):
        weighted = projections[view] * cosine
        filtered = np.stack([ramp_filtered(row, pitch[1] * sid / sdd) for row in weighted])
        c, s = math.cos(angles[view]), math.sin(angles[view])
        for number, (x, y, z) in enumerate(places):
            depth = sid - (x * c + y * s)
            column = (y * c - x * s) * sdd / depth / pitch[1] + (columns - 1) / 2
            row = z * sdd / depth / pitch[0] + (rows - 1) / 2
            result[number] += (sid / depth) ** 2 * bilinear_at(filtered, row, column)
    return result * (2 * math.pi / views) / 2


def fbp_parallel(projections: Array, angles: Array, spacing: float, places: Array) -> Array:
    """Parallel views over half a turn, (views, columns), at points (n, 2)."""
    columns = projections.shape[1]
    result = np.zeros(len(places))
    for view, angle in enumerate(angles):
        filtered = ramp_filtered(projections[view], spacing)
        for number, (x, y) in enumerate(places):
            result[number] += linear_at(
                filtered, (x * math.cos(angle) + y * math.sin(angle)) / spacing + (columns - 1) / 2
            )
    return result * math.pi / len(angles)


def joseph_sum(volume: Array, to_index: Array, point: Array, direction: Array) -> float:
    """One ray through (slices, rows, columns) by Joseph's method, from mm."""
    start = to_index[:3, :3] @ point + to_index[:3, 3]
    step = to_index[:3, :3] @ direction
    axis = max((1, 2, 0), key=lambda each: abs(step[each]))
    total = 0.0
    for plane in range(volume.shape[axis]):
        way = (plane - start[axis]) / step[axis]
        place = start + way * step
        total += sum(
            weight * value
            for weight, value in _taps(volume, place, axis, plane)
        )  # fmt: skip
    return total / abs(step[axis])


def _taps(volume: Array, place: Array, axis: int, plane: int) -> Any:
    others = [each for each in range(3) if each != axis]
    lower = np.floor(place[others]).astype(int)
    for first in (0, 1):
        for second in (0, 1):
            index = np.zeros(3, int)
            index[axis] = plane
            index[others] = lower + np.array([first, second])
            if (index < 0).any() or (index >= volume.shape).any():
                continue
            away = np.abs(place[others] - index[others])
            yield float(np.prod(1 - away)), float(volume[tuple(index)])


def chord_sum(rows: Array, clips: Array, point: Array, direction: Array, reach: float, samples: int = 20001) -> float:
    """Ellipsoids (n, 13), cut by half spaces (m, 5) that name them, summed along a ray by many samples."""
    ways = np.linspace(-reach, reach, samples)
    places = point + ways[:, None] * direction
    total = np.zeros(samples)
    for number, row in enumerate(rows):
        unit = (places - row[1:4]) @ row[4:13].reshape(3, 3).T
        inside = (unit**2).sum(axis=1) <= 1
        for clip in clips[clips[:, 0] == number]:
            inside &= (places - row[1:4]) @ clip[1:4] < clip[4]
        total += row[0] * inside
    return float(total.sum() * (ways[1] - ways[0]))


def differences(volume: Array, weights: Array) -> Array:
    """(3, slices, rows, columns): to the next voxel, 0 at the last."""
    result = np.zeros((3, *volume.shape))
    for axis in range(3):
        inner = [slice(None)] * 3
        inner[axis] = slice(0, -1)
        result[(axis, *inner)] = np.diff(volume, axis=axis) * weights[axis]
    return result


def divergence(dual: Array, weights: Array) -> Array:
    """The negative adjoint of ``differences``."""
    result = np.zeros(dual.shape[1:])
    for index in np.ndindex(result.shape):
        for axis in range(3):
            if index[axis] + 1 < result.shape[axis]:
                result[index] += weights[axis] * dual[(axis, *index)]
            if index[axis] > 0:
                before = list(index)
                before[axis] -= 1
                result[index] -= weights[axis] * dual[(axis, *before)]
    return result
