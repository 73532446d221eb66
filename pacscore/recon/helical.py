"""Helical scans reconstructed by rebinning and weighted backprojection.

Stierstorfer, Rauscher, Boese, Bruder, Schaller and Flohr 2004, Phys. Med. Biol. 49(11): rays are rebinned to parallel
ones in the plane (rows as they are), filtered along the new columns, and backprojected with weights that fall toward
the outer rows and are normalised over all rays through a voxel that share a direction. Where the focal spot flies,
rebinning takes each ray as it ran (``flying_spots``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import GeometryError, InputError
from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import ramp
from pacscore.kernels.helical import COLUMNS_AT_ONCE, helical_tile_into, rebin_flying_view_into, rebin_view_into
from pacscore.recon.filtering import Filter, PackedFilter, filter_views, padded_rows
from pacscore.recon.flying_spots import FlyingSpots
from pacscore.recon.geometries import check_projections
from pacscore.recon.grids import Grid
from pacscore.recon.helical_geometries import HelicalGeometry

_SLICES, _TILE = 256, 16


def helical_grid(geometry: HelicalGeometry, *, spacing_mm: float | None = None) -> Grid:
    """A grid within the fan, over the slices that all directions reach."""
    reach, magnified = _reach_mm(geometry), geometry.source_to_detector_mm / geometry.source_to_axis_mm
    step = geometry.column_spacing_mm / magnified if spacing_mm is None else spacing_mm
    low, high = sorted((float(geometry.heights_lps[0]), float(geometry.heights_lps[-1])))
    margin = abs(geometry.pitch_mm) / 2
    slices = max(1, int((high - low - 2 * margin) / step))
    count = max(1, int(math.sqrt(2.0) * reach / step))
    return Grid((slices, count, count), step, center_lps=(0.0, 0.0, (low + high) / 2))


def _reach_mm(geometry: HelicalGeometry) -> float:
    """How far from the axis all views see."""
    radius, far = geometry.source_to_axis_mm, geometry.source_to_detector_mm
    turns = (np.array([0, geometry.column_count - 1]) - geometry.center[1]) * geometry.column_spacing_mm / far
    x, y = np.asarray(geometry.focal_spot_mm)[:, :2, None].transpose(1, 0, 2)
    along, across = -far * np.cos(turns) - x, far * np.sin(turns) - y
    first, last = (((radius + x) * across - y * along) / np.hypot(along, across)).T
    reach = min(-float(first.max()), float(last.min()))
    if reach <= 0:
        raise GeometryError(
            "The axis of rotation is projected off the detector: check center_column and focal_spot_mm."
        )
    return reach


def wfbp(
    projections: NDArray[np.generic],
    geometry: HelicalGeometry,
    grid: Grid | None = None,
    *,
    filter: Filter | str = "ramp",
    smooth_rows: float = 0.6,
    out: NDArray[np.float32] | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Reconstruct a helical scan by weighted filtered backprojection.

    Parameters
    ----------
    projections : (views, rows, columns) array
        Line integrals, any real dtype.
    geometry : HelicalGeometry
        Of constant pitch; the focal spot may fly.
    grid : Grid, optional
        Slices along z; by default ``helical_grid``. Voxels that some direction never sees are too dark: keep the grid
        half a pitch away from the ends.
    filter : Filter or str
    smooth_rows : float
        From 0 to 1: weights of rows begin to fall at this part of the way from the middle to the edge.
    out : NDArray of float32, optional
    watch : Watch
        Progress in the phases ``rebinning``, ``filtering`` and ``backprojecting``, and cancellation.

    Returns
    -------
    NDArray of float32
        (slices, rows, columns) of the grid.

    Raises
    ------
    InputError
        The projections do not fit, or views are not evenly spaced.
    GeometryError
        The scan is shorter than half a turn and the fan, leaves gaps along z, the grid leaves the fan, or the focal
        spot flies farther than the detector reaches.
    CancelledError
        ``watch`` was cancelled.

    Notes
    -----
    Approximate: cone angles are treated as in the paper. Where the focal spot flies rays run in the plane as they did,
    and along z as said of ``flying_spots`` (S2). Memory: the projections twice.
    """
    values = check_projections(projections, geometry.shape)
    if geometry.angles.size > 1 and geometry.angles[0] > geometry.angles[-1]:
        turned = replace(
            geometry, angles_rad=geometry.angles[::-1], start_z_lps=float(geometry.heights_lps[-1]),
            focal_spot_mm=np.asarray(geometry.focal_spot_mm)[::-1],
        )  # fmt: skip
        return wfbp(values[::-1], turned, grid, filter=filter, smooth_rows=smooth_rows, out=out, watch=watch)
    target = helical_grid(geometry) if grid is None else grid
    chosen = filter if isinstance(filter, Filter) else Filter(filter)
    if not 0.0 <= smooth_rows <= 1.0:
        raise InputError(f"smooth_rows is a part from 0 to 1, not {smooth_rows}.", found=smooth_rows)
    spots = FlyingSpots.of(geometry) if geometry.flies else None
    plan = _plan(geometry if spots is None else spots.still, target, smooth_rows, _reach_mm(geometry))
    views = _rebinned(values, geometry, plan, spots=spots, chosen=chosen, watch=watch)
    result = output_array(out, target.shape, np.dtype(np.float32))
    rising = target.index_to_lps[2, 0] > 0
    _backproject(
        views, plan, grid=target, result=result if rising else result[::-1], watch=watch
    )  # fmt: skip
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How views are rebinned: angle of the first, views in half a turn, their number, and the parallel columns."""

    first_rad: float
    half: int
    count: int
    across_mm: NDArray[np.float64]
    scan: NDArray[np.float64]


def _plan(geometry: HelicalGeometry, grid: Grid, smooth_rows: float, reach: float) -> _Plan:
    angles = geometry.angles
    steps = np.diff(angles)
    if angles.size < 3 or np.abs(steps - steps.mean()).max() > 0.05 * abs(steps.mean()):
        raise InputError("Views of a helix must be evenly spaced in angle, three or more.")
    affine = grid.column_first
    if np.abs(affine[2, :2]).max() > 1e-6 or np.abs(affine[:2, 2]).max() > 1e-6:
        raise GeometryError("Slices of the grid must be perpendicular to the axis of rotation, z: it is tilted.")
    if np.linalg.norm(grid.corners_lps()[:, :2], axis=1).max() >= geometry.source_to_axis_mm:
        raise GeometryError("The grid reaches to the source: make it smaller.")
    half = max(3, round(np.pi / abs(float(steps.mean()))))
    step = geometry.column_spacing_mm * geometry.source_to_axis_mm / geometry.source_to_detector_mm
    side = int(reach / step)
    across = np.arange(-side, side + 1).astype(np.float64) * step
    widest = math.asin(across[-1] / geometry.source_to_axis_mm)
    first, last = angles[0] + np.pi / 2 + widest, angles[-1] + np.pi / 2 - widest
    count = int((last - first) / (np.pi / half) + 1e-9) + 1
    if count < half:
        raise GeometryError("The helix is shorter than half a turn and the fan angle: nothing is seen from all sides.")
    if geometry.pitch_factor > 2.0:
        raise GeometryError(f"A pitch of {geometry.pitch_factor:.2f} detector heights leaves gaps between the turns.")
    # H1: the ray of angle a left the source at an angle of a - pi / 2 + asin(s / source to axis).
    height = geometry.start_z_lps + (-np.pi / 2 - angles[0]) * geometry.rise_mm_per_rad
    edge = geometry.row_count / 2
    scan = np.array([
        first, geometry.source_to_axis_mm, height, geometry.rise_mm_per_rad, 1 / step, side + ramp.COLUMNS_BEFORE,
        geometry.center[0] + ramp.ROWS_BEFORE, geometry.source_to_detector_mm / geometry.row_spacing_mm,
        (geometry.row_count - 1) / 2 + ramp.ROWS_BEFORE, smooth_rows * edge, 1 / max(1e-6, edge * (1 - smooth_rows)),
    ])  # fmt: skip
    return _Plan(float(first), half, count, across, scan)


def _rebinned(
    values: NDArray[np.float32],
    geometry: HelicalGeometry,
    plan: _Plan,
    *,
    spots: FlyingSpots | None,
    chosen: Filter,
    watch: Watch,
) -> NDArray[np.float32]:
    """(views, columns + 2, rows + 20) rebinned, weighted and filtered."""
    if spots is not None:
        geometry = spots.still
    rows, columns = geometry.row_count, plan.across_mm.size
    turn = np.arcsin(plan.across_mm / geometry.source_to_axis_mm)
    places = turn * geometry.source_to_detector_mm / geometry.column_spacing_mm + geometry.center[1]
    step = float(np.diff(geometry.angles).mean())
    heights = (np.arange(rows) - geometry.center[0]) * geometry.row_spacing_mm
    cosines = geometry.source_to_detector_mm / np.hypot(geometry.source_to_detector_mm, heights)
    factors = np.full((1, columns), np.pi / plan.half * plan.scan[4], np.float32)
    packed = PackedFilter.of(chosen.matrix(columns))
    spread = np.ascontiguousarray(np.broadcast_to(cosines[:, None], (rows, columns)), np.float32)
    result = np.zeros((plan.count, columns + 2, padded_rows(rows)), np.float32)

    def run(start: int, stop: int) -> None:
        one = np.empty((1, rows, columns), np.float32)
        for view in range(start, stop):
            angle = plan.first_rad + view * np.pi / plan.half
            if spots is None:
                among = np.clip((angle - np.pi / 2 + turn - geometry.angles[0]) / step, 0.0, values.shape[0] - 1.0)
                rebin_view_into(values, among, places, one[0])
            else:
                rebin_flying_view_into(values, *spots.rays_of(angle, plan.across_mm), one[0])
            filter_views(
                one, result[view : view + 1], packed, cosines=spread, factors=factors, watch=Watch(threads=1)
            )  # fmt: skip

    watch.run("rebinning", run, plan.count, tile=8)
    # Half a row beyond the outermost rows still counts a little, with their values.
    result[:, :, ramp.ROWS_BEFORE - 1] = result[:, :, ramp.ROWS_BEFORE]
    result[:, :, ramp.ROWS_BEFORE + rows] = result[:, :, ramp.ROWS_BEFORE + rows - 1]
    return result


def _backproject(
    views: NDArray[np.float32],
    plan: _Plan,
    *,
    grid: Grid,
    result: NDArray[np.float32],
    watch: Watch,
) -> None:
    places = grid.column_first[:3].copy()
    if places[2, 2] < 0:
        places[2, 3] += places[2, 2] * (grid.shape[0] - 1)
        places[2, 2] *= -1.0
    slices, rows, columns = grid.shape
    tiles = [(z, min(slices, z + _SLICES), y, min(rows, y + _TILE)) for z in range(0, slices, _SLICES)
             for y in range(0, rows, _TILE)]  # fmt: skip

    def run(start: int, stop: int) -> None:
        for z0, z1, y0, y1 in tiles[start:stop]:
            total = np.empty((columns, -(-(z1 - z0) // 8) * 8 + 16), np.float32)
            lines = np.zeros((3, COLUMNS_AT_ONCE, max(z1 - z0, views.shape[2]) + 64), np.float32)
            numbers, spans = np.empty((6, COLUMNS_AT_ONCE)), np.empty((4, COLUMNS_AT_ONCE), np.int64)
            part = np.empty((z1 - z0, rows, columns), np.float32) if not result.flags.c_contiguous else None
            target = result if part is None else part
            shift = 0 if part is None else z0
            moved = places.copy()
            moved[2, 3] += moved[2, 2] * shift
            tile = (z0 - shift, z1 - shift, y0, y1, 0, columns)
            helical_tile_into(
                views, plan.scan, plan.half, moved, tile, total, lines, numbers, spans, target
            )  # fmt: skip
            if part is not None:
                result[z0:z1, y0:y1] = part[:, y0:y1]

    watch.run("backprojecting", run, len(tiles))
