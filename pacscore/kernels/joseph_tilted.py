"""Joseph's projector for cone beams at any angle to the slices, and its adjoint.

Where detector rows do not lie along the slices, rays of a detector column share nothing, as they do in
``kernels/joseph_cone.py``: each is marched by itself along the axis it is nearest to, slices too, with four taps a
plane.

T1  In indices (slice, row, column) the ray of a view to a pixel is ``source + way * (base + row * step)``, for flat
    detectors as for cylinders about the source; mm along it are indices times ``spacing``.
T2  Both kernels find plane, taps and weights in the same words, so that they are one matrix.

Volumes and projections are laid out as there.

Unchecked: the checked entry is ``pacscore.recon.Projector``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels.joseph_cone import ROWS_AFTER, SLICES_AFTER, SLICES_BEFORE


@kernel(inline=True)
def ray_toward(base: NDArray[np.float64], step: NDArray[np.float64], row: int) -> Any:
    """Direction to a pixel in indices, and the axis it is marched along."""
    d0, d1, d2 = base[0] + row * step[0], base[1] + row * step[1], base[2] + row * step[2]
    if abs(d0) > abs(d1) and abs(d0) > abs(d2):
        return d0, d1, d2, 0
    return d0, d1, d2, 1 if abs(d1) >= abs(d2) else 2


@kernel(inline=True)
def planes_met(slope: float, start: float, length: int, first: float, last: float) -> Any:
    """The part of ``first`` to ``last`` in which ``slope * p + start`` lies within a voxel of ``length`` of them."""
    low, high = -1.0 + 1e-9, length - 1e-9
    if abs(slope) < 1e-12:
        return (first, last) if low < start < high else (0.0, -1.0)
    a, b = (low - start) / slope, (high - start) / slope
    return max(first, np.ceil(min(a, b))), min(last, np.floor(max(a, b)))


@kernel(inline=True)
def line_of(d: Any, source: NDArray[np.float64], spacing: NDArray[np.float64], shape: Any, strides: Any) -> Any:
    """A ray as its march: slopes and starts across it, lengths and strides of these axes, planes met, mm a plane."""
    d0, d1, d2, axis = d
    s0, s1, s2 = source[0], source[1], source[2]
    if axis == 0:
        march, at, size, ahead = d0, s0, shape[0], strides[0]
        du, u, nu, su, dv, v, nv, sv = d1, s1, shape[1], strides[1], d2, s2, shape[2], strides[2]
    elif axis == 1:
        march, at, size, ahead = d1, s1, shape[1], strides[1]
        du, u, nu, su, dv, v, nv, sv = d0, s0, shape[0], strides[0], d2, s2, shape[2], strides[2]
    else:
        march, at, size, ahead = d2, s2, shape[2], strides[2]
        du, u, nu, su, dv, v, nv, sv = d0, s0, shape[0], strides[0], d1, s1, shape[1], strides[1]
    au, av = du / march, dv / march
    bu, bv = u - au * at, v - av * at
    first, last = planes_met(au, bu, nu, 0.0, size - 1.0)
    first, last = planes_met(av, bv, nv, first, last)
    x, y, z = d0 * spacing[0], d1 * spacing[1], d2 * spacing[2]
    per_plane = np.sqrt(x * x + y * y + z * z) / abs(march)
    return au, bu, nu, su, av, bv, nv, sv, ahead, np.int64(first), np.int64(last) + 1, per_plane


@kernel(inline=True)
def taps_at(place: float, length: int, stride: int) -> Any:
    """The lower of two voxels about a place, their weights, and the stride to the upper."""
    # Most places lie between two voxels; to treat all like those at the border takes 1.45 times as long.
    lower = np.int64(place)
    if place >= 0.0 and lower < length - 1:
        later = np.float32(place - lower)
        return lower, np.float32(1) - later, later, np.uint64(stride)
    lower = np.int64(min(max(place, 0.0), max(0.0, length - 2.0)))
    w0 = np.float32(max(0.0, 1.0 - abs(place - lower)))
    if length == 1:
        return lower, w0, np.float32(0), np.uint64(0)
    return lower, w0, np.float32(max(0.0, 1.0 - abs(place - lower - 1.0))), np.uint64(stride)


@kernel
def forward_rays_into(
    volume: NDArray[np.float32],
    sources: NDArray[np.float64],
    bases: NDArray[np.float64],
    steps: NDArray[np.float64],
    spacing: NDArray[np.float64],
    order: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """Line integrals of the views in ``order``.

    sources, steps : (views, 3) float64; bases (views, columns, 3) float64: T1
    spacing : (3,) float64, mm
    out : (views, columns, rows + 16) float32; what pads it is left
    """
    rows, width, depth = volume.shape
    shape, strides = (depth - SLICES_BEFORE - SLICES_AFTER, rows, width), (1, width * depth, depth)
    flat = volume.reshape(-1)
    for view in order:
        for column in range(bases.shape[1]):
            for row in range(out.shape[2] - ROWS_AFTER):
                d = ray_toward(bases[view, column], steps[view], row)
                line = line_of(d, sources[view], spacing, shape, strides)
                au, bu, nu, su, av, bv, nv, sv, ahead, first, last, per_plane = line
                total = 0.0
                for p in range(first, last):
                    u, u0, u1, up = taps_at(au * p + bu, nu, su)
                    v, v0, v1, beside = taps_at(av * p + bv, nv, sv)
                    at = np.uint64(SLICES_BEFORE + p * ahead + u * su + v * sv)
                    total += u0 * (v0 * flat[at] + v1 * flat[at + beside])
                    total += u1 * (v0 * flat[at + up] + v1 * flat[at + up + beside])
                out[view, column, row] = total * per_plane


@kernel
def adjoint_rays_into(
    projections: NDArray[np.float32],
    sources: NDArray[np.float64],
    bases: NDArray[np.float64],
    steps: NDArray[np.float64],
    spacing: NDArray[np.float64],
    order: NDArray[np.int64],
    planes: Any,
    axis: int,
    volume: NDArray[np.float32],
) -> None:
    """The adjoint of ``forward_rays_into``, for the planes that one axis of march has in a range.

    planes : first march index, and the one after the last
    axis : take the rays that march slices (0), rows (1) or columns (2)
    volume : added to, in those planes only
    """
    rows, width, depth = volume.shape
    shape, strides = (depth - SLICES_BEFORE - SLICES_AFTER, rows, width), (1, width * depth, depth)
    flat = volume.reshape(-1)
    for view in order:
        for column in range(bases.shape[1]):
            for row in range(projections.shape[2] - ROWS_AFTER):
                d = ray_toward(bases[view, column], steps[view], row)
                if d[3] != axis:
                    continue
                line = line_of(d, sources[view], spacing, shape, strides)
                au, bu, nu, su, av, bv, nv, sv, ahead, first, last, per_plane = line
                value = np.float32(projections[view, column, row] * per_plane)
                for p in range(max(planes[0], first), min(planes[1], last)):
                    u, u0, u1, up = taps_at(au * p + bu, nu, su)
                    v, v0, v1, beside = taps_at(av * p + bv, nv, sv)
                    at = np.uint64(SLICES_BEFORE + p * ahead + u * su + v * sv)
                    flat[at] += value * (u0 * v0)
                    flat[at + beside] += value * (u0 * v1)
                    flat[at + up] += value * (u1 * v0)
                    flat[at + up + beside] += value * (u1 * v1)
