"""Regions on the pixel grid of an image: polygons and ellipses as masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.kernels import regions as kernels

EDGE = 1e-9
"""How far rounding may put a centre that lies on an ellipse outside it, as a share."""


def polygon_mask(polygons: Sequence[ArrayLike], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside polygons.

    Parameters
    ----------
    polygons : sequence of array-like
        Each ``(points, 2)`` of (row, column), pixel centres at whole numbers; closed by itself. One inside another is
        a hole (even-odd rule), as is a part of one that it runs round twice.
    shape : tuple of int
        ``(rows, columns)``.

    Raises
    ------
    InputError
        A polygon has fewer than three points, another shape, or numbers that are not finite.

    Notes
    -----
    A centre exactly on an edge is inside on the upper and left side only: regions that share an edge share no pixel.

    Examples
    --------
    >>> polygon_mask([[(0, 0), (0, 2), (2, 2), (2, 0)]], (3, 3)).astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    mask = np.zeros(shape, np.uint8)
    for polygon in polygons:
        points = np.ascontiguousarray(polygon, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
            raise InputError(
                f"A polygon has at least three finite (row, column) points: this has shape {points.shape}.",
                found=points.shape,
            )
        if mask.size:
            kernels.fill_polygon_into(points, np.empty(len(points)), mask)
    return mask.view(np.bool_)


def ellipse_mask(
    center: tuple[float, float], radii: tuple[float, float], shape: tuple[int, int], *, angle_rad: float = 0.0
) -> NDArray[np.bool_]:
    """The pixels whose centres lie in or on an ellipse.

    Parameters
    ----------
    center, radii : tuple of float
        (row, column), and the half axes along rows and columns, in pixels.
    shape : tuple of int
        ``(rows, columns)``.
    angle_rad : float
        By which the ellipse is turned from the row axis towards the column axis.

    Raises
    ------
    InputError
        A radius is not positive, or a number is not finite.
    """
    numbers = (*center, *radii, angle_rad)
    if not all(math.isfinite(number) for number in numbers) or min(radii) <= 0:
        raise InputError("An ellipse has a finite centre and positive radii.", found=numbers)
    down = np.arange(shape[0])[:, None] - center[0]
    right = np.arange(shape[1])[None] - center[1]
    along = down * math.cos(angle_rad) + right * math.sin(angle_rad)
    across = right * math.cos(angle_rad) - down * math.sin(angle_rad)
    inside: NDArray[np.bool_] = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1.0 + EDGE
    return inside
