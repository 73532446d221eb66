"""NumPy twins of ``kernels/rays.py``, ``blocks.py`` and ``compositing.py``: every sample of every ray, in float64.

Written from the definitions: trilinear interpolation, front to back compositing (Levoy 1988), Blinn's halfway vector.
Nothing is passed over and no ray ends early.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def sample_positions(grid: Array, rows: NDArray[np.intp], columns: int, samples: int) -> Array:
    """(rows, columns, samples, 3) voxel indices."""
    origin, row_step, column_step, sample_step = grid
    i, j, k = np.meshgrid(rows, np.arange(columns), np.arange(samples), indexing="ij")
    return (
        origin + i[..., None] * row_step + j[..., None] * column_step + k[..., None] * sample_step
    )  # fmt: skip


def trilinear(values: NDArray[Any], positions: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Values at positions, and which of these lie between the first and the last voxel's centre."""
    last = np.array(values.shape) - 1
    inside = ((positions >= -1e-9) & (positions <= last + 1e-9)).all(axis=-1)
    held = np.clip(positions, 0, last)
    corner = np.minimum(np.floor(held).astype(np.intp), last - 1)
    weight = held - corner
    total = np.zeros(positions.shape[:-1])
    for part in np.ndindex(2, 2, 2):
        share = np.prod([w if upper else 1 - w for w, upper in zip(np.moveaxis(weight, -1, 0), part, strict=True)], 0)
        z, y, x = np.moveaxis(corner + np.array(part), -1, 0)
        total += share * values[z, y, x].astype(np.float64)
    return total, inside


def project(values: NDArray[Any], grid: Array, shape: tuple[int, int], samples: int, kind: str) -> Array:
    """The projection of all samples inside; NaN where there are none."""
    found, inside = trilinear(values, sample_positions(grid, np.arange(shape[0]), shape[1], samples))
    if kind == "max":
        out = np.where(inside, found, -np.inf).max(axis=-1)
    elif kind == "min":
        out = np.where(inside, found, np.inf).min(axis=-1)
    else:
        out = np.where(inside, found, 0).sum(axis=-1)
        if kind == "mean":
            out = out / np.maximum(inside.sum(axis=-1), 1)
    return np.where(inside.any(axis=-1), out, np.nan)


def gradient(values: NDArray[Any], positions: Array, index_to_mm: Array) -> Array:
    """Central differences one voxel apart of the interpolated volume, its border repeated, per millimetre: (…, 3)."""
    padded = np.pad(values.astype(np.float64), 1, mode="edge")
    voxels = np.stack(
        [
            (np.roll(padded, -1, axis) - np.roll(padded, 1, axis))[1:-1, 1:-1, 1:-1] / 2
            for axis in range(3)
        ]
    )  # fmt: skip
    by_index = np.stack([trilinear(each, positions)[0] for each in voxels], axis=-1)
    return by_index @ np.linalg.inv(index_to_mm)


def composite(
    values: NDArray[Any],
    grid: Array,
    rows: NDArray[np.intp],
    columns: int,
    samples: int,
    *,
    opacity: Any,
    colour: Any,
    light: tuple[float, float, float, float],
    index_to_mm: Array,
    background: tuple[float, float, float] = (0, 0, 0),
) -> Array:
    """(rows, columns, 3), 0 to 255, not rounded.

    opacity, colour : functions of values, the first of one sample; light : ambient, diffuse, specular, power.
    """
    positions = sample_positions(grid, rows, columns, samples)
    found, inside = trilinear(values, positions)
    alpha = np.where(inside, opacity(found), 0.0)
    ambient, diffuse, specular, power = light
    view = index_to_mm @ grid[3]
    view = view / np.linalg.norm(view)
    slope = gradient(values, positions, index_to_mm)
    length = np.linalg.norm(slope, axis=-1)
    cosine = np.abs(slope @ view) / np.where(length > 1e-9, length, np.inf)
    lit = colour(found) * (ambient + diffuse * cosine)[..., None] + (specular * cosine**power)[..., None]
    passing = np.cumprod(1 - alpha, axis=-1)
    before = np.concatenate([np.ones_like(passing[..., :1]), passing[..., :-1]], axis=-1)
    seen = ((before * alpha)[..., None] * lit).sum(axis=-2) + passing[..., -1:] * np.array(background)
    return np.minimum(seen, 1) * 255


def cell_limits(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Smallest and largest of the voxels 4 c to 4 c + 4 along each axis."""
    shape = tuple((length + 2) // 4 for length in values.shape)
    low, high = np.empty(shape, values.dtype), np.empty(shape, values.dtype)
    for cell in np.ndindex(*shape):
        part = values[tuple(slice(4 * c, 4 * c + 5) for c in cell)]
        low[cell], high[cell] = part.min(), part.max()
    return low, high


def spread(cells: NDArray[Any], reach: tuple[int, int, int], largest: bool) -> NDArray[Any]:
    """The largest (smallest) of each cell and those up to ``reach`` beyond it."""
    out = np.empty_like(cells)
    for cell in np.ndindex(*cells.shape):
        part = cells[tuple(slice(c, c + r + 1) for c, r in zip(cell, reach, strict=True))]
        out[cell] = part.max() if largest else part.min()
    return out
