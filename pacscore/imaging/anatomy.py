"""Where an array lies in the patient: anatomical planes, and how a picture of one is turned to be read.

Affines are 4 × 4 and map ``(slice, row, column, 1)`` to ``(x, y, z, 1)`` in LPS millimetres: x grows to the patient's
left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). Their first three columns are what one step of the slice, row
and column index moves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError

PLANES = ("axial", "coronal", "sagittal")

_NORMALS = {"axial": (0.0, 0.0, 1.0), "coronal": (0.0, 1.0, 0.0), "sagittal": (1.0, 0.0, 0.0)}

# Radiological convention: the reader faces the patient, or looks from the feet; (to the right, downwards) in LPS.
_READING = {
    "axial": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "coronal": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
    "sagittal": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
}

_TIE_DEGREES = 1.0
_OBLIQUE_LETTER_MIN = math.sin(math.radians(20))


class SpatialGeometry(Protocol):
    """What imaging needs to know of a stack's geometry; ``pacscore.geometry.StackGeometry`` is one."""

    @property
    def verdict(self) -> str:
        """``regular``, ``tilted``, … (DESIGN §7)."""
        ...

    @property
    def findings(self) -> Sequence[object]:
        """What was found, for people and programs."""
        ...

    @property
    def index_to_lps(self) -> NDArray[np.float64] | None:
        """4 × 4, or None where slices are not equally spaced; a single slice has a zero first column."""
        ...

    @property
    def spacing_mm(self) -> tuple[float | None, float, float] | None:
        """Between slices, between rows, between columns."""
        ...

    @property
    def orientation(self) -> tuple[float, ...] | None:
        """Row cosines, then column cosines: Image Orientation (Patient) (0020,0037)."""
        ...

    def slice_position_lps(self, index: int) -> NDArray[np.float64] | None:
        """Centre of the first pixel of a slice, also where no affine describes the stack."""
        ...


def anatomical_axis(index_to_lps: NDArray[np.float64], plane: str) -> int:
    """Find the array axis nearest to an anatomical normal.

    Parameters
    ----------
    index_to_lps : NDArray of float64
        4 × 4.
    plane : str
        ``axial``, ``coronal`` or ``sagittal``.

    Returns
    -------
    int
        0 slice, 1 row, 2 column: the axis along which ``plane``'s index counts.

    Raises
    ------
    GeometryError
        Two axes are equally near, within 1°; or the stack is a single slice at right angles to the plane.
    InputError
        There is no such plane.

    Notes
    -----
    Compared are the normals of the planes across each axis, not the axes: the two differ in a tilted stack.

    Examples
    --------
    >>> anatomical_axis(np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "coronal")
    1
    """
    if plane not in _NORMALS:
        raise InputError(f"There is no plane {plane!r}: ask for {', '.join(PLANES)}.", found=plane)
    steps = index_to_lps[:3, :3]
    normals = np.array([np.cross(steps[:, (axis + 1) % 3], steps[:, (axis + 2) % 3]) for axis in range(3)])
    lengths = np.linalg.norm(normals, axis=1)
    cosines = np.abs(normals @ np.asarray(_NORMALS[plane])) / np.where(lengths > 0, lengths, 1.0)
    angles = np.degrees(np.arccos(np.clip(cosines, 0.0, 1.0)))
    order = np.argsort(angles, kind="stable")
    if cosines[order[0]] == 0:
        raise GeometryError(f"A single slice has no {plane} plane.", plane=plane)
    if angles[order[1]] - angles[order[0]] < _TIE_DEGREES:
        raise GeometryError(
            f"No array axis is the {plane} one: two lie {angles[order[0]]:.1f}° and {angles[order[1]]:.1f}° from its "
            "normal. Take planes of the array instead.",
            plane=plane,
        )
    return int(order[0])


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
