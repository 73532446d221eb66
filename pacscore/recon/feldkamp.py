"""Cone beams reconstructed by the algorithm of Feldkamp, Davis and Kress (1984, J. Opt. Soc. Am. A 1(6)).

D1  Views are weighted, filtered and backprojected by batches, so that beside projections and result only a tenth of
    both is needed.
D2  Backprojection needs detector rows along the slices of the grid. Tilted detectors are resampled once to upright ones
    about the same source (``upright``), linearly.
D3  Voxels share their work where geometry and grid allow it (``cone_backprojection``, V2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pacscore.imaging.arrays.checks import output_array
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.cone_backprojection import Backprojection
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.cone_scans import Scan
from pacscore.recon.filtering import Filter
from pacscore.recon.geometries import check_projections
from pacscore.recon.grids import Grid
from pacscore.recon.upright import is_upright, upright, upright_projections


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
        Let voxels share their work where geometry and grid allow it (D3).
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
    wanted = filter if isinstance(filter, Filter) else Filter(filter)
    values = check_projections(projections, geometry.shape)
    if not is_upright(geometry):
        geometry, values = upright_projections(values, geometry, upright(geometry), watch=watch)
    target = cone_grid(geometry) if grid is None else grid
    scan = Scan.of(geometry, target, wanted, limited_angle=limited_angle)
    result = output_array(out, target.shape, np.dtype(np.float32))
    result[:] = 0.0
    way = Backprojection.of(scan, symmetric=symmetric)
    lines, batch = result.reshape(way.lines_shape), way.batch(values.nbytes)
    filtered = np.zeros((batch, *way.view_shape), np.float32)
    for first in range(0, way.sets.shape[1], batch):
        chosen = slice(first, min(way.sets.shape[1], first + batch))
        part = filtered[: chosen.stop - first]
        way.filter_sets(values, chosen, part, watch)
        way.add(part, chosen, lines, watch)
    way.settle(lines, watch)
    return result
