"""Regions of interest in patient space: an ellipse or a polygon on a plane, in millimetres, as masks on pixel grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging import arrays
from pacscore.imaging.arrays.regions import EDGE

_PARALLEL_VOXELS = 0.25
"""How far, in voxels, the points of a region may stray from one plane of the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneMask:
    """A mask on one plane of a volume's grid.

    Attributes
    ----------
    axis, index : int
        The plane: which array axis it lies across, and where.
    mask : NDArray of bool
        ``(length, length)`` of the other two axes, in their order.
    """

    axis: int
    index: int
    mask: NDArray[np.bool_]

    def box(self) -> tuple[slice, slice, slice] | None:
        """The part of the volume in which the mask holds; None where it holds nowhere."""
        if not self.mask.any():
            return None
        sides = [np.flatnonzero(self.mask.any(axis)) for axis in (1, 0)]
        parts = [slice(int(side[0]), int(side[-1]) + 1) for side in sides]
        parts.insert(self.axis, slice(self.index, self.index + 1))
        return parts[0], parts[1], parts[2]


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """A closed line on a plane and what lies inside it.

    Attributes
    ----------
    points_lps : NDArray of float64
        ``(points, 3)`` LPS millimetres; the last is joined to the first.

    Raises
    ------
    InputError
        Fewer than three points, or numbers that are not finite.
    """

    points_lps: NDArray[np.float64]

    def __post_init__(self) -> None:
        points = np.array(self.points_lps, np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or len(points) < 3 or not np.isfinite(points).all():
            raise InputError(f"A polygon has at least three finite points (x, y, z), not shape {points.shape}.")
        object.__setattr__(self, "points_lps", points)

    def area_mm2(self) -> float:
        """Of a polygon that does not cross itself: half the length of the sum of cross products (shoelace)."""
        points = self.points_lps - self.points_lps[0]
        return float(np.linalg.norm(np.cross(points, np.roll(points, -1, axis=0)).sum(0)) / 2)

    def perimeter_mm(self) -> float:
        """Length of the line all round."""
        return float(np.linalg.norm(self.points_lps - np.roll(self.points_lps, -1, axis=0), axis=1).sum())

    def on_grid(self, index_to_lps: NDArray[np.float64], shape: Sequence[int]) -> PlaneMask:
        """As a mask on the grid of a volume.

        Raises
        ------
        GeometryError
            The polygon lies in no plane of the grid, or outside it.
        """
        places = _to_index(index_to_lps, self.points_lps)
        axis, index = _plane_of(places, shape)
        kept = [other for other in range(3) if other != axis]
        return PlaneMask(axis, index, arrays.polygon_mask([places[:, kept]], (shape[kept[0]], shape[kept[1]])))


@dataclass(frozen=True, slots=True, eq=False)
class Ellipse:
    """An ellipse on a plane.

    Attributes
    ----------
    center_lps : NDArray of float64
        ``(3,)`` LPS millimetres.
    first_axis_mm, second_axis_mm : NDArray of float64
        ``(3,)`` half axes, from the centre to the edge, at right angles.

    Raises
    ------
    InputError
        An axis has no length, or they are not at right angles.
    """

    center_lps: NDArray[np.float64]
    first_axis_mm: NDArray[np.float64]
    second_axis_mm: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("center_lps", "first_axis_mm", "second_axis_mm"):
            vector = np.array(getattr(self, name), np.float64)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise InputError(f"{name} of an ellipse is three finite numbers, not shape {vector.shape}.")
            object.__setattr__(self, name, vector)
        lengths = self.radii_mm
        if min(lengths) <= 0 or abs(self.first_axis_mm @ self.second_axis_mm) > 1e-6 * lengths[0] * lengths[1]:
            raise InputError("The half axes of an ellipse have a length and lie at right angles.", found=lengths)

    @property
    def radii_mm(self) -> tuple[float, float]:
        """Lengths of the half axes."""
        return float(np.linalg.norm(self.first_axis_mm)), float(np.linalg.norm(self.second_axis_mm))

    def area_mm2(self) -> float:
        """π times the half axes."""
        return math.pi * self.radii_mm[0] * self.radii_mm[1]

    def on_grid(self, index_to_lps: NDArray[np.float64], shape: Sequence[int]) -> PlaneMask:
        """As a mask on the grid of a volume; see ``Polygon.on_grid``."""
        ends = np.array([self.center_lps + sign * axis for sign in (0, 1, -1) for axis in self._axes()])
        axis, index = _plane_of(_to_index(index_to_lps, ends), shape)
        kept = [other for other in range(3) if other != axis]
        along, across = (self._in_grid(index_to_lps, half, kept) for half in self._axes())
        middle = _to_index(index_to_lps, self.center_lps[None])[0, kept]
        down = np.arange(shape[kept[0]])[:, None] - middle[0]
        right = np.arange(shape[kept[1]])[None] - middle[1]
        # The point is centre + u * first + v * second; it lies inside where u² + v² is at most 1.
        area = along[0] * across[1] - along[1] * across[0]
        u = (down * across[1] - right * across[0]) / area
        v = (right * along[0] - down * along[1]) / area
        return PlaneMask(axis, index, u * u + v * v <= 1.0 + EDGE)

    def _axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return self.first_axis_mm, self.second_axis_mm

    @staticmethod
    def _in_grid(index_to_lps: NDArray[np.float64], half: NDArray[np.float64], kept: list[int]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.solve(index_to_lps[:3, :3], half)[kept], np.float64)


Region: TypeAlias = Polygon | Ellipse


def distance_mm(first_lps: ArrayLike, second_lps: ArrayLike) -> float:
    """Between two points, both in LPS millimetres.

    Examples
    --------
    >>> distance_mm((0, 0, 0), (3, 4, 0))
    5.0
    """
    return float(np.linalg.norm(_point(first_lps) - _point(second_lps)))


def angle_rad(first_lps: ArrayLike, vertex_lps: ArrayLike, second_lps: ArrayLike) -> float:
    """At a vertex, between the lines to two points: 0 to π.

    Raises
    ------
    InputError
        A point lies on the vertex.

    Examples
    --------
    >>> math.degrees(angle_rad((1, 0, 0), (0, 0, 0), (0, 0, 2)))
    90.0
    """
    a, b = _point(first_lps) - _point(vertex_lps), _point(second_lps) - _point(vertex_lps)
    if not (a.any() and b.any()):
        raise InputError("An angle needs two points away from its vertex.")
    return math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))  # Exact near 0 and π, unlike the cosine.


def _point(value: ArrayLike) -> NDArray[np.float64]:
    point = np.asarray(value, np.float64)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise InputError(f"A point is three finite numbers (x, y, z), not shape {point.shape}.")
    return point


def _to_index(index_to_lps: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """LPS points as (slice, row, column)."""
    if abs(np.linalg.det(index_to_lps[:3, :3])) < 1e-12:
        raise GeometryError("A single slice has no thickness: regions need a volume of two slices or more.")
    return np.asarray(np.linalg.solve(index_to_lps[:3, :3], (points - index_to_lps[:3, 3]).T).T, np.float64)


def _plane_of(places: NDArray[np.float64], shape: Sequence[int]) -> tuple[int, int]:
    """The array axis across which points lie in one plane, and the index of the nearest plane."""
    spread = np.ptp(places, axis=0)
    axis = int(np.argmin(spread))
    if spread[axis] > _PARALLEL_VOXELS:
        raise GeometryError(
            f"The region lies in no plane of the volume's grid: it crosses {spread[axis]:.3g} voxels. Reslice the "
            "volume along the region first."
        )
    place = float(places[:, axis].mean())
    index = math.floor(place + 0.5)
    if not 0 <= index < shape[axis]:
        raise GeometryError(f"The region lies outside the volume: at {place:.3g} of {shape[axis]} planes.", found=place)
    return axis, index
