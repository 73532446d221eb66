"""Tilted detectors made upright: projections as a detector about the same source would have them, rows along z."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels.resample_views import resample_view_into
from pacscore.recon.cone_geometries import ConeGeometry

_TILT_MAX = 1e-6


def is_upright(geometry: ConeGeometry) -> bool:
    """Whether the rows of all views run along z, and columns perpendicular to it."""
    e, g = geometry.frames[:2]
    return bool(np.abs(g[:, :2]).max() < _TILT_MAX and np.abs(e[:, 2]).max() < _TILT_MAX)


def upright(geometry: ConeGeometry) -> ConeGeometry:
    """Upright detectors that cover the tilted ones of a geometry, pixels as large.

    Raises
    ------
    GeometryError
        A detector lies so flat that no upright one sees what it does.
    """
    e, g, normal, _ = geometry.frames
    level = normal * np.array([1.0, 1.0, 0.0])
    length = np.linalg.norm(level, axis=1)
    if (length < 0.5).any():
        raise GeometryError("A detector is tilted by more than 60° from the axis of rotation.")
    up = np.broadcast_to([0.0, 0.0, 1.0], e.shape)
    across = np.cross(up, level / length[:, None])
    sign = np.where((across * e).sum(1) < 0, -1.0, 1.0)[:, None]
    rising = np.where((g[:, 2] < 0).all(), -1.0, 1.0)
    wanted = ConeGeometry(
        geometry.source_lps, geometry.detector_lps, across * sign, up * rising, geometry.row_count,
        geometry.column_count, geometry.row_spacing_mm, geometry.column_spacing_mm, geometry.center_row,
        geometry.center_column,
    )  # fmt: skip
    corners = np.concatenate([_on_detector(wanted, view, _corners(geometry, view)) for view in range(e.shape[0])])
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    row, column = wanted.center
    return ConeGeometry(
        wanted.source_lps, wanted.detector_lps, wanted.column_direction, wanted.row_direction,
        int(high[1] - low[1] + 1), int(high[0] - low[0] + 1), geometry.row_spacing_mm, geometry.column_spacing_mm,
        row - low[1], column - low[0],
    )  # fmt: skip


def upright_projections(
    values: NDArray[np.float32], geometry: ConeGeometry, target: ConeGeometry, *, watch: Watch = UNWATCHED
) -> tuple[ConeGeometry, NDArray[np.float32]]:
    """The target, and what its detectors would have measured: bilinear, 0 where the measured ones did not reach.

    Raises
    ------
    GeometryError
        The measured detectors are cylindrical, whose tilt is not treated.
    """
    if geometry.curved:
        raise GeometryError("A cylindrical detector that is tilted cannot be resampled here: use an iterative method.")
    result = np.zeros(target.shape, np.float32)

    def run(start: int, stop: int) -> None:
        for view in range(start, stop):
            resample_view_into(values[view], _homography(target, geometry, view), result[view])

    watch.run("resampling", run, target.shape[0], tile=4)
    return target, result


def _homography(source: ConeGeometry, target: ConeGeometry, view: int) -> NDArray[np.float64]:
    """(3, 3) from (column, row, 1) of one detector to (column, row) times depth of another, about one focal spot."""
    e, g = source.frames[0][view], source.frames[1][view]
    row, column = source.center
    between = (np.asarray(source.detector_lps) - np.asarray(source.source_lps))[view]
    toward = np.stack([e * source.column_spacing_mm, g * source.row_spacing_mm, between], axis=1)
    toward[:, 2] -= toward[:, 0] * column + toward[:, 1] * row
    part = target.maps()[view, :, :3] if target.shape[0] == 1 else target.views(slice(view, view + 1)).maps()[0, :, :3]
    result: NDArray[np.float64] = part @ toward
    result[0] += target.center[1] * result[2]
    result[1] += target.center[0] * result[2]
    return result


def _corners(geometry: ConeGeometry, view: int) -> NDArray[np.float64]:
    """(4, 3) from the focal spot to the corners of the detector."""
    e, g = geometry.frames[0][view], geometry.frames[1][view]
    between = (np.asarray(geometry.detector_lps) - np.asarray(geometry.source_lps))[view]
    row, column = geometry.center
    ends = [(c, r) for c in (0, geometry.column_count - 1) for r in (0, geometry.row_count - 1)]
    return np.array(
        [between + e * (c - column) * geometry.column_spacing_mm + g * (r - row) * geometry.row_spacing_mm
         for c, r in ends]
    )  # fmt: skip


def _on_detector(geometry: ConeGeometry, view: int, toward: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) column and row at which directions from the focal spot meet a detector."""
    places = toward @ geometry.views(slice(view, view + 1)).maps()[0, :, :3].T
    row, column = geometry.center
    return np.stack([places[:, 0] / places[:, 2] + column, places[:, 1] / places[:, 2] + row], axis=1)
