"""Exact line integrals through ellipsoids, and the ellipsoids' values on a grid.

An ellipsoid is a row of 13 float64: its value; its centre (x, y, z) in mm; a 3 × 3 matrix, row by row, that takes what
is relative to the centre to the unit sphere. It may be cut by half spaces, rows of 4 float64: a normal (x, y, z) and a
distance in mm; kept is what lies less far along the normal from the centre. ``spans`` says which are its own.

Unchecked: the checked entry is ``pacscore.recon.simulate``. Twins: ``tests/reference/tomography.py``.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel


@kernel
def line_integrals_into(
    points: NDArray[np.float64],
    directions: NDArray[np.float64],
    ellipsoids: NDArray[np.float64],
    clips: NDArray[np.float64],
    spans: NDArray[np.int64],
    out: NDArray[np.float32],
) -> None:
    """The sum over ellipsoids of value times the length of the chord.

    points, directions : (rays, 3) float64; directions of unit length
    ellipsoids : (ellipsoids, 13) float64; clips (half spaces, 4) float64
    spans : (ellipsoids, 2) int64, the first half space of each, and the one after its last
    out : (rays,) float32
    """
    for ray in range(out.size):
        total = 0.0
        for number in range(ellipsoids.shape[0]):
            one = ellipsoids[number]
            a, b, c = 0.0, 0.0, -1.0
            for axis in range(3):
                m = one[4 + 3 * axis : 7 + 3 * axis]
                p = m[0] * (points[ray, 0] - one[1]) + m[1] * (points[ray, 1] - one[2])
                p += m[2] * (points[ray, 2] - one[3])
                d = m[0] * directions[ray, 0] + m[1] * directions[ray, 1] + m[2] * directions[ray, 2]
                a += d * d
                b += p * d
                c += p * p
            inside = b * b - a * c
            if inside <= 0.0:
                continue
            enter, leave = (-b - np.sqrt(inside)) / a, (-b + np.sqrt(inside)) / a
            for clip in range(spans[number, 0], spans[number, 1]):
                n = clips[clip]
                away = n[0] * (points[ray, 0] - one[1]) + n[1] * (points[ray, 1] - one[2])
                away += n[2] * (points[ray, 2] - one[3]) - n[3]
                along = n[0] * directions[ray, 0] + n[1] * directions[ray, 1] + n[2] * directions[ray, 2]
                if along > 0.0:
                    leave = min(leave, -away / along)
                elif along < 0.0:
                    enter = max(enter, -away / along)
                elif away >= 0.0:
                    leave = enter
            if leave > enter:
                total += one[0] * (leave - enter)
        out[ray] = total


@kernel
def voxel_values_into(
    affine: NDArray[np.float64],
    ellipsoids: NDArray[np.float64],
    clips: NDArray[np.float64],
    spans: NDArray[np.int64],
    samples: int,
    first: int,
    last: int,
    out: NDArray[np.float32],
) -> None:
    """Mean over ``samples`` cubed points in each voxel of the values of the ellipsoids that hold them.

    affine : (4, 4) float64, (slice, row, column, 1) to mm
    out : (slices, rows, columns) float32; slices ``first`` to ``last`` are written
    """
    for z in range(first, last):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                total = 0.0
                for k in range(samples**3):
                    dz = z + (k // (samples * samples) + 0.5) / samples - 0.5
                    dy = y + (k // samples % samples + 0.5) / samples - 0.5
                    dx = x + (k % samples + 0.5) / samples - 0.5
                    px = affine[0, 0] * dz + affine[0, 1] * dy + affine[0, 2] * dx + affine[0, 3]
                    py = affine[1, 0] * dz + affine[1, 1] * dy + affine[1, 2] * dx + affine[1, 3]
                    pz = affine[2, 0] * dz + affine[2, 1] * dy + affine[2, 2] * dx + affine[2, 3]
                    for number in range(ellipsoids.shape[0]):
                        one = ellipsoids[number]
                        far = 0.0
                        for axis in range(3):
                            p = one[4 + 3 * axis] * (px - one[1]) + one[5 + 3 * axis] * (py - one[2])
                            p += one[6 + 3 * axis] * (pz - one[3])
                            far += p * p
                        kept = far <= 1.0
                        for clip in range(spans[number, 0], spans[number, 1]):
                            n = clips[clip]
                            along = n[0] * (px - one[1]) + n[1] * (py - one[2]) + n[2] * (pz - one[3])
                            kept = kept and along < n[3]
                        if kept:
                            total += one[0]
                out[z, y, x] = total / samples**3
