"""How a picture of a plane is turned to be read, and what its directions are called.

Affines are 4 × 4 and map ``(slice, row, column, 1)`` to ``(x, y, z, 1)`` in LPS millimetres: x grows to the patient's
left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). Their first three columns are what one step of the slice, row
and column index moves.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

PLANES = ("axial", "coronal", "sagittal")

_NORMALS = {"axial": (0.0, 0.0, 1.0), "coronal": (0.0, 1.0, 0.0), "sagittal": (1.0, 0.0, 0.0)}

# Radiological convention: the reader faces the patient, or looks from the feet; (to the right, downwards) in LPS.
_READING = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}

_OBLIQUE_LETTER_MIN = math.sin(math.radians(20))


def reading_order(row_step: NDArray[np.float64], column_step: NDArray[np.float64]) -> tuple[bool, bool, bool]:
    """Say how a picture is turned to the radiological convention.

    Parameters
    ----------
    row_step, column_step : NDArray of float64
        ``(3,)`` LPS: what one step of the row index (downwards) and of the column index (to the right) moves.

    Returns
    -------
    tuple of bool
        ``(transpose, flip_rows, flip_columns)``, to be done in this order. Axial: patient right at the left of the
        picture, front at the top. Coronal: right at the left, head at the top. Sagittal: front at the left, head at
        the top. The nearest anatomical plane decides.

    Examples
    --------
    A coronal plane of an axial stack, slices ascending to the head, must be turned upside down.

    >>> reading_order(np.array([0.0, 0.0, 3.0]), np.array([1.0, 0.0, 0.0]))
    (False, True, False)
    """
    normal = np.cross(row_step, column_step)
    plane = max(PLANES, key=lambda name: abs(float(normal @ np.asarray(_NORMALS[name]))))
    right, down = (np.asarray(direction) for direction in _READING[plane])
    along = abs(float(column_step @ right)) / _length(column_step) + abs(float(row_step @ down)) / _length(row_step)
    across = abs(float(row_step @ right)) / _length(row_step) + abs(float(column_step @ down)) / _length(column_step)
    transpose = bool(across > along)
    to_right, downwards = (row_step, column_step) if transpose else (column_step, row_step)
    return transpose, bool(downwards @ down < 0), bool(to_right @ right < 0)


def direction_letters(direction: NDArray[np.float64]) -> str:
    """Name a direction by the letters of Patient Orientation (0020,0020): R L A P F H, PS3.3 C.7.6.1.1.1.

    The main letter first, a second where the direction is more than 20° off the main axis.

    Examples
    --------
    >>> direction_letters(np.array([-1.0, 0.0, 0.0])), direction_letters(np.array([0.0, 0.8, 0.6]))
    ('R', 'PH')
    """
    length = _length(direction)
    if length == 0:
        return ""
    order = np.argsort(-np.abs(direction), kind="stable")
    letters = [("LPH" if direction[axis] > 0 else "RAF")[axis] for axis in order]
    second = abs(direction[order[1]]) / length > _OBLIQUE_LETTER_MIN
    return "".join(letters[: 2 if second else 1])


def _length(vector: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(vector))
