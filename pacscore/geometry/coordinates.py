"""Coordinate systems and the anatomical names of array axes.

LPS is the patient coordinate system of PS3.3 C.7.6.2.1.1; RAS, which NIfTI uses, has x and y reversed. For animals
with Anatomical Orientation Type QUADRUPED the same axes have other names; these functions speak of bipeds.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError

_NORMALS_LPS: dict[str, tuple[float, float, float]] = {
    "sagittal": (1.0, 0.0, 0.0),
    "coronal": (0.0, 1.0, 0.0),
    "axial": (0.0, 0.0, 1.0),
}
_TIE_DEG = 1.0
# The nearest of three orthogonal axes is never farther than the diagonal of a cube from any direction.
_NEAREST_DEG_MAX = math.degrees(math.acos(1.0 / math.sqrt(3.0))) + 1e-6


def anatomical_axis(index_to_lps: NDArray[np.float64], plane: str) -> int:
    """The array axis to hold fixed to get a ``plane``: 0 slice, 1 row, 2 column.

    Parameters
    ----------
    index_to_lps
        (4, 4), maps (slice, row, column, 1) to LPS mm; may be sheared. A zero first column stands for a single slice,
        which is a plane only across axis 0.
    plane
        axial lies across the patient's z axis, coronal across y, sagittal across x.

    Raises
    ------
    GeometryError
        Two axes are equally near, within 1°: the plane's name does not choose one. Or no axis is near: a single slice
        of another orientation.
    InputError
        Another plane.

    Notes
    -----
    An axis counts as near when the *planes* across it lie near the named plane: what is compared is the normal of the
    two other axes, not the axis itself. The two differ when the stack is tilted.

    Examples
    --------
    >>> anatomical_axis(np.diag([3.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]], "axial")
    0
    """
    if plane not in _NORMALS_LPS:
        raise InputError(f"No plane is called {plane!r}. Use axial, coronal or sagittal.", found=str(plane))
    wanted = np.array(_NORMALS_LPS[plane])
    steps = index_to_lps[:3, :3]
    angles: list[float] = []
    for axis in range(3):
        normal = np.cross(steps[:, (axis + 1) % 3], steps[:, (axis + 2) % 3])
        length = float(np.linalg.norm(normal))
        cosine = abs(float(normal @ wanted)) / length if length > 0.0 else 0.0
        angles.append(math.degrees(math.acos(min(1.0, cosine))))
    nearest, second = sorted(range(3), key=lambda axis: angles[axis])[:2]
    if angles[nearest] > _NEAREST_DEG_MAX:
        raise GeometryError(
            f"This stack is a single slice {angles[nearest]:.1f}° away from {plane}. Ask for another plane.",
            plane=plane,
            angles_deg=angles,
        )
    if angles[second] - angles[nearest] <= _TIE_DEG:
        raise GeometryError(
            f"Two axes are equally near to {plane}: {angles[nearest]:.1f}° and {angles[second]:.1f}° away. "
            "Choose an array axis by its number, or reslice.",
            plane=plane,
            angles_deg=angles,
        )
    return nearest


def handedness(index_to_lps: NDArray[np.float64]) -> Literal["right", "left"] | None:
    """Of the axes in the order column, row, slice (DICOM's i, j, k); None for a single slice.

    Stacks made by ``build_stacks`` are right-handed: their slices ascend along row cosines × column cosines.
    """
    volume = float(np.linalg.det(index_to_lps[:3, [2, 1, 0]]))
    if volume == 0.0:
        return None
    return "right" if volume > 0.0 else "left"


def lps_to_ras(index_to_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine with x and y of its *output* reversed; its own inverse, so it also leads from RAS to LPS.

    Examples
    --------
    >>> lps_to_ras(np.eye(4)).diagonal().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    return np.array([-1.0, -1.0, 1.0, 1.0])[:, None] * index_to_lps


def column_row_slice(index_to_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine for indices in the order (column, row, slice, 1), as NIfTI and ITK have them; its own inverse."""
    return np.ascontiguousarray(index_to_lps[:, [2, 1, 0, 3]])
