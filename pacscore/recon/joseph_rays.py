"""Rays in planes as the tables that Joseph's kernels take, and running these; ``Projector`` is the entry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import joseph
from pacscore.recon.geometries import ParallelGeometry, Planar
from pacscore.recon.grids import Grid
from pacscore.recon.planar_backprojection import planar_maps

_LANES_MAX, _TILE, _VIEWS = 32, 32, 16
_MARGIN = 1e-4

Array = NDArray[np.float32]
Chosen = NDArray[np.intp] | None
Layout = tuple[tuple[int, int, int, int], NDArray[np.int64], tuple[float, float, float]]
"""A native volume as (chunks, n0, n1, n2); where its voxels begin and end along the last three, (3, 2); and their
spacing in mm along these, 0 where neighbours along an axis do not belong together."""


def marched_spans(
    a: NDArray[np.float64], b: NDArray[np.float64], rows: NDArray[np.bool_], grid: Grid
) -> NDArray[np.int32]:
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
        self._steps = grid.steps_mm[1:].tolist()
        self.volume_shape: tuple[int, ...] = (chunks, self._rows + 2, self._width + 2, lanes)
        self.projection_shape: tuple[int, ...] = (chunks, self._views + 1, columns, lanes)
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

    def layout(self) -> Layout:
        """Slices have neighbours within their plane only."""
        chunks, rows, width, lanes = self.volume_shape
        box = np.array([[1, rows - 1], [1, width - 1], [0, lanes]])
        return (chunks, rows, width, lanes), box, (self._steps[0], self._steps[1], 0.0)

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
                    projections[chunk], self._lines, self._marched, self._maps, order, self._taps, tile, places,
                    numbers, out[chunk],
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
