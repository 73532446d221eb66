"""Filtered backprojection of parallel beams and fans, slice by slice or a stack at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError
from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import backproject
from pacscore.recon.filtering import Filter, PackedFilter, filter_views
from pacscore.recon.geometries import FanGeometry, ParallelGeometry, Planar, check_projections
from pacscore.recon.grids import Grid
from pacscore.recon.redundancy import OFFSET, diverging_factors, mirrored_columns, parallel_factors

_LANES_MAX = 32
_TILE = 32
_ROWS_AT_ONCE = 96


def planar_grid(geometry: Planar) -> Grid:
    """The grid of a stack as the detector sees it: a slice for each row, pixels as wide as columns are at the axis."""
    step = geometry.column_spacing_mm
    if isinstance(geometry, FanGeometry):
        step *= geometry.source_to_axis_mm / geometry.source_to_detector_mm
    shape = (geometry.row_count, geometry.column_count, geometry.column_count)
    return Grid(shape, (geometry.row_spacing_mm, step, step))


def fbp(
    projections: NDArray[np.generic],
    geometry: Planar,
    grid: Grid | None = None,
    *,
    filter: Filter | str = "ramp",
    limited_angle: bool = False,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Reconstruct slices from parallel or fan-beam projections.

    Parameters
    ----------
    projections : (views, rows, columns) array
        Line integrals (attenuation times mm); (views, columns) for a single row. Any real dtype.
    geometry : ParallelGeometry or FanGeometry
    grid : Grid, optional
        Slices along z; by default one for each detector row, pixels as wide as columns are at the axis. Rows are
        interpolated where its slices lie between them.
    filter : Filter or str
    limited_angle : bool
        Take views that leave a gap as they are.
    out : NDArray of float32, optional
        Where to put the result.
    watch : Watch
        Progress in the phases ``filtering`` and ``backprojecting``, and cancellation.

    Returns
    -------
    NDArray of float32
        (slices, rows, columns) of the grid; 1/mm where projections are dimensionless.

    Raises
    ------
    InputError
        The projections do not fit the geometry.
    GeometryError
        The views leave a gap, a short scan is too short, or the grid is tilted against the detector rows.
    CancelledError
        ``watch`` was cancelled.

    Notes
    -----
    Kak and Slaney 1988, chapter 3: equation 44 for parallel rays, 103 and 138 for arcs and flat detectors. Beside
    result and projections it needs the filtered rows of 32 slices.
    """
    chosen = filter if isinstance(filter, Filter) else Filter(filter)
    target = planar_grid(geometry) if grid is None else grid
    values = rows_on_slices(check_projections(projections, geometry.shape), geometry, target)
    factors, cosines, beside = planar_weights(geometry, limited_angle=limited_angle)
    curve = geometry.columns_per_radian
    matrix = chosen.matrix(geometry.column_count, radians_per_column=1 / curve if curve else 0.0, beside=beside)
    packed = PackedFilter.of(matrix)
    result = output_array(out, target.shape, np.dtype(np.float32))
    maps = planar_maps(geometry, target)
    single = isinstance(geometry, ParallelGeometry) and values.shape[1] < 4
    for start in range(0, values.shape[1], 1 if single else _LANES_MAX):
        part = slice(start, start + (1 if single else _LANES_MAX))
        step = _single if single else _stack
        step(
            values[:, part], result[part], packed, maps, weights=factors * cosines, geometry=geometry, before=beside[0],
            watch=watch,
        )  # fmt: skip
    return result


def planar_weights(
    geometry: Planar, *, limited_angle: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    """What rays are multiplied with before they are filtered, and what is filtered.

    Returns
    -------
    factors : (views, columns) float64
        Weight of each ray, the filter's column spacing included.
    cosines : (columns,) float64
        Of the fan.
    beside : tuple of int
        Columns beside the detector that are filtered too.
    """
    if isinstance(geometry, ParallelGeometry):
        factors, words = parallel_factors(geometry, limited_angle=limited_angle)
        factors, cosines = factors / geometry.column_spacing_mm, np.ones(geometry.column_count)
    else:
        fan = geometry.fan_angles_rad
        factors, words = diverging_factors(geometry, fan, limited_angle=limited_angle)
        spacing = geometry.column_spacing_mm * geometry.source_to_axis_mm / geometry.source_to_detector_mm
        factors, cosines = factors / spacing, np.cos(fan)
    offset = words == OFFSET
    return factors, cosines, mirrored_columns(geometry.center, geometry.column_count) if offset else (0, 0)


def planar_maps(geometry: Planar, grid: Grid) -> NDArray[np.float64]:
    """(views, 2, 3) from pixel indices (column, row, 1) to detector columns from the centre.

    Raises
    ------
    GeometryError
        The slices of the grid are not perpendicular to the axis of rotation, or hold a source.
    """
    affine = grid.column_first
    if np.abs(affine[2, :2]).max() > 1e-6 or np.abs(affine[:2, 2]).max() > 1e-6:
        raise GeometryError("Slices of the grid must be perpendicular to the axis of rotation, z: it is tilted.")
    in_plane = np.array([[*affine[0, [0, 1, 3]]], [*affine[1, [0, 1, 3]]], [0.0, 0.0, 1.0]])
    maps: NDArray[np.float64] = geometry.column_maps() @ in_plane
    refuse_sources(maps[:, 1], grid)
    return maps


def refuse_sources(depths: NDArray[np.float64], grid: Grid) -> None:
    """Raise where a pixel lies beside or behind a source.

    Parameters
    ----------
    depths : (views, 3 or 4) float64
        Affine maps of (column, row, 1) or (column, row, slice, 1), positive before the source.

    Raises
    ------
    GeometryError
        One does.
    """
    last = np.array(grid.shape[::-1][: depths.shape[1] - 1]) - 1
    ends = np.array(list(np.ndindex(*(2,) * last.size))) * last
    if (depths[:, :-1] @ ends.T + depths[:, -1:]).min() < 0.05:
        raise GeometryError("The grid reaches to the source of a view: make it smaller, or check the distances.")


def rows_on_slices(values: NDArray[np.float32], geometry: Planar, grid: Grid) -> NDArray[np.float32]:
    """Projections with a row for each slice of the grid: linear between rows, 0 beyond the outermost by a row."""
    places = grid.index_to_lps[2, 0] * np.arange(grid.shape[0]) + grid.index_to_lps[2, 3]
    rows = (places - geometry.row_positions_mm[0]) / geometry.row_spacing_mm
    whole = np.rint(rows)
    if np.abs(rows - whole).max() < 1e-3 and whole.min() >= 0 and whole.max() < geometry.row_count:
        chosen = whole.astype(int)
        in_order = chosen.size == geometry.row_count and (np.diff(chosen) == 1).all()
        return values if in_order else np.ascontiguousarray(values[:, chosen])
    lower = np.floor(rows).astype(int)
    result = np.zeros((values.shape[0], rows.size, values.shape[2]), np.float32)
    for number, (row, place) in enumerate(zip(lower, rows, strict=True)):
        for tap, weight in ((row, 1 - (place - row)), (row + 1, place - row)):
            if 0 <= tap < geometry.row_count:
                result[:, number] += values[:, tap] * np.float32(weight)
    return result


def _stack(
    values: NDArray[np.float32],
    out: NDArray[np.float32],
    packed: PackedFilter,
    maps: NDArray[np.float64],
    *,
    weights: NDArray[np.float64],
    geometry: Planar,
    before: int,
    watch: Watch,
) -> None:
    views, slices, columns = values.shape
    lanes, padded = -(-slices // 8) * 8, -(-views // 4) * 4
    filtered = np.zeros((padded, packed.outputs + 2, lanes), np.float32)
    ones = np.ones((slices, columns), np.float32)
    source = np.ascontiguousarray(values)
    filter_views(
        source, filtered, packed, cosines=ones, factors=weights.astype(np.float32), row_shift=0, watch=watch
    )  # fmt: skip
    moved = np.concatenate([maps, np.repeat(maps[-1:], padded - views, axis=0)]).astype(np.float32)
    rows, width = out.shape[1:]
    tiles = [(y, min(rows, y + _TILE), x, min(width, x + _TILE)) for y in range(0, rows, _TILE)
             for x in range(0, width, _TILE)]  # fmt: skip
    center, curve = geometry.center + before + 1.0, geometry.columns_per_radian

    def run(start: int, stop: int) -> None:
        for tile in tiles[start:stop]:
            sums = np.empty((tile[1] - tile[0], tile[3] - tile[2], lanes), np.float32)
            places, numbers = np.empty((4, _TILE), np.int32), np.empty((4, 2, _TILE), np.float32)
            backproject.stack_tile_into(filtered, moved, center, curve, tile, sums, places, numbers, out)

    watch.run("backprojecting", run, len(tiles))


def _single(
    values: NDArray[np.float32],
    out: NDArray[np.float32],
    packed: PackedFilter,
    maps: NDArray[np.float64],
    *,
    weights: NDArray[np.float64],
    geometry: Planar,
    before: int,
    watch: Watch,
) -> None:
    views, _, columns = values.shape
    # All rows share the filter, so views serve as the rows of a few large ones, and threads get some each.
    groups = -(-views // _ROWS_AT_ONCE)
    rows_in = np.zeros((groups * _ROWS_AT_ONCE, columns), np.float32)
    np.multiply(values[:, 0], weights.astype(np.float32), out=rows_in[:views])
    filtered = np.zeros((groups, packed.outputs + 2, _ROWS_AT_ONCE), np.float32)
    filter_views(
        rows_in.reshape(groups, _ROWS_AT_ONCE, columns), filtered, packed,
        cosines=np.ones((_ROWS_AT_ONCE, columns), np.float32), factors=np.ones((groups, columns), np.float32),
        row_shift=0, watch=watch,
    )  # fmt: skip
    lines = np.zeros((groups, _ROWS_AT_ONCE, packed.outputs + 16), np.float32)
    lines[:, :, 2 : packed.outputs + 2] = filtered[:, 1:-1].transpose(0, 2, 1)
    lines = lines.reshape(-1, packed.outputs + 16)[:views]
    moved = maps[:, 0].copy()
    moved[:, 2] += geometry.center + before + 2.0
    out[:] = 0.0
    rows = out[0]
    watch.run(
        "backprojecting",
        lambda start, stop: backproject.parallel_rows_into(lines, moved, start, stop, rows),
        rows.shape[0],
        tile=32,
    )
