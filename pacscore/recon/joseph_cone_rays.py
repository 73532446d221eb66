"""Cone beams as the tables that Joseph's kernels take, and running these; ``Projector`` is the entry."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import joseph_cone, joseph_tilted
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.grids import Grid
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.joseph_rays import Array, Chosen, Layout, marched_spans
from pacscore.recon.planar_backprojection import refuse_sources
from pacscore.recon.upright import is_upright

_PLANES = 16


class March(Protocol):
    """A way to run kernels on native arrays."""

    def forward(self, volume: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Put line integrals of some views into ``out``."""
        ...

    def adjoint(self, projections: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Add the adjoint of some views to ``out``."""
        ...


class ConeRays:
    """Cone beams; where detector rows run along the slices of the grid, the rays of a column share their work.

    Native volumes are (rows, columns, slices + 24), projections (views, columns, rows + 16). The focal spot of a helix
    may fly.
    """

    def __init__(self, geometry: ConeGeometry | HelicalGeometry, grid: Grid) -> None:
        about_spots = geometry.cone(about_spots=True) if isinstance(geometry, HelicalGeometry) else geometry
        affine = grid.index_to_lps
        across, up = np.abs(affine[:2, 0]).max(), np.abs(affine[2, 1:3]).max()
        refuse_sources((about_spots.maps() @ grid.column_first)[:, 2], grid)
        self._grid, self._geometry = grid, geometry
        slices, rows, width = grid.shape
        depth = joseph_cone.SLICES_BEFORE + slices + joseph_cone.SLICES_AFTER
        self.volume_shape: tuple[int, ...] = (rows, width, depth)
        padded = geometry.row_count + joseph_cone.ROWS_AFTER
        self.projection_shape: tuple[int, ...] = (geometry.shape[0], geometry.column_count, padded)
        upright = max(across, up) < 1e-6 and is_upright(about_spots)
        self._march: March = UprightMarch(geometry, grid) if upright else TiltedMarch(geometry, grid)

    def _inner(self, native: Array) -> Array:
        first = joseph_cone.SLICES_BEFORE
        return native[:, :, first : first + self._grid.shape[0]].transpose(2, 0, 1)

    def put_volume(self, volume: NDArray[np.generic], native: Array) -> None:
        """Fill a native volume from (slices, rows, columns)."""
        self._inner(native)[:] = volume

    def put_projections(self, projections: NDArray[np.generic], native: Array) -> None:
        """Fill native projections from (views, rows, columns)."""
        native[:, :, : self._geometry.row_count] = projections.transpose(0, 2, 1)

    def volume_of(self, native: Array) -> Array:
        """(slices, rows, columns) of a native volume, C order."""
        return np.ascontiguousarray(self._inner(native))

    def projections_of(self, native: Array) -> Array:
        """(views, rows, columns) of native projections, C order."""
        return np.ascontiguousarray(native[:, :, : self._geometry.row_count].transpose(0, 2, 1))

    def layout(self) -> Layout:
        """Neighbours in all three directions."""
        rows, width, depth = self.volume_shape
        first = joseph_cone.SLICES_BEFORE
        box = np.array([[0, rows], [0, width], [first, first + self._grid.shape[0]]])
        slices_mm, rows_mm, columns_mm = self._grid.steps_mm.tolist()
        return (1, rows, width, depth), box, (rows_mm, columns_mm, slices_mm)

    def forward(self, volume: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put line integrals into ``out``."""
        order = np.arange(out.shape[0]) if views is None else np.asarray(views, np.int64)
        self._march.forward(volume, out, order, watch)

    def adjoint(self, projections: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put the adjoint into ``out``."""
        order = np.arange(projections.shape[0]) if views is None else np.asarray(views, np.int64)
        out[:] = 0.0
        self._march.adjoint(projections, out, order, watch)
        # What lies half a voxel beyond the outermost slices belongs to no voxel.
        out[:, :, : joseph_cone.SLICES_BEFORE] = 0.0
        out[:, :, joseph_cone.SLICES_BEFORE + self._grid.shape[0] :] = 0.0


class UprightMarch:
    """Detector rows along the slices: ``kernels/joseph_cone.py``."""

    def __init__(self, geometry: ConeGeometry | HelicalGeometry, grid: Grid) -> None:
        self._lines, self._heights, self._spans, self._lengths = _cone_tables(geometry, grid)

    def forward(self, volume: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Put line integrals of some views into ``out``."""

        def run(start: int, stop: int) -> None:
            line = np.zeros(volume.shape[2] + 64, np.float32)
            part = order[start:stop]
            out[part] = 0.0
            joseph_cone.forward_columns_into(
                volume, self._lines, self._heights, self._spans, self._lengths, part, line, out
            )

        watch.run("projecting", run, order.size, tile=2)

    def adjoint(self, projections: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Add the adjoint of some views to ``out``."""
        for marched, length in ((True, out.shape[0]), (False, out.shape[1])):

            def run(start: int, stop: int, marched: bool = marched) -> None:
                scratch = np.zeros((2, out.shape[2] + 64), np.float32)
                joseph_cone.adjoint_planes_into(
                    projections, self._lines, self._heights, self._spans, self._lengths, order, (start, stop), marched,
                    scratch, out,
                )  # fmt: skip

            watch.run("backprojecting", run, length, tile=_PLANES)


class TiltedMarch:
    """Detectors or grids tilted against each other: ``kernels/joseph_tilted.py``."""

    def __init__(self, geometry: ConeGeometry | HelicalGeometry, grid: Grid) -> None:
        to_index = np.linalg.inv(grid.index_to_lps)[:3]
        source, level, row_step = _columns_seen(geometry)
        first = level - (geometry.center[0] * row_step)[:, None]
        self._shape = grid.shape
        self._tables = (
            source @ to_index[:, :3].T + to_index[:, 3], first @ to_index[:, :3].T, row_step @ to_index[:, :3].T,
            grid.steps_mm,
        )  # fmt: skip

    def forward(self, volume: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Put line integrals of some views into ``out``."""

        def run(start: int, stop: int) -> None:
            joseph_tilted.forward_rays_into(volume, *self._tables, order[start:stop], out)

        watch.run("projecting", run, order.size, tile=2)

    def adjoint(self, projections: Array, out: Array, order: NDArray[np.int64], watch: Watch) -> None:
        """Add the adjoint of some views to ``out``."""
        for axis, length in enumerate(self._shape):

            def run(start: int, stop: int, axis: int = axis) -> None:
                joseph_tilted.adjoint_rays_into(projections, *self._tables, order, (start, stop), axis, out)

            watch.run("backprojecting", run, length, tile=_PLANES)


def _columns_seen(
    geometry: ConeGeometry | HelicalGeometry,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(views, 3) sources, (views, columns, 3) from there to the central row of a column, (views, 3) from row to row."""
    if isinstance(geometry, HelicalGeometry):
        spots, level = geometry.columns_seen()
        return spots, level, np.tile([0.0, 0.0, geometry.row_spacing_mm], (len(spots), 1))
    e, g, normal, depth = geometry.frames
    source = np.asarray(geometry.source_lps)
    across = (np.arange(geometry.column_count) - geometry.center[1]) * geometry.column_spacing_mm
    if not geometry.curved:
        foot = np.asarray(geometry.detector_lps) - source
        return source, foot[:, None] + across[None, :, None] * e[:, None], g * geometry.row_spacing_mm
    turn = across[None] / depth[:, None]
    level = depth[:, None, None] * (np.cos(turn)[..., None] * normal[:, None] + np.sin(turn)[..., None] * e[:, None])
    return source, level, g * geometry.row_spacing_mm


def _cone_tables(
    geometry: ConeGeometry | HelicalGeometry, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], Array]:
    """``lines``, ``heights``, ``spans`` and ``lengths`` of ``kernels/joseph_cone.py``."""
    to_index = np.linalg.inv(grid.index_to_lps)[:3]
    source, level, row_steps = _columns_seen(geometry)
    rise, row_step, row = level[:, 0, 2], row_steps[:, 2], geometry.center[0]
    steps = (level[..., :2] @ to_index[:, :2].T)[..., 1:3]
    start = (source @ to_index[:, :3].T + to_index[:, 3])[:, None, :]
    rows = np.abs(steps[..., 0]) >= np.abs(steps[..., 1])
    march, side = np.where(rows, steps[..., 0], steps[..., 1]), np.where(rows, steps[..., 1], steps[..., 0])
    from_march, from_side = np.where(rows, start[..., 1], start[..., 2]), np.where(rows, start[..., 2], start[..., 1])
    a = side / march
    lines = np.stack([a, from_side - a * from_march, 1 / march, -from_march / march], axis=-1)
    per_mm = to_index[0, 2]
    heights = np.stack([start[:, 0, 0], (rise - row * row_step) * per_mm, row_step * per_mm], axis=1)
    spans = marched_spans(a, lines[..., 1], rows, grid)
    flat = np.hypot(level[..., 0], level[..., 1])
    upward = rise[:, None] + (np.arange(geometry.row_count) - row) * row_step[:, None]
    same = np.ptp(flat, axis=0).max() < 1e-5 and np.ptp(upward, axis=0).max() < 1e-5
    chosen = slice(0, 1) if same else slice(None)
    lengths = np.hypot(flat[chosen, :, None], upward[chosen, None, :]).astype(np.float32)
    return lines, heights, spans, lengths
