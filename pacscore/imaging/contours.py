"""Structures of RT Structure Sets: closed contours on parallel planes, drawn on a volume's grid.

PS3.3 C.8.8.5 and C.8.8.6. Contours on one plane are combined by the even-odd rule: one inside another is a hole, as is
the inside of a keyhole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging import arrays

STRUCTURE_KEYWORDS = frozenset({
    "Modality", "FrameOfReferenceUID", "ReferencedFrameOfReferenceSequence", "StructureSetROISequence",
    "ROIContourSequence",
})  # fmt: skip
"""The top-level attributes read here."""

_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_FLAT_VOXELS = 0.25
"""How far the points of a contour may stray from one plane of the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """One structure.

    Attributes
    ----------
    number : int
        ROI Number (3006,0022).
    name : str
        ROI Name (3006,0026).
    frame_of_reference_uid : str
        In whose coordinates its points are.
    contours : tuple of NDArray of float64
        Closed ones, each ``(points, 3)`` LPS millimetres.
    """

    number: int
    name: str
    frame_of_reference_uid: str
    contours: tuple[NDArray[np.float64], ...]


def read_structures(document: Mapping[str, Any]) -> tuple[Structure, ...]:
    """The structures of a structure set that have closed contours; points and open lines enclose nothing.

    Contours without three whole points are left out.
    """
    contours: dict[int, list[NDArray[np.float64]]] = {}
    for item in _items(document.get("ROIContourSequence")):
        number = item.get("ReferencedROINumber")
        if not isinstance(number, int):
            continue
        for contour in _items(item.get("ContourSequence")):
            points = _points(contour.get("ContourData"))
            if contour.get("ContourGeometricType") in _CLOSED and points is not None:
                contours.setdefault(number, []).append(points)
    found = []
    for item in _items(document.get("StructureSetROISequence")):
        number = item.get("ROINumber")
        if isinstance(number, int) and number in contours:
            place = item.get("ReferencedFrameOfReferenceUID") or document.get("FrameOfReferenceUID")
            found.append(Structure(number, str(item.get("ROIName") or ""), str(place or ""), tuple(contours[number])))
    return tuple(found)


def draw_contours(
    contours: Sequence[NDArray[np.float64]], index_to_lps: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """The voxels whose centres lie inside contours.

    Parameters
    ----------
    contours : sequence of NDArray
        Each ``(points, 3)`` LPS millimetres, in planes parallel to one plane of the grid.
    index_to_lps : NDArray of float64
        4 × 4 of the grid, not of a single slice.
    shape : tuple of int
        ``(slices, rows, columns)``.

    Raises
    ------
    GeometryError
        A contour lies across the planes of the grid.

    Notes
    -----
    A contour stands for its plane and half the way to the next: a plane of the grid shows the nearest contoured plane,
    if that is not farther than half the usual distance between contoured planes. So nothing is lost where the grid is
    finer than the contours, and a gap left on purpose stays one.
    """
    to_index = np.linalg.inv(index_to_lps[:3, :3])
    places = [np.asarray((points - index_to_lps[:3, 3]) @ to_index.T, np.float64) for points in contours]
    axis = _common_axis(places)
    kept = [other for other in range(3) if other != axis]
    levels: dict[float, list[NDArray[np.float64]]] = {}
    for place in places:
        levels.setdefault(round(float(place[:, axis].mean()), 3), []).append(place[:, kept])
    heights = np.array(sorted(levels))
    steps = np.diff(heights)
    reach = max(0.5, float(np.median(steps)) / 2 if steps.size else 0.5)
    mask = np.zeros(shape, np.bool_)
    planes = np.moveaxis(mask, axis, 0)
    for index in range(shape[axis]):
        nearest = float(heights[np.argmin(np.abs(heights - index))])
        if abs(nearest - index) <= reach + 1e-3:
            planes[index] = arrays.polygon_mask(levels[nearest], (shape[kept[0]], shape[kept[1]]))
    return mask


def _common_axis(places: Sequence[NDArray[np.float64]]) -> int:
    """The array axis across which every contour is flat."""
    spread = np.max([np.ptp(place, axis=0) for place in places], axis=0)
    axis = int(np.argmin(spread))
    if spread[axis] > _FLAT_VOXELS:
        raise GeometryError(
            f"Contours lie across the planes of the volume's grid, by {spread[axis]:.3g} voxels. Take the volume that "
            "they were drawn on, or reslice it along them."
        )
    return axis


def _points(data: object) -> NDArray[np.float64] | None:
    """``(points, 3)`` of Contour Data (3006,0050); None unless it is three points or more of finite numbers."""
    if not isinstance(data, list) or len(data) % 3 or len(data) < 9:
        return None
    if not all(isinstance(number, (int, float)) for number in data):
        return None
    points = np.array(data, np.float64).reshape(-1, 3)
    return points if np.isfinite(points).all() else None


def _items(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []
