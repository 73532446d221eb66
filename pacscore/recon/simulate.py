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
from pacscore.recon.shepp_logan import SHEPP_LOGAN

# Centre, half axes in cm, degrees about z, value. Yu et al. 2012, table 1; their 16a and 16b, then 6 and the right ear.
_FORBILD = (
    (-4.7, 4.3, 1.79989, 1.79989, 0.0, 0.01),
    (4.7, 4.3, 1.79989, 1.79989, 0.0, 0.01),
    (-1.08, -9.0, 0.4, 0.4, 0.0, 0.0025),
    (1.08, -9.0, 0.4, 0.4, 0.0, -0.0025),
    (0.0, 0.0, 9.6, 12.0, 0.0, 1.8),
    (0.0, 8.4, 1.8, 3.0, 0.0, -1.05),
    (1.9, 5.4, 0.41633, 1.17425, -31.07698, 0.75),
    (-1.9, 5.4, 0.41633, 1.17425, 31.07698, 0.75),
    (-4.3, 6.8, 1.8, 0.24, -30.0, 0.75),
    (4.3, 6.8, 1.8, 0.24, 30.0, 0.75),
    (0.0, -3.6, 1.8, 3.6, 0.0, -0.005),
    (6.39395, -6.39395, 1.2, 0.42, 58.1, 0.005),
    (0.0, 3.6, 2.0, 2.0, 0.0, 0.75),
    (0.0, 9.6, 1.8, 3.0, 0.0, 1.8),
    (0.0, 0.0, 9.0, 11.4, 0.0, 0.75),
    (0.0, -14.294530834372887, 0.443194085308632, 3.892760834372886, 0.0, 0.75),
    (0.0, 0.0, 9.0, 11.4, 0.0, -0.75),
    (9.1, 0.0, 4.2, 1.8, 0.0, 0.75),
)
# Number of the ellipse, degrees of the normal, distance in cm.
_FORBILD_CLIPS = (
    (12, 0, 1.2), (12, 180, 1.2), (12, 90, 0.27884), (12, 270, 0.27884),
    (13, 90, 0.60687), (13, 270, 0.60687), (13, 0, 0.2), (13, 180, 0.2),
    (14, 15, -2.605), (14, 165, -2.605), (14, 90, -10.71177),
    (15, 270, -14.294530834372887 + 10.71177), (16, 0, 8.8874), (17, 0, -0.2126),
)  # fmt: skip


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
    clips : (m, 5) float64
        Half spaces that cut ellipsoids: the number of one, a unit normal (x, y, z), and how far from its centre along
        the normal it ends.

    Raises
    ------
    InputError
        The arrays do not belong together, or a half axis is not positive.
    """

    values: ArrayLike
    centers_lps: ArrayLike
    half_axes_mm: ArrayLike
    turns_rad: ArrayLike = 0.0
    clips: ArrayLike = ()

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
        clips = np.array(self.clips, np.float64).reshape(-1, 5)
        object.__setattr__(self, "clips", clips[np.argsort(clips[:, 0], kind="stable")])
        if not (np.isfinite(clips).all() and np.isin(clips[:, 0], np.arange(values.size)).all()):
            raise InputError(f"clips name one of {values.size} ellipsoids, and all their numbers are finite.")
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

    def half_spaces(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(m, 4) and (n, 2), as ``kernels/ellipsoids.py`` takes what cuts the ellipsoids."""
        clips = np.asarray(self.clips)
        numbers = np.arange(np.asarray(self.values).size)
        spans = np.stack([np.searchsorted(clips[:, 0], numbers, side) for side in ("left", "right")], axis=1)
        return np.ascontiguousarray(clips[:, 1:]), spans.astype(np.int64)

    def project(self, geometry: Geometry, *, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
        """Exact line integrals: (views, rows, columns) float32 of any geometry.

        Raises
        ------
        CancelledError
            ``watch`` was cancelled.
        """
        result = np.empty(geometry.shape, np.float32)
        rows, cuts = self.rows(), self.half_spaces()

        def run(start: int, stop: int) -> None:
            for view in range(start, stop):
                points, directions = geometry.rays(view)
                flat = (np.ascontiguousarray(each).reshape(-1, 3) for each in (points, directions))
                line_integrals_into(*flat, rows, *cuts, result[view].reshape(-1))

        watch.run("simulating", run, geometry.shape[0])
        return result

    def on_grid(self, grid: Grid, *, samples: int = 3, watch: Watch = UNWATCHED) -> NDArray[np.float32]:
        """The values in voxels, (slices, rows, columns) float32: means of ``samples`` cubed points each."""
        if not 1 <= samples <= 16:
            raise InputError(f"samples is a number of points along each axis of a voxel, 1 to 16: not {samples}.")
        result = np.empty(grid.shape, np.float32)
        rows, cuts, affine = self.rows(), self.half_spaces(), grid.index_to_lps

        def run(start: int, stop: int) -> None:
            voxel_values_into(affine, rows, *cuts, samples, start, stop, result)

        watch.run("simulating", run, grid.shape[0])
        return result

    def cylinders(self) -> Phantom:
        """The same in every slice: what stacks of planes see of the middle."""
        axes = np.asarray(self.half_axes_mm).copy()
        axes[:, 2] = 1e6 * axes[:, :2].max()
        centers = np.asarray(self.centers_lps).copy()
        centers[:, 2] = 0.0
        return Phantom(self.values, centers, axes, self.turns_rad, self.clips)


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
    table = np.array(SHEPP_LOGAN)
    return Phantom(table[:, 0] * value, table[:, 4:7] * radius_mm, table[:, 1:4] * radius_mm, np.deg2rad(table[:, 7]))


def forbild_head(*, value: float = 1.0, left_ear: bool = True) -> Phantom:
    """The FORBILD head in the plane, the same in every slice: fine contrasts, thin bone, air in the right ear.

    Parameters
    ----------
    value : float
        Of water; bone has 1.8 of it, the brain 1.05. 0.0183 per mm is that of 80 keV.
    left_ear : bool
        With the pattern of discs of bone, 0.25 to 0.357 mm wide and as far apart, for resolution.

    Notes
    -----
    Yu et al. 2012, Phys. Med. Biol. 57(13) N237, table 1, after Lauritsch and Bruder: 19.2 by 24 cm. The face looks
    toward rising y, the back in LPS.
    """
    holes = [(8.8 - 0.4 * k - 0.2 * (j % 2), sign * j * 0.2 * 3**0.5, 0.15, 0.15, 0.0, -1.8)
             for j in range(4) for sign in ((1, -1) if j else (1,)) for k in range((9, 8, 8, 6)[j])]  # fmt: skip
    table, clips = [*_FORBILD, *holes], np.array(_FORBILD_CLIPS)
    if left_ear:
        sizes = (0.0357, 0.0312, 0.0278, 0.025)
        table += [(-7.0 + 0.08 * i, -1.0 + 0.48 * k + 2 * n * size, size / 2, size / 2, 0.0, 0.75)
                  for k in range(4) for i, size in enumerate(sizes) for n in range(5)]  # fmt: skip
    rows = np.array(table)
    centers, axes = np.zeros((len(rows), 3)), np.full((len(rows), 3), 1e7)
    centers[:, :2], axes[:, :2] = 10 * rows[:, :2], 10 * rows[:, 2:4]
    turn = np.deg2rad(clips[:, 1])
    cuts = np.stack([clips[:, 0], np.cos(turn), np.sin(turn), 0 * turn, 10 * clips[:, 2]], axis=1)
    return Phantom(rows[:, 5] * value, centers, axes, np.deg2rad(rows[:, 4]), cuts)


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
