"""Rays of a geometry as the tables that Joseph's kernels take, and running these; ``Projector`` is the entry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import joseph, joseph_cone
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.fbp import planar_maps, refuse_sources
from pacscore.recon.geometries import ParallelGeometry, Planar
from pacscore.recon.grids import Grid

_LANES_MAX, _TILE, _PLANES, _VIEWS = 32, 32, 16, 16
_MARGIN = 1e-4

Array = NDArray[np.float32]
Chosen = NDArray[np.intp] | None


def marched_spans(a: NDArray[np.float64], b: NDArray[np.float64], rows: NDArray[np.bool_], grid: Grid) -> NDArray[np.int32]:
    """(views, columns, 3) int32: march indices at which ``a p + b`` lies within a pixel of the grid, and the axis."""
    length = np.where(rows, grid.shape[1], grid.shape[2])
    across = np.where(rows, grid.shape[2], grid.shape[1])
    low, high = -1.0 + _MARGIN, across - _MARGIN
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = (low - b) / a, (high - b) / a
    flat = np.abs(a) < 1e-12
    inside = (b > low) & (b < high)
    start = np.where(flat, np.where(inside, 0.0, 1.0), np.ceil(np.minimum(first, second)))
    stop = np.where(flat, np.where(inside, length, 0.0), np.floor(np.maximum(first, second)) + 1)
    start, stop = np.clip(start, 0, length), np.clip(stop, 0, length)
    return np.stack([start, np.maximum(start, stop), rows], axis=-1).astype(np.int32)


class PlanarRays:
    """Parallel beams and fans: slices are lanes, by up to 32 in a chunk.

    Native volumes are (chunks, rows + 2, columns + 2, lanes), projections (chunks, views + 1, columns, lanes): the last
    view holds zeros, for where the adjoint takes two views and one is left.
    """

    def __init__(self, geometry: Planar, grid: Grid) -> None:
        maps = planar_maps(geometry, grid)
        heights = grid.index_to_lps[2, 0] * np.arange(grid.shape[0]) + grid.index_to_lps[2, 3]
        rows = (heights - geometry.row_positions_mm[0]) / geometry.row_spacing_mm
        if grid.shape[0] != geometry.row_count or np.abs(rows - np.arange(rows.size)).max() > 1e-3:
            raise InputError(
                "A projector of parallel beams or fans needs a slice for each detector row, at its height: "
                "recon.planar_grid(geometry) gives such a grid.",
                expected=geometry.row_count,
                found=grid.shape[0],
            )
        self._views, self._slices, columns = geometry.shape
        chunks = -(-self._slices // _LANES_MAX)
        lanes = -(-self._slices // (8 * chunks)) * 8
        self._rows, self._width = grid.shape[1:]
        self.volume_shape = (chunks, self._rows + 2, self._width + 2, lanes)
        self.projection_shape = (chunks, self._views + 1, columns, lanes)
        self._lines, self._spans = _planar_tables(geometry, grid)
        self._marched = np.ascontiguousarray(self._spans[:, :, 2])
        self._maps, self._taps = _pixel_maps(geometry, grid, maps)

    def _chunks(self) -> list[tuple[int, slice, int]]:
        """Number, slices, and how many lanes they fill."""
        lanes = self.volume_shape[3]
        starts = range(0, self._slices, lanes)
        return [(n, slice(s, min(self._slices, s + lanes)), min(lanes, self._slices - s)) for n, s in enumerate(starts)]

    def put_volume(self, volume: NDArray[np.generic], native: Array) -> None:
        """Fill a native volume from (slices, rows, columns)."""
        for number, part, lanes in self._chunks():
            native[number, 1:-1, 1:-1, :lanes] = volume[part].transpose(1, 2, 0)

    def put_projections(self, projections: NDArray[np.generic], native: Array) -> None:
        """Fill native projections from (views, rows, columns)."""
        for number, part, lanes in self._chunks():
            native[number, :-1, :, :lanes] = projections[:, part].transpose(0, 2, 1)

    def volume_of(self, native: Array) -> Array:
        """(slices, rows, columns) of a native volume, C order."""
        result = np.empty((self._slices, self._rows, self._width), np.float32)
        for number, part, lanes in self._chunks():
            result[part] = native[number, 1:-1, 1:-1, :lanes].transpose(2, 0, 1)
        return result

    def projections_of(self, native: Array) -> Array:
        """(views, rows, columns) of native projections, C order."""
        result = np.empty((self._views, self._slices, native.shape[2]), np.float32)
        for number, part, lanes in self._chunks():
            result[:, part] = native[number, :-1, :, :lanes].transpose(0, 2, 1)
        return result

    def forward(self, volume: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put line integrals into ``out``."""
        order = np.arange(self._views) if views is None else np.asarray(views, np.int64)
        chunks = volume.shape[0]
        blocks = -(-order.size // _VIEWS)

        def run(start: int, stop: int) -> None:
            for job in range(start, stop):
                chunk, block = divmod(job, blocks)
                part = order[block * _VIEWS : (block + 1) * _VIEWS]
                out[chunk, part] = 0.0
                joseph.forward_rays_into(volume[chunk], self._lines, self._spans, part, out[chunk])

        watch.run("projecting", run, chunks * blocks)

    def adjoint(self, projections: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put the adjoint into ``out``."""
        order = np.arange(self._views) if views is None else np.asarray(views, np.int64)
        if order.size % 2:
            order = np.append(order, self._views)
        tiles = [(y, min(self._rows, y + _TILE), x, min(self._width, x + _TILE))
                 for y in range(0, self._rows, _TILE) for x in range(0, self._width, _TILE)]  # fmt: skip

        def run(start: int, stop: int) -> None:
            for job in range(start, stop):
                chunk, number = divmod(job, len(tiles))
                tile = tiles[number]
                out[chunk, tile[0] + 1 : tile[1] + 1, tile[2] + 1 : tile[3] + 1] = 0.0
                places, numbers = np.empty((2, 2, _TILE), np.int32), np.empty((2, 2, _TILE), np.float32)
                joseph.adjoint_tile_into(
                    projections[chunk], self._lines, self._marched, self._maps, order, self._taps, tile, places, numbers,
                    out[chunk],
                )  # fmt: skip

        watch.run("backprojecting", run, projections.shape[0] * len(tiles))


def _planar_tables(geometry: Planar, grid: Grid) -> tuple[Array, NDArray[np.int32]]:
    """``lines`` and ``spans`` of ``kernels/joseph.py``, with a view of zeros at the end."""
    to_index = np.linalg.inv(grid.index_to_lps)[1:3]
    views, _, columns = geometry.shape
    lines, spans = np.zeros((views + 1, columns, 3)), np.zeros((views + 1, columns, 3), np.int32)
    for view in range(views):
        points, directions = (each[0] for each in geometry.rays(view))
        row, column = to_index[:, :3] @ points.T + to_index[:, 3:]
        along_row, along_column = to_index[:, :3] @ directions.T
        rows = np.abs(along_row) >= np.abs(along_column)
        march, across = np.where(rows, along_row, along_column), np.where(rows, along_column, along_row)
        at_march, at_across = np.where(rows, row, column), np.where(rows, column, row)
        a = across / march
        lines[view] = np.stack([a, at_across - a * at_march, 1 / np.abs(march)], axis=1)
        spans[view] = marched_spans(a, lines[view, :, 1], rows, grid)
    return lines.astype(np.float32), spans


def _pixel_maps(geometry: Planar, grid: Grid, maps: NDArray[np.float64]) -> tuple[Array, int]:
    """What ``kernels/joseph.py`` needs to find the rays of a pixel, and how many may cover one."""
    result = np.zeros((geometry.shape[0] + 1, 9))
    result[:-1, :6] = maps.reshape(-1, 6)
    result[-1, 5] = 1.0
    result[:, 6], result[:, 8] = geometry.columns_per_radian, geometry.center
    if isinstance(geometry, ParallelGeometry):
        reach = np.abs(maps[:, 0, :2]).max(axis=1)
        result[:-1, 7], result[-1, 7] = 1 / reach, 1.0
        widest = float(reach.max())
    else:
        widest = 0.0
        for x in (0.0, grid.shape[2] - 1.0):
            for y in (0.0, grid.shape[1] - 1.0):
                around = np.array([[x, y, 1], [x + 1, y, 1], [x - 1, y, 1], [x, y + 1, 1], [x, y - 1, 1]])
                n, w = (maps @ around.T).transpose(1, 0, 2)
                at = np.arctan(n / w) * geometry.columns_per_radian if geometry.curved else n / w
                widest = max(widest, float(np.abs(at[:, 1:] - at[:, :1]).max()))
    return result.astype(np.float32), 2 * max(1, int(np.ceil(widest - 1e-5)))


class ConeRays:
    """Cone beams whose detector rows run along the slices.

    Native volumes are (rows, columns, slices + 24), projections (views, columns, rows + 16).
    """

    def __init__(self, geometry: ConeGeometry, grid: Grid) -> None:
        affine = grid.index_to_lps
        if np.abs(affine[:2, 0]).max() > 1e-6 or np.abs(affine[2, 1:3]).max() > 1e-6:
            raise GeometryError("Slices of the grid must follow the detector rows: the grid is tilted against them.")
        maps = geometry.maps() @ grid.column_first
        refuse_sources(maps[:, 2][:, [0, 1, 3]], grid)
        self._grid, self._geometry = grid, geometry
        slices, rows, width = grid.shape
        self.volume_shape = (rows, width, joseph_cone.SLICES_BEFORE + slices + joseph_cone.SLICES_AFTER)
        views = geometry.shape[0]
        self.projection_shape = (views, geometry.column_count, geometry.row_count + joseph_cone.ROWS_AFTER)
        self._lines, self._heights, self._spans, self._lengths = _cone_tables(geometry, grid)

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

    def forward(self, volume: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put line integrals into ``out``."""
        order = np.arange(out.shape[0]) if views is None else np.asarray(views, np.int64)

        def run(start: int, stop: int) -> None:
            line = np.zeros(volume.shape[2] + 64, np.float32)
            part = order[start:stop]
            out[part] = 0.0
            joseph_cone.forward_columns_into(
                volume, self._lines, self._heights, self._spans, self._lengths, part, line, out
            )

        watch.run("projecting", run, order.size, tile=2)

    def adjoint(self, projections: Array, out: Array, views: Chosen, watch: Watch) -> None:
        """Put the adjoint into ``out``."""
        order = np.arange(projections.shape[0]) if views is None else np.asarray(views, np.int64)
        out[:] = 0.0
        for marched, length in ((True, out.shape[0]), (False, out.shape[1])):

            def run(start: int, stop: int, marched: bool = marched) -> None:
                scratch = np.zeros((2, out.shape[2] + 64), np.float32)
                joseph_cone.adjoint_planes_into(
                    projections, self._lines, self._heights, self._spans, self._lengths, order, (start, stop), marched,
                    scratch, out,
                )  # fmt: skip

            watch.run("backprojecting", run, length, tile=_PLANES)
        # What lies half a voxel beyond the outermost slices belongs to no voxel.
        out[:, :, : joseph_cone.SLICES_BEFORE] = 0.0
        out[:, :, joseph_cone.SLICES_BEFORE + self._grid.shape[0] :] = 0.0


def _cone_tables(
    geometry: ConeGeometry, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], Array]:
    """``lines``, ``heights``, ``spans`` and ``lengths`` of ``kernels/joseph_cone.py``."""
    to_index = np.linalg.inv(grid.index_to_lps)[:3]
    e, g, normal, depth = geometry.frames
    source = np.asarray(geometry.source_lps)
    foot = np.asarray(geometry.detector_lps) - source
    row, _ = geometry.center
    across = (np.arange(geometry.column_count) - geometry.center[1]) * geometry.column_spacing_mm
    if geometry.curved:
        turn = across[None] / depth[:, None]
        level = depth[:, None, None] * (np.cos(turn)[..., None] * normal[:, None] + np.sin(turn)[..., None] * e[:, None])
        rise = np.zeros(depth.size)
    else:
        level = foot[:, None] + across[None, :, None] * e[:, None]
        rise = foot[:, 2]
    steps = (level[..., :2] @ to_index[:, :2].T)[..., 1:3]
    start = (source @ to_index[:, :3].T + to_index[:, 3])[:, None, :]
    rows = np.abs(steps[..., 0]) >= np.abs(steps[..., 1])
    march, side = np.where(rows, steps[..., 0], steps[..., 1]), np.where(rows, steps[..., 1], steps[..., 0])
    from_march, from_side = np.where(rows, start[..., 1], start[..., 2]), np.where(rows, start[..., 2], start[..., 1])
    a = side / march
    lines = np.stack([a, from_side - a * from_march, 1 / march, -from_march / march], axis=-1)
    per_mm = to_index[0, 2]
    row_step = g[:, 2] * geometry.row_spacing_mm
    heights = np.stack([start[:, 0, 0], (rise - row * row_step) * per_mm, row_step * per_mm], axis=1)
    spans = marched_spans(a, lines[..., 1], rows, grid)
    flat = np.hypot(level[..., 0], level[..., 1])
    upward = rise[:, None] + (np.arange(geometry.row_count) - row) * row_step[:, None]
    same = np.ptp(flat, axis=0).max() < 1e-5 and np.ptp(upward, axis=0).max() < 1e-5
    chosen = slice(0, 1) if same else slice(None)
    lengths = np.hypot(flat[chosen, :, None], upward[chosen, None, :]).astype(np.float32)
    return lines, heights, spans, lengths
