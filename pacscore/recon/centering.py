"""Where the axis of rotation is projected to: three ways to find the center column of a parallel-beam scan.

Each takes (views, rows, columns) line integrals and angles, and returns a column, not always a whole one, for
``ParallelGeometry(center_column=...)``. They fail in different ways, so that two that agree can be trusted:
``center_from_opposite_views`` needs views half a turn apart, ``center_from_moments`` an object that is all within the
detector, ``center_from_sharpness`` neither, but time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.recon.filtering import Filter
from pacscore.recon.geometries import ParallelGeometry, check_angles
from pacscore.recon.grids import Grid
from pacscore.recon.planar_backprojection import fbp

_OPPOSITE_MAX_RAD = np.deg2rad(2.5)
_MOVES_MAX = 8


def center_from_opposite_views(projections: NDArray[Any], angles_rad: ArrayLike, *, pairs_max: int = 32) -> float:
    """Register views with the mirror images of those half a turn on.

    Parameters
    ----------
    pairs_max : int
        At most so many pairs, evenly chosen; the median counts.

    Raises
    ------
    InputError
        The shapes do not fit.
    GeometryError
        No two views lie half a turn apart, within 2.5°.
    """
    values, angles = _checked(projections, angles_rad)
    apart = np.abs(np.mod(angles[None] - angles[:, None] - np.pi + np.pi, 2 * np.pi) - np.pi)
    partner = np.argmin(apart, axis=1)
    found = np.flatnonzero(apart[np.arange(angles.size), partner] <= _OPPOSITE_MAX_RAD)
    if found.size == 0:
        raise GeometryError("No two views lie half a turn apart: use center_from_moments or center_from_sharpness.")
    best = found[np.argsort(apart[found, partner[found]], kind="stable")]
    exact = best[apart[best, partner[best]] < apart[best[0], partner[best[0]]] + 1e-6]
    chosen = exact[np.linspace(0, exact.size - 1, min(pairs_max, exact.size)).astype(int)]
    return float(np.median([_mirror_center(values[view], values[partner[view]]) for view in chosen]))


def _mirror_center(view: NDArray[np.float32], opposite: NDArray[np.float32]) -> float:
    """The column about which ``opposite`` is the mirror image of ``view``, by correlation of their slopes."""
    columns = view.shape[1]
    size = 1 << int(np.ceil(np.log2(2 * columns)))
    a, b = (np.fft.rfft(np.gradient(each.astype(np.float64), axis=1), size, axis=1) for each in (view, opposite))
    # Correlating with a mirror image is a convolution: its peak lies at twice the center. Slopes change sign.
    together = -np.fft.irfft((a * b).sum(axis=0), size)
    peak = int(np.argmax(together))
    left, middle, right = (together[(peak + step) % size] for step in (-1, 0, 1))
    curve = left - 2 * middle + right
    return (peak + (0.5 * (left - right) / curve if curve < 0 else 0.0)) / 2


def center_from_moments(projections: NDArray[Any], angles_rad: ArrayLike) -> float:
    """Fit the path of the object's centre of mass: a sine about the axis of rotation.

    Raises
    ------
    InputError
        The shapes do not fit, or there are fewer than three views.
    GeometryError
        The object attenuates next to nothing.
    """
    values, angles = _checked(projections, angles_rad)
    if angles.size < 3:
        raise InputError(f"{angles.size} views do not determine a center: three or more do.", found=angles.size)
    profile = values.sum(axis=1, dtype=np.float64)
    mass = profile.sum(axis=1)
    if not (mass > 1e-6 * np.abs(profile).sum(axis=1).max()).all():
        raise GeometryError("The projections hold next to no attenuation: no center of mass can be found.")
    path = profile @ np.arange(values.shape[2]) / mass
    terms = np.stack([np.ones(angles.size), np.cos(angles), np.sin(angles)], axis=1)
    found, *_ = np.linalg.lstsq(terms, path, rcond=None)
    return float(found[0])


def center_from_sharpness(
    projections: NDArray[Any],
    angles_rad: ArrayLike,
    *,
    start: float | None = None,
    reach: float = 16.0,
    accuracy: float = 0.1,
    row: int | None = None,
) -> float:
    """Reconstruct a slice about many centers and take the one whose image is sharpest.

    Parameters
    ----------
    start : float, optional
        Where to search; by default the middle of the detector.
    reach, accuracy : float
        How far to both sides, and how finely, in columns. Where the best lies at an end the search goes on past it.
    row : int, optional
        Which detector row; by default the one with the most contrast.

    Raises
    ------
    InputError
        The shapes or numbers do not fit.

    Notes
    -----
    Donath, Beckmann and Schreyer 2006, J. Opt. Soc. Am. A 23(5): a wrong center smears edges into arcs and makes values
    negative, so the mean absolute value of the slice is least at the right one. Views of one half turn are used.
    """
    values, angles = _checked(projections, angles_rad)
    columns = values.shape[2]
    if not (reach > 0 and 0 < accuracy <= reach):
        raise InputError("reach and accuracy are positive numbers of columns.", found=(reach, accuracy))
    chosen = int(np.argmax(values.std(axis=(0, 2)))) if row is None else row
    if not 0 <= chosen < values.shape[1]:
        raise InputError(f"There is no detector row {row}.", found=row)
    # Over a full turn a wrong center doubles edges, which makes no values negative: half a turn tells more.
    half = np.mod(angles - angles.min(), 2 * np.pi) < np.pi - 1e-9
    angles, sinogram = angles[half], np.ascontiguousarray(values[half, chosen : chosen + 1])
    grid = Grid((1, columns, columns), 1.0)
    places = np.arange(columns) - (columns - 1) / 2
    disc = places[:, None] ** 2 + places[None] ** 2 < (0.5 * columns) ** 2

    def blur(center: float) -> float:
        geometry = ParallelGeometry(angles, columns, center_column=center)
        image = fbp(sinogram, geometry, grid, filter=Filter("hann"), limited_angle=True)[0]
        return float(np.abs(image[disc]).mean())

    middle = (columns - 1) / 2 if start is None else float(start)
    return _least(blur, middle, reach, accuracy)


def _least(function: Callable[[float], float], middle: float, reach: float, accuracy: float) -> float:
    """Search evenly, on past an end where that is the least, then ever finer around it; a parabola at the end."""
    step = min(1.0, reach / 2)
    side = round(reach / step)
    for _ in range(_MOVES_MAX):
        places = middle + np.arange(-side, side + 1) * step
        found = [function(float(place)) for place in places]
        best = int(np.argmin(found))
        middle = float(places[best])
        if 0 < best < len(found) - 1:
            break
    while step > accuracy:
        step /= 4
        places = middle + np.arange(-4, 5) * step
        found = [function(float(place)) for place in places]
        best = int(np.argmin(found))
        middle = float(places[best])
    if 0 < best < len(found) - 1:
        left, least, right = found[best - 1 : best + 2]
        curve = left - 2 * least + right
        if curve > 0:
            middle += 0.5 * (left - right) / curve * step
    return middle


def _checked(projections: NDArray[Any], angles_rad: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    values, angles = np.asarray(projections, np.float32), check_angles(angles_rad)
    if values.ndim == 2:
        values = values[:, None]
    if values.ndim != 3 or values.shape[0] != angles.size or values.shape[2] < 4:
        raise InputError(
            f"Projections (views, rows, columns) of {angles.size} angles are expected, not {values.shape}.",
            found=values.shape,
        )
    if not np.isfinite(values).all():
        raise InputError("Projections are not finite everywhere. Repair them first (recon.repair_pixels).")
    return values, angles
