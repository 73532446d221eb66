"""Where rays run, in space: cone beams with flat or cylindrical detectors, on circles, helices or anywhere.

Projections are arrays (views, rows, columns); coordinates are those of ``grids``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.recon.geometries import PIXELS_MAX, arc_text, check_angles, check_center, check_count, check_length

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from pacscore.recon.grids import Grid


@dataclass(frozen=True, slots=True, eq=False)
class ConeGeometry:
    """A source and a detector for each view.

    ``circular`` makes the usual ones, ``from_matrices`` those of a calibration.

    Attributes
    ----------
    source_lps, detector_lps : (views, 3) float64
        The focal spot, and the point of the detector at ``center_row``, ``center_column``.
    column_direction, row_direction : (views, 3) float64
        Unit vectors along which column and row index rise, perpendicular to each other.
    row_count, column_count : int
    row_spacing_mm, column_spacing_mm : float
        On the detector.
    center_row, center_column : float
        By default the middle.
    curved : bool
        The detector is a cylinder about the line through the source along ``row_direction``, columns at equal angles;
        ``detector_lps`` then is the foot of the ray perpendicular to it.

    Raises
    ------
    InputError
        The arrays contradict each other, directions are not perpendicular, a source lies in its detector.
    """

    source_lps: ArrayLike
    detector_lps: ArrayLike
    column_direction: ArrayLike
    row_direction: ArrayLike
    row_count: int
    column_count: int
    row_spacing_mm: float
    column_spacing_mm: float
    center_row: float | None = None
    center_column: float | None = None
    curved: bool = False

    def __post_init__(self) -> None:
        views = np.asarray(self.source_lps, np.float64).reshape(-1, 3).shape[0]
        if views == 0:
            raise InputError("There are no views: a geometry has one or more.")
        for name in ("source_lps", "detector_lps", "column_direction", "row_direction"):
            given = np.array(getattr(self, name), np.float64).reshape(-1, 3)
            if given.shape[0] not in {1, views} or not np.isfinite(given).all():
                raise InputError(f"{name} is (views, 3), all finite: {views} views need as many.", found=given.shape)
            object.__setattr__(self, name, np.broadcast_to(given, (views, 3)).copy())
        for name in ("row_count", "column_count"):
            object.__setattr__(self, name, check_count(getattr(self, name), name))
        for name in ("row_spacing_mm", "column_spacing_mm"):
            object.__setattr__(self, name, check_length(getattr(self, name), name))
        object.__setattr__(self, "center_row", check_center(self.center_row, self.row_count, "center_row"))
        object.__setattr__(self, "center_column", check_center(self.center_column, self.column_count, "center_column"))
        e, g = self.frames[:2]
        gram = np.stack([(e * e).sum(1), (g * g).sum(1), 1 + (e * g).sum(1)])
        if not np.allclose(gram, 1.0, atol=1e-4):
            raise InputError("column_direction and row_direction must be perpendicular unit vectors in every view.")
        if math.prod(self.shape) > PIXELS_MAX:
            raise InputError(f"{self.shape} projections are more than can be held.", found=self.shape)
        if (self.frames[3] < 1e-3 * self.column_spacing_mm).any():
            raise InputError("A source lies in the plane of its detector, or behind it: see source_lps, detector_lps.")
        if self.curved and self.column_count * self.column_spacing_mm > 2.0 * float(self.frames[3].min()):
            raise InputError("The arc of the detector spans more than 2 radians.")

    @classmethod
    def circular(
        cls,
        angles_rad: ArrayLike,
        *,
        row_count: int,
        column_count: int,
        row_spacing_mm: float,
        column_spacing_mm: float,
        source_to_axis_mm: float,
        source_to_detector_mm: float,
        column_offset_mm: float = 0.0,
        row_offset_mm: float = 0.0,
        tilt_rad: float = 0.0,
        sag_mm: ArrayLike = (0.0, 0.0),
        curved: bool = False,
    ) -> ConeGeometry:
        """A source on a circle in the plane z = 0 and a detector opposite.

        Parameters
        ----------
        angles_rad : (views,) array
            The source lies at ``source_to_axis_mm * (cos, sin, 0)``; columns rise along ``(-sin, cos, 0)``, rows along
            z (to the head).
        column_offset_mm, row_offset_mm : float
            How far the middle of the detector is shifted along its columns and rows from the central ray.
        tilt_rad : float
            By how much the detector is turned about the central ray, from columns toward rows.
        sag_mm : (2,) or (views, 2) array
            By how much the detector of each view hangs, along its columns and rows: a fall of the C-arm.

        Raises
        ------
        InputError
            A number is none that can be used, or the detector lies before the axis.
        """
        angles = check_angles(angles_rad)
        sid = check_length(source_to_axis_mm, "source_to_axis_mm")
        sdd = check_length(source_to_detector_mm, "source_to_detector_mm")
        if sdd < sid:
            raise InputError(
                f"The detector ({sdd:g} mm from the source) lies before the axis of rotation ({sid:g} mm). Is one of "
                "them the distance from axis to detector?"
            )
        out = np.stack([np.cos(angles), np.sin(angles), np.zeros(angles.size)], axis=1)
        across = np.stack([-np.sin(angles), np.cos(angles), np.zeros(angles.size)], axis=1)
        up = np.array([0.0, 0.0, 1.0])
        sag = np.broadcast_to(np.asarray(sag_mm, np.float64), (angles.size, 2))
        columns = across * math.cos(tilt_rad) + up * math.sin(tilt_rad)
        rows = up * math.cos(tilt_rad) - across * math.sin(tilt_rad)
        middle = out * (sid - sdd) + across * sag[:, :1] + up * sag[:, 1:]
        return cls(
            out * sid, middle, columns, rows, row_count, column_count, row_spacing_mm, column_spacing_mm,
            center_row=(row_count - 1) / 2 - row_offset_mm / row_spacing_mm,
            center_column=(column_count - 1) / 2 - column_offset_mm / column_spacing_mm,
            curved=curved,
        )  # fmt: skip

    @classmethod
    def from_matrices(
        cls, matrices: ArrayLike, *, row_count: int, column_count: int, column_spacing_mm: float
    ) -> ConeGeometry:
        """The geometry of 3 × 4 matrices, which take ``(x, y, z, 1)`` in LPS mm to ``(column, row, 1)`` times depth.

        Parameters
        ----------
        matrices : (views, 3, 4) array
        column_spacing_mm : float
            Of the detector; matrices know directions only.

        Raises
        ------
        InputError
            A matrix is none of a camera with square corners.
        """
        given = np.array(matrices, np.float64).reshape(-1, 3, 4)
        if given.size == 0 or not np.isfinite(given).all() or (np.abs(np.linalg.det(given[:, :, :3])) < 1e-12).any():
            raise InputError("Projection matrices are (views, 3, 4), finite, with an invertible left part.")
        check_length(column_spacing_mm, "column_spacing_mm")
        inverse = np.linalg.inv(given[:, :, :3])
        sources = -(inverse @ given[:, :, 3:])[..., 0]
        # Directions to pixels at a common depth along the detector's normal span the detector itself.
        middle = np.array([(column_count - 1) / 2, (row_count - 1) / 2, 1.0])
        toward = inverse / np.linalg.norm(inverse[:, :, 0], axis=1)[:, None, None]
        toward *= np.where(((toward @ middle) * sources).sum(1) > 0, -1.0, 1.0)[:, None, None]
        columns, rows = toward[:, :, 0], toward[:, :, 1]
        ratio = np.linalg.norm(rows, axis=1)
        if np.ptp(ratio) > 1e-3 * ratio.mean():
            raise InputError("The matrices give pixels of different shapes in different views.")
        return cls(
            sources, sources + (toward @ middle) * column_spacing_mm, columns, rows / ratio[:, None], row_count,
            column_count, float(ratio.mean()) * column_spacing_mm, column_spacing_mm,
        )  # fmt: skip

    @property
    def center(self) -> tuple[float, float]:
        """``(center_row, center_column)`` as numbers."""
        return float(self.center_row or 0.0), float(self.center_column or 0.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, rows, columns)``."""
        return np.asarray(self.source_lps).shape[0], self.row_count, self.column_count

    @property
    def frames(self) -> tuple[NDArray[np.float64], ...]:
        """Columns, rows and normals as unit vectors, (views, 3) each, and the distance of source and detector."""
        e, g = np.asarray(self.column_direction), np.asarray(self.row_direction)
        between = np.asarray(self.detector_lps) - np.asarray(self.source_lps)
        normal = np.cross(e, g)
        depth = (between * normal).sum(1)
        sign = np.where(depth < 0, -1.0, 1.0)
        return e, g, normal * sign[:, None], np.abs(depth)

    @property
    def angles(self) -> NDArray[np.float64]:
        """(views,) of the sources about the z axis, in -π to π."""
        source = np.asarray(self.source_lps)
        angles: NDArray[np.float64] = np.arctan2(source[:, 1], source[:, 0])
        return angles

    @property
    def columns_per_radian(self) -> float:
        """Columns per radian of a cylindrical detector, 0 of a flat one."""
        return float(self.frames[3][0]) / self.column_spacing_mm if self.curved else 0.0

    def views(self, which: slice | NDArray[np.intp]) -> ConeGeometry:
        """The geometry of some of the views."""
        chosen: dict[str, Any] = {name: np.asarray(getattr(self, name))[which] for name in _PER_VIEW}
        return replace(self, **chosen)

    def rays(self, view: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The source and the unit direction of each ray, both (rows, columns, 3) in LPS mm."""
        e, g, normal, depth = (each[view] for each in self.frames)
        source, point = np.asarray(self.source_lps)[view], np.asarray(self.detector_lps)[view]
        rows = (np.arange(self.row_count) - self.center[0])[:, None, None] * self.row_spacing_mm * g
        across = (np.arange(self.column_count) - self.center[1]) * self.column_spacing_mm
        if self.curved:
            turn = across / depth
            columns = depth * (np.cos(turn)[:, None] * normal + np.sin(turn)[:, None] * e)
            toward = columns[None] + rows
        else:
            toward = (point - source) + across[None, :, None] * e + rows
        directions = toward / np.linalg.norm(toward, axis=-1, keepdims=True)
        return np.broadcast_to(source, directions.shape), directions

    def depths_at_origin_mm(self) -> NDArray[np.float64]:
        """(views,) from the source to the isocentre, along the detector's normal."""
        depths: NDArray[np.float64] = -(np.asarray(self.source_lps) * self.frames[2]).sum(1)
        return depths

    def maps(self) -> NDArray[np.float64]:
        """(views, 3, 4): what ``kernels/backproject.py`` (B1) takes, for points ``(x, y, z, 1)`` in LPS mm.

        ``w`` is 1 at the isocentre.
        """
        e, g, normal, depth = self.frames
        source = np.asarray(self.source_lps)
        between = np.asarray(self.detector_lps) - source

        def affine(direction: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.concatenate([direction, -(direction * source).sum(1)[:, None]], axis=1)

        across, up, deep = affine(e), affine(g), affine(normal)
        if self.curved:
            stacked = np.stack([across, up * (depth / self.row_spacing_mm)[:, None], deep], axis=1)
        else:
            far = depth[:, None]
            columns = (across * far - deep * (between * e).sum(1)[:, None]) / self.column_spacing_mm
            rows = (up * far - deep * (between * g).sum(1)[:, None]) / self.row_spacing_mm
            stacked = np.stack([columns, rows, deep], axis=1)
        return stacked / self.depths_at_origin_mm()[:, None, None]

    def __str__(self) -> str:
        kind = "cylindrical" if self.curved else "flat"
        sid = np.linalg.norm(np.asarray(self.source_lps)[:, :2], axis=1)
        return (
            f"cone beam on a {kind} detector, {arc_text(np.unwrap(self.angles))}, {self.row_count} × "
            f"{self.column_count} detector of {self.row_spacing_mm:g} × {self.column_spacing_mm:g} mm, source to axis "
            f"{sid.mean():.6g} mm, to detector {self.frames[3].mean():.6g} mm, central ray at row {self.center[0]:g}, "
            f"column {self.center[1]:g}"
        )

    def picture(self, grid: Grid | None = None, *, size: int = 480) -> PillowImage.Image:
        """The arrangement seen from the feet, and from the side, as a picture."""
        from pacscore.recon.drawing import draw_geometry

        return draw_geometry(self, grid, size=size)


_PER_VIEW = ("source_lps", "detector_lps", "column_direction", "row_direction")
