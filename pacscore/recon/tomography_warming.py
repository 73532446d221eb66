"""What compiles the kernels of tomography ahead: each family once, on tiny arrays of the one dtype they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pacscore.recon import simulate
from pacscore.recon.cone_geometries import ConeGeometry
from pacscore.recon.feldkamp import fdk
from pacscore.recon.geometries import ParallelGeometry
from pacscore.recon.grids import Grid
from pacscore.recon.helical import wfbp
from pacscore.recon.helical_geometries import HelicalGeometry
from pacscore.recon.planar_backprojection import fbp
from pacscore.recon.projector import Projector
from pacscore.recon.variation import fista_tv


def _cone(tilt_rad: float = 0.0) -> ConeGeometry:
    return ConeGeometry.circular(
        np.arange(8) * np.pi / 4, row_count=8, column_count=8, row_spacing_mm=1.0, column_spacing_mm=1.0,
        source_to_axis_mm=50.0, source_to_detector_mm=80.0, tilt_rad=tilt_rad,
    )  # fmt: skip


def _backprojections() -> None:
    ball, grid = simulate.sphere(2.0), Grid((8, 8, 8), 0.5)
    ball.on_grid(grid, samples=1)
    for rows in (1, 8):
        planar = ParallelGeometry(np.arange(8) * np.pi / 8, 8, row_count=rows)
        fbp(ball.project(planar), planar)
    # Eight voxels share their work, then two, then none; then detectors are tilted.
    for geometry, target in (
        (_cone(), grid),
        (_cone(), Grid((8, 8, 6), 0.5)),
        (_cone(), Grid((7, 8, 8), 0.5)),
        (_cone(0.1), grid),
    ):
        fdk(ball.project(geometry), geometry, target)
    helix = HelicalGeometry(np.arange(40) * np.pi / 8, 4.0, 8, 8, 1.0, 1.0, 50.0, 80.0)
    for scan in (helix, replace(helix, focal_spot_mm=(0.0, 0.1, 0.1))):
        wfbp(ball.project(scan), scan, grid)


def _projectors() -> None:
    planar = ParallelGeometry(np.arange(8) * np.pi / 8, 8, row_count=8)
    for geometry in (planar, _cone(), _cone(0.1)):
        operator = Projector(geometry, Grid((8, 8, 8), 1.0))
        data = operator @ np.ones((8, 8, 8), np.float32)
        fista_tv(data, operator, weight=0.1, iterations=1, inner_iterations=1)


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("tomography", _backprojections),
    ("tomographic projectors", _projectors),
)
"""Name for people, and the function that calls every kernel of the family once."""
