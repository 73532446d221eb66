"""A cone-beam scan as filtering and backprojection take it: maps, weights and the filter's matrix, upon one grid."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import ramp
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.filtering import Filter, PackedFilter, filter_views
from pacscore.recon.grids import Grid
from pacscore.recon.planar_backprojection import refuse_sources
from pacscore.recon.redundancy import OFFSET, diverging_factors, mirrored_columns


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """A geometry as the kernels take it, upon one grid.

    Attributes
    ----------
    maps : (views, 3, 4) float64
        From voxel indices (column, row, slice, 1), rows rising with slices.
    reverse : bool
        Rows are taken from the last to the first, since they rise against the slices.
    cosines : (rows, columns) or (views, rows, columns) float32
    factors : (views, columns) float32
    before : int
        Columns before the detector that are filtered too.
    """

    geometry: ConeGeometry
    grid: Grid
    packed: PackedFilter
    maps: NDArray[np.float64]
    reverse: bool
    cosines: NDArray[np.float32]
    factors: NDArray[np.float32]
    before: int

    @classmethod
    def of(cls, geometry: ConeGeometry, grid: Grid, chosen: Filter, *, limited_angle: bool) -> Scan:
        """Check an upright geometry against a grid and work out all weights."""
        maps = geometry.maps() @ grid.column_first
        along = np.abs(maps[:, [0, 2], 2]).max(axis=0) * max(grid.shape)
        if along[0] > 0.01 or along[1] > 1e-4:
            raise GeometryError("Slices of the grid must follow the detector rows: the grid is tilted against them.")
        refuse_sources(maps[:, 2], grid)
        falling = maps[:, 1, 2] < 0
        if falling.any() and not falling.all():
            raise GeometryError("Detector rows rise toward the head in some views and toward the feet in others.")
        curve = geometry.columns_per_radian
        factors, words = diverging_factors(geometry, column_angles(geometry), limited_angle=limited_angle)
        beside = mirrored_columns(axis_column(geometry), geometry.column_count) if words == OFFSET else (0, 0)
        radians = 1 / curve if curve else 0.0
        packed = PackedFilter.of(chosen.matrix(geometry.column_count, radians_per_column=radians, beside=beside))
        spacing = geometry.column_spacing_mm * geometry.depths_at_origin_mm() / geometry.frames[3]
        reverse = bool(falling.all())
        if reverse:
            # Row r becomes rows - 1 - r: from the centre, its negative.
            maps[:, 1] *= -1.0
        weights = (factors / spacing[:, None]).astype(np.float32)
        return cls(geometry, grid, packed, maps, reverse, ray_cosines(geometry), weights, beside[0])

    @property
    def center(self) -> tuple[float, float]:
        """Detector index of the centre, (column, row), the zeros around a view counted."""
        row, column = self.geometry.center
        if self.reverse:
            row = self.geometry.row_count - 1 - row
        return column + self.before + ramp.COLUMNS_BEFORE, row + ramp.ROWS_BEFORE

    def filtered(
        self, values: NDArray[np.float32], which: NDArray[np.intp], out: NDArray[np.float32], watch: Watch
    ) -> None:
        """Filter some of the views into ``out``."""
        for start, stop in _runs(which):
            views = slice(int(which[start]), int(which[start]) + stop - start)
            filter_views(
                values[views], out[start:stop], self.packed, factors=self.factors[views], reverse=self.reverse,
                cosines=self.cosines[views] if self.cosines.ndim == 3 else self.cosines, watch=watch,
            )  # fmt: skip


def _runs(which: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Parts of a list of views that follow each other: these are filtered where they lie, without a copy."""
    breaks = np.flatnonzero(np.diff(which) != 1) + 1
    ends = [0, *breaks.tolist(), which.size]
    return list(itertools.pairwise(ends))


def column_angles(geometry: ConeGeometry) -> NDArray[np.float64]:
    """(columns,) between each column's ray of the first view and the one through the axis, seen along the axis."""
    row = geometry.row_count // 2
    direction = geometry.rays(0)[1][row]
    heading = np.arctan2(direction[:, 1], direction[:, 0])
    angles: NDArray[np.float64] = np.mod(geometry.angles[0] - heading, 2 * np.pi) - np.pi
    return angles


def axis_column(geometry: ConeGeometry) -> float:
    """The detector column, not always a whole one, that the isocentre is projected to in the first view."""
    n, _, w = geometry.maps()[0] @ [0.0, 0.0, 0.0, 1.0]
    curve = geometry.columns_per_radian
    return float(np.arctan(n / w) * curve if curve else n / w) + geometry.center[1]


def ray_cosines(geometry: ConeGeometry) -> NDArray[np.float32]:
    """Cosine between each ray and the detector's normal, float32; (rows, columns) where all views share them."""
    e, g, _, depth = geometry.frames
    between = np.asarray(geometry.detector_lps) - np.asarray(geometry.source_lps)
    feet = np.stack([(between * e).sum(1), (between * g).sum(1), depth], axis=1)
    own = [0] if np.ptp(feet, axis=0).max() < 1e-6 * depth.max() else range(len(feet))
    row = (np.arange(geometry.row_count) - geometry.center[0]) * geometry.row_spacing_mm
    column = (np.arange(geometry.column_count) - geometry.center[1]) * geometry.column_spacing_mm
    stacked = []
    for view in own:
        across, up, far = feet[view]
        if geometry.curved:
            whole = np.cos(column / far)[None, :] * (far / np.hypot(far, row))[:, None]
        else:
            whole = far / np.sqrt(far**2 + (column + across)[None, :] ** 2 + (row + up)[:, None] ** 2)
        stacked.append(whole.astype(np.float32))
    return stacked[0] if len(stacked) == 1 else np.stack(stacked)
