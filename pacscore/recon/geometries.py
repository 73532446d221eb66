"""Where rays run, in planes: parallel beams and fans, one detector row for each slice.

Projections are arrays (views, rows, columns). Coordinates are those of ``grids``: mm, the axis of rotation along z
through the origin. Indices are those of pixel centres; ``center_column`` is the column, not always a whole one, that
the central ray meets, so a shifted axis of rotation is stated there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pacscore.recon.grids import Grid

PIXELS_MAX = 1 << 34


class Geometry(Protocol):
    """What all geometries know, enough to trace any ray."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the projections: ``(views, rows, columns)``."""
        ...

    def rays(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A point on each ray and its unit direction, both (rows, columns, 3) in LPS mm."""
        ...


def check_angles(angles_rad: ArrayLike) -> NDArray[np.float64]:
    """The angles as an array.

    Raises
    ------
    InputError
        There are none, or one is not finite.
    """
    angles = np.array(angles_rad, np.float64).reshape(-1)
    if angles.size == 0:
        raise InputError("There are no angles: a geometry has one view or more.")
    if not np.isfinite(angles).all():
        view = int(np.flatnonzero(~np.isfinite(angles))[0])
        raise InputError(f"The angle of view {view} is not finite.", view=view)
    return angles


def check_count(count: int, name: str) -> int:
    """A whole number of 1 or more."""
    if int(count) != count or not 1 <= count <= 1 << 20:
        raise InputError(f"{name} is {count}: it must be a whole number from 1.", found=count)
    return int(count)


def check_length(value: float, name: str) -> float:
    """A positive, finite length."""
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} is {value}: it must be a positive number of millimetres.", found=value)
    return float(value)


def check_center(value: float | None, count: int, name: str) -> float:
    """A detector index; by default the middle."""
    index = (count - 1) / 2 if value is None else float(value)
    if not math.isfinite(index):
        raise InputError(f"{name} is {value}: it must be a finite column number.", found=value)
    return index


def arc_text(angles: NDArray[np.float64]) -> str:
    """How many views over how many degrees."""
    span = np.rad2deg(np.ptp(angles)) if angles.size > 1 else 0.0
    return f"{angles.size} view{'s' if angles.size > 1 else ''} over {span:.4g}°"


class _PlanarDetector:
    """What parallel beams and fans say of their views and rows alike."""

    __slots__ = ()

    angles_rad: ArrayLike
    column_count: int
    center_column: float | None
    row_count: int
    row_spacing_mm: float

    @property
    def angles(self) -> NDArray[np.float64]:
        """The angles as an array."""
        return np.asarray(self.angles_rad)

    @property
    def center(self) -> float:
        """``center_column`` as a number."""
        return float(self.center_column or 0.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, rows, columns)``."""
        return self.angles.size, self.row_count, self.column_count

    @property
    def row_positions_mm(self) -> NDArray[np.float64]:
        """z of each row."""
        rows = np.arange(self.row_count, dtype=np.float64) - (self.row_count - 1) / 2
        return rows * self.row_spacing_mm


@dataclass(frozen=True, slots=True, eq=False)
class ParallelGeometry(_PlanarDetector):
    """Parallel rays, perpendicular to the axis of rotation; detector row ``r`` sees slice ``r``.

    Attributes
    ----------
    angles_rad : (views,) float64
        In any order. The rays of a view are the lines ``x cos(angle) + y sin(angle) = s`` with ``s = (column -
        center_column) * column_spacing_mm``; they run along ``(-sin, cos)``.
    column_count, column_spacing_mm : int, float
    center_column : float
        The column that the axis of rotation is projected to; by default the middle.
    row_count, row_spacing_mm : int, float
        Row ``r`` lies at ``z = (r - (row_count - 1) / 2) * row_spacing_mm``.

    Raises
    ------
    InputError
        A number is none that can be used.

    Examples
    --------
    >>> print(ParallelGeometry(np.linspace(0, np.pi, 180, endpoint=False), 256))
    parallel beam, 180 views over 179°, 1 × 256 detector of 1 × 1 mm, axis at column 127.5
    """

    angles_rad: ArrayLike
    column_count: int
    column_spacing_mm: float = 1.0
    center_column: float | None = None
    row_count: int = 1
    row_spacing_mm: float = 1.0

    def __post_init__(self) -> None:
        _check_planar(self)

    def rays(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A point on each ray and its unit direction, both (rows, columns, 3) in LPS mm."""
        c, s = math.cos(self.angles[view]), math.sin(self.angles[view])
        along = (np.arange(self.column_count) - self.center) * self.column_spacing_mm
        points = np.empty((self.row_count, self.column_count, 3))
        points[..., 0], points[..., 1], points[..., 2] = along * c, along * s, self.row_positions_mm[:, None]
        return points, np.broadcast_to((-s, c, 0.0), points.shape)

    def column_maps(self) -> NDArray[np.float64]:
        """(views, 2, 3): columns from the centre are ``n / w``, the products with ``(x, y, 1)``."""
        maps = np.zeros((self.angles.size, 2, 3))
        maps[:, 0, 0] = np.cos(self.angles) / self.column_spacing_mm
        maps[:, 0, 1] = np.sin(self.angles) / self.column_spacing_mm
        maps[:, 1, 2] = 1.0
        return maps

    @property
    def columns_per_radian(self) -> float:
        """0: the detector is flat."""
        return 0.0

    def __str__(self) -> str:
        return f"parallel beam, {_planar_text(self)}, axis at column {self.center:g}"

    def picture(self, grid: Grid | None = None, *, size: int = 480) -> PillowImage.Image:
        """The arrangement seen from the feet, as a picture."""
        from pacscore.recon.drawing import draw_geometry

        return draw_geometry(self, grid, size=size)


@dataclass(frozen=True, slots=True, eq=False)
class FanGeometry(_PlanarDetector):
    """Rays from a point, in planes perpendicular to the axis of rotation; detector row ``r`` sees slice ``r``.

    Attributes
    ----------
    angles_rad : (views,) float64
        The source of a view lies at ``source_to_axis_mm * (cos, sin)``, the detector opposite; columns rise along
        ``(-sin, cos)``.
    column_count, column_spacing_mm : int, float
        Spacing on the detector.
    source_to_axis_mm, source_to_detector_mm : float
    curved : bool
        The detector is an arc about the source, with columns at equal angles.
    center_column : float
        Where the ray through the axis of rotation meets the detector; by default the middle.
    row_count, row_spacing_mm : int, float
        As in ``ParallelGeometry``: a stack of fans, not a cone.

    Raises
    ------
    InputError
        A number is none that can be used, or the detector lies before the axis.
    """

    angles_rad: ArrayLike
    column_count: int
    column_spacing_mm: float
    source_to_axis_mm: float
    source_to_detector_mm: float
    curved: bool = False
    center_column: float | None = None
    row_count: int = 1
    row_spacing_mm: float = 1.0

    def __post_init__(self) -> None:
        _check_planar(self)
        check_length(self.source_to_axis_mm, "source_to_axis_mm")
        check_length(self.source_to_detector_mm, "source_to_detector_mm")
        if self.source_to_detector_mm < self.source_to_axis_mm:
            raise InputError(
                f"The detector ({self.source_to_detector_mm:g} mm from the source) lies before the axis of rotation "
                f"({self.source_to_axis_mm:g} mm). Is one of them the distance from axis to detector?"
            )
        if self.curved and self.column_count * self.column_spacing_mm > 2.0 * self.source_to_detector_mm:
            raise InputError("The arc of the detector spans more than 2 radians.")

    @property
    def fan_angles_rad(self) -> NDArray[np.float64]:
        """(columns,) between each column's ray and the central one."""
        across = (np.arange(self.column_count, dtype=np.float64) - self.center) * self.column_spacing_mm
        flat: NDArray[np.float64] = np.arctan2(across, self.source_to_detector_mm)
        return across / self.source_to_detector_mm if self.curved else flat

    def rays(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The source and the unit direction of each ray, both (rows, columns, 3) in LPS mm."""
        angle = self.angles[view]
        points = np.empty((self.row_count, self.column_count, 3))
        points[..., 0] = self.source_to_axis_mm * math.cos(angle)
        points[..., 1] = self.source_to_axis_mm * math.sin(angle)
        points[..., 2] = self.row_positions_mm[:, None]
        heading = angle + np.pi - self.fan_angles_rad
        directions = np.zeros(points.shape)
        directions[..., 0], directions[..., 1] = np.cos(heading), np.sin(heading)
        return points, directions

    def column_maps(self) -> NDArray[np.float64]:
        """(views, 2, 3) as of ``ParallelGeometry``; ``w`` is 1 on the axis, and ``n / w`` a tangent where curved."""
        c, s = np.cos(self.angles), np.sin(self.angles)
        scale = 1.0 if self.curved else self.source_to_detector_mm / self.column_spacing_mm
        maps = np.zeros((self.angles.size, 2, 3))
        maps[:, 0, 0], maps[:, 0, 1] = -s * scale, c * scale
        maps[:, 1, 0], maps[:, 1, 1], maps[:, 1, 2] = -c, -s, self.source_to_axis_mm
        return maps / self.source_to_axis_mm

    @property
    def columns_per_radian(self) -> float:
        """Columns per radian of a curved detector, 0 of a flat one."""
        return self.source_to_detector_mm / self.column_spacing_mm if self.curved else 0.0

    def __str__(self) -> str:
        kind = "curved" if self.curved else "flat"
        return (
            f"fan beam on a {kind} detector, {_planar_text(self)}, source to axis {self.source_to_axis_mm:g} mm, to "
            f"detector {self.source_to_detector_mm:g} mm, central ray at column {self.center:g}"
        )

    def picture(self, grid: Grid | None = None, *, size: int = 480) -> PillowImage.Image:
        """The arrangement seen from the feet, as a picture."""
        from pacscore.recon.drawing import draw_geometry

        return draw_geometry(self, grid, size=size)


Planar = ParallelGeometry | FanGeometry


def _check_planar(geometry: Planar) -> None:
    for name in ("column_count", "row_count"):
        object.__setattr__(geometry, name, check_count(getattr(geometry, name), name))
    for name in ("column_spacing_mm", "row_spacing_mm"):
        object.__setattr__(geometry, name, check_length(getattr(geometry, name), name))
    object.__setattr__(geometry, "angles_rad", check_angles(geometry.angles_rad))
    center = check_center(geometry.center_column, geometry.column_count, "center_column")
    object.__setattr__(geometry, "center_column", center)
    if math.prod(geometry.shape) > PIXELS_MAX:
        raise InputError(f"{geometry.shape} projections are more than can be held.", found=geometry.shape)


def _planar_text(geometry: Planar) -> str:
    return (
        f"{arc_text(geometry.angles)}, {geometry.row_count} × {geometry.column_count} detector of "
        f"{geometry.row_spacing_mm:g} × {geometry.column_spacing_mm:g} mm"
    )


def check_projections(projections: NDArray[np.generic], shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Projections as kernels take them: (views, rows, columns) float32, C order, finite.

    A sinogram (views, columns) serves a geometry of one row.

    Raises
    ------
    InputError
        The shape is not the geometry's, or values are not real or not finite.
    """
    given = np.asarray(projections)
    if given.ndim == 2 and shape[1] == 1:
        given = given[:, None, :]
    if given.shape != shape:
        hint = (
            " Are its first two axes exchanged?"
            if given.ndim == 3 and given.shape == tuple(shape[i] for i in (1, 0, 2))
            else ""
        )
        raise InputError(
            f"The geometry has {shape[0]} views of {shape[1]} rows and {shape[2]} columns; the projections are "
            f"{given.shape}.{hint}",
            expected=shape,
            found=given.shape,
        )
    if given.dtype.kind not in "fiu":
        raise InputError(f"Projections are real numbers, not {given.dtype}.", found=str(given.dtype))
    values = np.require(given, np.float32, ("C", "A"))
    for view, image in enumerate(values):
        # One pass without a temporary array; a sum is finite where all are, save where it overflows.
        if not (np.isfinite(image.sum(dtype=np.float64)) or np.isfinite(image).all()):
            raise InputError(
                f"View {view} of the projections is not finite everywhere. Repair it first (recon.repair_pixels).",
                view=view,
            )
    return values
