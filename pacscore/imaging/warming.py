"""What compiles the imaging kernels ahead: small calls of the families that commands and servers use.

Each family adds its functions to ``WARM_CALLS``. A call takes tiny arrays of the dtypes that real images have, so that
it costs its kernels' compilation and nothing else; ``pacscore warm`` runs them all, and nothing runs them by itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pacscore.imaging import arrays, enhancement_warming, intensity_warming, sampling_warming


def _axis_projections() -> None:
    for dtype in (np.int16, np.uint16):
        for axis in range(3):
            for kind in arrays.PROJECTION_KINDS:
                arrays.project_axis(np.ones((5, 5, 17), dtype), axis, kind=kind)


def _grid() -> arrays.RayGrid:
    return arrays.RayGrid((0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0), shape=(4, 4), samples=5)


def _ray_projections() -> None:
    for dtype in (np.int16, np.float32):
        volume = arrays.RayVolume.of(np.ones((5, 5, 17), dtype))
        for kind in arrays.PROJECTION_KINDS:
            arrays.project_rays(volume, _grid(), kind=kind)


def _renderings() -> None:
    table = arrays.ClassificationTable(np.ones(2, np.float32), np.ones((2, 3), np.float32), 0.0, 1.0)
    for dtype in (np.int16, np.float32):
        volume = arrays.RayVolume.of(np.ones((5, 5, 17), dtype))
        arrays.render_rays(volume, _grid(), table, index_to_mm=np.eye(3))


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("projections along axes", _axis_projections),
    ("projections along rays", _ray_projections),
    ("volume rendering", _renderings),
    *intensity_warming.WARM_CALLS,
    *sampling_warming.WARM_CALLS,
    *enhancement_warming.WARM_CALLS,
)
"""Name for people, and the function that calls every kernel of the family once with each kind of array."""
