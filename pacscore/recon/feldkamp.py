"""Cone beams reconstructed by the algorithm of Feldkamp, Davis and Kress (1984, J. Opt. Soc. Am. A 1(6)).

D1  Views are weighted, filtered and backprojected by batches, so that beside projections and result only a tenth of
    both is needed.
D2  Backprojection needs detector rows along the slices of the grid. Tilted detectors are resampled once to upright ones
    about the same source (``upright``), linearly.
D3  Where views repeat after a quarter turn and the grid is square about the axis, four voxels share their work
    (``kernels/backproject_quarters.py``); the result is the same up to rounding.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import backproject, backproject_quarters, ramp
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.filtering import Filter, PackedFilter, filter_views, padded_rows
from pacscore.recon.geometries import check_projections
from pacscore.recon.grids import Grid
from pacscore.recon.planar_backprojection import refuse_sources
from pacscore.recon.redundancy import OFFSET, diverging_factors, mirrored_columns
from pacscore.recon.upright import is_upright, upright, upright_projections

_SLICES = 256
_TILE, _QUARTER_TILE = 32, 16
_MEMORY_PART = 0.06


def cone_grid(geometry: ConeGeometry, *, spacing_mm: float | None = None) -> Grid:
    """A cubic grid about the isocentre that the whole detector sees, voxels as large as pixels at the axis."""
    magnified = float((geometry.frames[3] / geometry.depths_at_origin_mm()).mean())
    step = geometry.column_spacing_mm / magnified if spacing_mm is None else spacing_mm
    count = max(1, int(geometry.column_count * geometry.column_spacing_mm / magnified / step))
    slices = max(1, int(geometry.row_count * geometry.row_spacing_mm / magnified / step))
    return Grid((slices, count, count), step)


def fdk(
    projections: NDArray[np.generic],
    geometry: ConeGeometry,
    grid: Grid | None = None,
    *,
    filter: Filter | str = "ramp",
    limited_angle: bool = False,
    symmetric: bool = True,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Reconstruct a volume from cone-beam projections of a circular scan.

    Parameters
    ----------
    projections : (views, rows, columns) array
        Line integrals, any real dtype.
    geometry : ConeGeometry
        Full or short scan, flat or cylindrical detector, set off or not: redundant rays are weighted by themselves.
    grid : Grid, optional
        Slices along the detector rows; by default ``cone_grid``.
    filter : Filter or str
    limited_angle : bool
        Take an arc that is too short as it is.
    symmetric : bool
        Use the faster way where views and grid allow it (D3).
    out : NDArray of float32, optional
        Where to put the result.
    watch : Watch
        Progress in the phases ``filtering`` and ``backprojecting``, which come by turns, and cancellation.

    Returns
    -------
    NDArray of float32
        (slices, rows, columns) of the grid, 1/mm where projections are dimensionless.

    Raises
    ------
    InputError
        The projections do not fit the geometry.
    GeometryError
        The arc is too short, the detector set off in a short scan, the grid tilted or too large.
    CancelledError
        ``watch`` was cancelled.

    Notes
    -----
    Exact in the plane of the source; away from it the cone's artefacts remain. Memory: projections, result, and a tenth
    of both (D1); a tilted detector needs its projections twice.
    """
    chosen = filter if isinstance(filter, Filter) else Filter(filter)
    values = check_projections(projections, geometry.shape)
    if not is_upright(geometry):
        geometry, values = upright_projections(values, geometry, upright(geometry), watch=watch)
    target = cone_grid(geometry) if grid is None else grid
    scan = Scan.of(geometry, target, chosen, limited_angle=limited_angle)
    result = output_array(out, target.shape, np.dtype(np.float32))
    result[:] = 0.0
    quarters = scan.quarters() if symmetric else None
    if quarters is None:
        _by_views(values, scan, result, watch)
    else:
        _by_quarters(values, scan, quarters, result, watch)
    return result


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
        refuse_sources(maps[:, 2][:, [0, 1, 3]], grid)
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

    def view_bytes(self) -> int:
        """Of a filtered view."""
        return 4 * (self.packed.outputs + 2) * padded_rows(self.geometry.row_count)

    def batch(self, values: NDArray[np.float32], unit: int) -> int:
        """How many views are filtered at once, a multiple of ``unit`` (D1)."""
        spare = _MEMORY_PART * (values.nbytes + 4 * np.prod(self.grid.shape))
        return max(1, int(spare / self.view_bytes() / unit)) * unit

    def quarters(self) -> NDArray[np.intp] | None:
        """(4, sets) the views a quarter turn apart, or None where these do not share their work (D3)."""
        views, (_, rows, columns) = self.geometry.shape[0], self.grid.shape
        if views % 4 or rows != columns or rows % 2:
            return None
        sets = np.arange(views).reshape(4, -1)
        # The voxel at (column, row) comes to (rows - 1 - row, column) by a quarter turn.
        turn = np.array([[0.0, -1, 0, rows - 1], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        same = all(
            np.allclose(self.maps[np.roll(sets, -1, axis=0)[k]] @ turn, self.maps[sets[k]], atol=1e-6, rtol=1e-6)
            for k in range(4)
        )
        return sets if same and self.cosines.ndim == 2 else None


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


def _tiles(grid: Grid, rows: int, columns: int, tile: int) -> list[tuple[int, ...]]:
    steps = [(0, grid.shape[0], _SLICES), (0, rows, tile), (0, columns, tile)]
    spans = [[(start, min(end, start + step)) for start in range(first, end, step)] for first, end, step in steps]
    return [(*z, *y, *x) for z in spans[0] for y in spans[1] for x in spans[2]]


def _scratch(scan: Scan, tile: tuple[int, ...], lanes: int) -> tuple[Any, ...]:
    slices, rows, columns = tile[1] - tile[0], tile[3] - tile[2], tile[5] - tile[4]
    wide = -(-columns // 8) * 8
    return (
        np.empty((rows, columns, lanes * slices), np.float32),
        np.zeros(lanes * (scan.geometry.row_count + 64), np.float32),
        np.empty((3, wide), np.int32),
        np.empty((4, wide), np.float32),
    )


def _by_views(values: NDArray[np.float32], scan: Scan, result: NDArray[np.float32], watch: Watch) -> None:
    views, rows, _ = values.shape
    batch = min(views, scan.batch(values, backproject.VIEWS_AT_ONCE))
    filtered = np.zeros((batch, scan.packed.outputs + 2, padded_rows(rows)), np.float32)
    for first in range(0, views, batch):
        which = np.arange(first, min(views, first + batch))
        scan.filtered(values, which, filtered, watch)
        backproject_views(filtered[: which.size], scan, which, result, watch=watch)


def backproject_views(
    filtered: NDArray[np.float32],
    scan: Scan,
    which: NDArray[np.intp],
    result: NDArray[np.float32],
    *,
    watch: Watch = UNWATCHED,
) -> None:
    """Add filtered views (views, columns + 2, rows + 20) to a volume; ``which`` says which of the scan they are."""
    tiles = _tiles(scan.grid, *scan.grid.shape[1:], _TILE)
    maps, curve = scan.maps[which].astype(np.float32), scan.geometry.columns_per_radian

    def run(start: int, stop: int) -> None:
        for tile in tiles[start:stop]:
            backproject.cone_tile_into(filtered, maps, scan.center, curve, tile, *_scratch(scan, tile, 1), result)

    watch.run("backprojecting", run, len(tiles))


def _by_quarters(
    values: NDArray[np.float32], scan: Scan, quarters: NDArray[np.intp], result: NDArray[np.float32], watch: Watch
) -> None:
    rows, columns = values.shape[1], scan.packed.outputs
    sets, stride = quarters.shape[1], padded_rows(rows)
    batch = min(sets, scan.batch(values, backproject.VIEWS_AT_ONCE) // 4)
    together = np.zeros((batch, columns + 2, 4 * stride), np.float32)
    for first in range(0, sets, batch):
        chosen = quarters[:, first : first + batch]

        def filter_sets(start: int, stop: int, chosen: Any = chosen) -> None:
            views = np.zeros((4, columns + 2, stride), np.float32)
            for number in range(start, stop):
                scan.filtered(values, chosen[:, number], views, Watch(threads=1))
                ramp.interleave_views_into(views, together[number])

        watch.run("filtering", filter_sets, chosen.shape[1])
        backproject_sets(together[: chosen.shape[1]], scan, chosen, result, watch=watch)


def backproject_sets(
    together: NDArray[np.float32],
    scan: Scan,
    chosen: NDArray[np.intp],
    result: NDArray[np.float32],
    *,
    watch: Watch = UNWATCHED,
) -> None:
    """Add sets of four interleaved views (sets, columns + 2, 4 × rows) to a volume; ``chosen`` (4, sets) names them."""
    half = scan.grid.shape[1] // 2
    tiles = _tiles(scan.grid, half, half, _QUARTER_TILE)
    maps, turns = np.ascontiguousarray(scan.maps[chosen], np.float32), np.arange(4)
    curve = scan.geometry.columns_per_radian

    def run(start: int, stop: int) -> None:
        for tile in tiles[start:stop]:
            scratch = _scratch(scan, tile, 4)
            backproject_quarters.quarter_tile_into(
                together, maps, turns, scan.center, curve, tile, *scratch, result
            )  # fmt: skip

    watch.run("backprojecting", run, len(tiles))
