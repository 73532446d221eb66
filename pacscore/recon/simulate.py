"""Phantoms known by formula, and their exact projections for every geometry: what docs, tests and the demo use.

from pacscore import recon
phantom = recon.simulate.shepp_logan(radius_mm=100)
projections = phantom.project(geometry)
truth = phantom.on_grid(grid)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels.ellipsoids import line_integrals_into, voxel_values_into
from pacscore.recon.geometries import Geometry
from pacscore.recon.grids import Grid

# Value, half axes, centre, angle in degrees about z: Kak and Slaney 1988, table 3.1, the head standing along z; values
# as Toft gave them (contrast visible to the eye). The 3-D parts beyond are of the same table.
_SHEPP_LOGAN = (
    (1.0, 0.69, 0.92, 0.81, 0.0, 0.0, 0.0, 0.0),
    (-0.8, 0.6624, 0.874, 0.78, 0.0, -0.0184, 0.0, 0.0),
    (-0.2, 0.11, 0.31, 0.22, 0.22, 0.0, 0.0, -18.0),
    (-0.2, 0.16, 0.41, 0.28, -0.22, 0.0, 0.0, 18.0),
    (0.1, 0.21, 0.25, 0.41, 0.0, 0.35, -0.15, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, 0.1, 0.25, 0.0),
    (0.1, 0.046, 0.046, 0.05, 0.0, -0.1, 0.25, 0.0),
    (0.1, 0.046, 0.023, 0.05, -0.08, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.023, 0.02, 0.0, -0.605, 0.0, 0.0),
    (0.1, 0.023, 0.046, 0.02, 0.06, -0.605, 0.0, 0.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """Ellipsoids whose values add up.

    Attributes
    ----------
    values : (n,) float64
        What each adds, 1/mm for attenuation.
    centers_lps, half_axes_mm : (n, 3) float64
    turns_rad : (n,) float64
        About z, of the x axis toward the y axis.

    Raises
    ------
    InputError
        The arrays do not belong together, or a half axis is not positive.
    """

    values: ArrayLike
    centers_lps: ArrayLike
    half_axes_mm: ArrayLike
    turns_rad: ArrayLike = 0.0

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float64).reshape(-1)
        for name, width in (("centers_lps", 3), ("half_axes_mm", 3), ("turns_rad", 1)):
            given = np.asarray(getattr(self, name), np.float64)
            try:
                spread = np.broadcast_to(given, (values.size, 3) if width == 3 else (values.size,)).copy()
            except ValueError as error:
                raise InputError(f"{name} does not belong to {values.size} ellipsoids.", found=given.shape) from error
            object.__setattr__(self, name, spread)
        object.__setattr__(self, "values", values)
        if not (np.isfinite(self.rows()).all() and (np.asarray(self.half_axes_mm) > 0).all()):
            raise InputError("Half axes must be positive, and all numbers of a phantom finite.")

    def rows(self) -> NDArray[np.float64]:
        """(n, 13), as ``kernels/ellipsoids.py`` takes them."""
        turns, axes = np.asarray(self.turns_rad), np.asarray(self.half_axes_mm)
        matrices = np.zeros((turns.size, 3, 3))
        matrices[:, 0, 0], matrices[:, 0, 1] = np.cos(turns), np.sin(turns)
        matrices[:, 1, 0], matrices[:, 1, 1] = -np.sin(turns), np.cos(turns)
        matrices[:, 2, 2] = 1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            scaled = matrices / axes[:, :, None]
        return np.concatenate(
            [np.asarray(self.values)[:, None], np.asarray(self.centers_lps), scaled.reshape(-1, 9)], axis=1
        )

    def project(self, geometry: Geometry, *, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
        """Exact line integrals: (views, rows, columns) float32 of any geometry.

        Raises
        ------
        CancelledError
            ``watch`` was cancelled.
        """
        result = np.empty(geometry.shape, np.float32)
        rows = self.rows()

        def run(start: int, stop: int) -> None:
            for view in range(start, stop):
                points, directions = geometry.rays(view)
                flat = (np.ascontiguousarray(each).reshape(-1, 3) for each in (points, directions))
                line_integrals_into(*flat, rows, result[view].reshape(-1))

        watch.run("simulating", run, geometry.shape[0])
        return result

    def on_grid(self, grid: Grid, *, samples: int = 3, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
        """The values in voxels, (slices, rows, columns) float32: means of ``samples`` cubed points each."""
        if not 1 <= samples <= 16:
            raise InputError(f"samples is a number of points along each axis of a voxel, 1 to 16: not {samples}.")
        result = np.empty(grid.shape, np.float32)
        rows, affine = self.rows(), grid.index_to_lps

        def run(start: int, stop: int) -> None:
            voxel_values_into(affine, rows, samples, start, stop, result)

        watch.run("simulating", run, grid.shape[0])
        return result

    def cylinders(self) -> Phantom:
        """The same in every slice: what stacks of planes see of the middle."""
        axes = np.asarray(self.half_axes_mm).copy()
        axes[:, 2] = 1e6 * axes[:, :2].max()
        centers = np.asarray(self.centers_lps).copy()
        centers[:, 2] = 0.0
        return Phantom(self.values, centers, axes, self.turns_rad)


def shepp_logan(radius_mm: float = 100.0, *, value: float = 1.0) -> Phantom:
    """The head phantom of Shepp and Logan in 3-D, with the contrast of Toft.

    Parameters
    ----------
    radius_mm : float
        Half the height of the unit cube the phantom fills by 0.92.
    value : float
        Of the skull; the brain has 0.2 of it.

    Notes
    -----
    ``shepp_logan().cylinders()`` is the 2-D phantom in every slice. The face looks toward rising y, the back in LPS.
    """
    table = np.array(_SHEPP_LOGAN)
    return Phantom(table[:, 0] * value, table[:, 4:7] * radius_mm, table[:, 1:4] * radius_mm, np.deg2rad(table[:, 7]))


def sphere(radius_mm: float, center_lps: ArrayLike = (0.0, 0.0, 0.0), *, value: float = 1.0) -> Phantom:
    """A ball."""
    return Phantom([value], np.asarray(center_lps)[None], [[radius_mm] * 3])


def spheres(radius_mm: float = 100.0, *, count: int = 12, value: float = 1.0, seed: int = 0) -> Phantom:
    """Balls of falling size and contrast within a cylinder's worth of space: no two mirror images of another."""
    chance = np.random.default_rng(seed)
    turn = chance.uniform(0, 2 * np.pi, count)
    far = radius_mm * 0.75 * np.sqrt(chance.uniform(0, 1, count))
    centers = np.stack([far * np.cos(turn), far * np.sin(turn), radius_mm * chance.uniform(-0.6, 0.6, count)], axis=1)
    sizes = radius_mm * np.linspace(0.25, 0.04, count)
    return Phantom(value * np.linspace(1.0, 0.4, count), centers, np.repeat(sizes[:, None], 3, axis=1))
