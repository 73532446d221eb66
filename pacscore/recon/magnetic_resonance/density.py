"""Density compensation: how much of k-space each sample of a trajectory stands for.

Weights are areas (volumes) in (cycles per field of view) to the power of the axes. With them the adjoint transform of
the samples is the image, as the inverse transform is on a Cartesian grid, where all weights are 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.libraries import optional
from pacscore.recon.magnetic_resonance.trajectories import Trajectory
from pacscore.settings import Settings

Float64 = NDArray[np.float64]

DENSITIES = ("pipe", "cell")


def density_weights(
    trajectory: Trajectory, *, method: str = "pipe", iterations: int = 10, watch: Watch = UNWATCHED
) -> Float64:
    """The weights of a trajectory's samples.

    Parameters
    ----------
    trajectory : Trajectory
        Any.
    method : str
        ``pipe``: iterated until the weights, convolved with the field of view's kernel, are flat at the samples.
        ``cell``: the area of the samples' Voronoi cells, for planes; stacks of planes are weighted plane by plane.
    iterations : int
        Of ``pipe``, at least 1; ten are near the areas, many more let the rim of k-space grow.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of float64
        ``(interleaves, samples)``, positive.

    Raises
    ------
    InputError
        The method is not known; ``cell`` was asked of a volume that is not a stack of planes.
    UnsupportedError
        finufft or SciPy is not installed.

    Notes
    -----
    Pipe and Menon 1999, with the kernel of Johnson and Pipe 2009: the transform of the field of view's disc (ball)
    correlated with itself, which is nowhere negative.
    """
    if method not in DENSITIES or iterations < 1:
        raise InputError(f"method is one of {', '.join(DENSITIES)} and iterations 1 or more.", found=method)
    weights = _pipe(trajectory, iterations, watch) if method == "pipe" else _cells(trajectory)
    return weights.reshape(trajectory.coordinates.shape[:2])


def _pipe(trajectory: Trajectory, iterations: int, watch: Watch) -> Float64:
    finufft = optional("finufft")
    dimensions, threads = len(trajectory.shape), watch.threads or Settings().threads()
    doubled = tuple(2 * length for length in trajectory.shape)
    angles = [np.ascontiguousarray(axis) for axis in (2 * np.pi * trajectory.points / trajectory.shape).T]
    options: dict[str, Any] = {"eps": 1e-6, "dtype": "complex128", "nthreads": threads}
    spread, gather = (finufft.Plan(kind, doubled, isign=sign, **options) for kind, sign in ((1, 1), (2, -1)))
    spread.setpts(*angles)
    gather.setpts(*angles)
    profile = _profile(trajectory.shape) / math.prod(trajectory.shape)
    weights = np.ones(len(angles[0]))
    for iteration in range(iterations):
        watch.check()
        density = gather.execute(profile * spread.execute(weights.astype(np.complex128))).real
        weights = weights / np.maximum(density, 1e-12 * density.max())
        if watch.progress is not None:
            watch.progress("density", iteration + 1, iterations)
    assert dimensions in {2, 3}
    return weights


def _profile(shape: tuple[int, ...]) -> Float64:
    """The correlation of a disc (ball) of the field of view with itself, 1 at the centre, on twice the grid."""
    axes = np.meshgrid(*((np.arange(2 * n) - n) / n for n in shape), indexing="ij")
    r = np.minimum(np.sqrt(sum(axis * axis for axis in axes)), 1.0)
    if len(shape) == 2:
        profile: Float64 = 2 / np.pi * (np.arccos(r) - r * np.sqrt(1 - r * r))
        return profile
    ball: Float64 = 1 - 1.5 * r + 0.5 * r**3
    return ball


def _cells(trajectory: Trajectory) -> Float64:
    points = trajectory.points
    if points.shape[1] == 2:
        return _cell_areas(points)
    planes, which, counts = np.unique(points[:, 0], return_inverse=True, return_counts=True)
    if len(planes) * 4 > len(points) or counts.min() < 4:
        raise InputError("Cells are made for planes and stacks of planes only: use the method pipe.")
    # Half the distance to either neighbour; the outermost planes are as thick as towards the inside.
    edges = np.concatenate(([planes[0]], (planes[1:] + planes[:-1]) / 2, [planes[-1]]))
    thickness = np.diff(edges) if len(planes) > 1 else np.ones(1)
    if len(planes) > 1:
        thickness[[0, -1]] *= 2
    weights = np.empty(len(points))
    for plane in range(len(planes)):
        inside = which.reshape(-1) == plane
        weights[inside] = _cell_areas(points[inside, 1:]) * thickness[plane]
    return weights


def _cell_areas(points: Float64) -> Float64:
    """Areas of Voronoi cells; the outermost end half a sample beyond the convex hull, points at one place share."""
    spatial = optional("scipy.spatial")
    scale = max(1.0, float(np.abs(points).max()))
    _, first, which, counts = np.unique(
        np.round(points / scale, 9), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    single = points[first]
    if len(single) < 4 or np.linalg.matrix_rank(single - single.mean(axis=0)) < 2:
        raise InputError("Samples that lie on one line have no cells: use the method pipe.")
    hull = spatial.ConvexHull(single)
    gap = float(np.median(spatial.cKDTree(single).query(single[hull.vertices], k=2)[0][:, 1]))
    guards = _around(single[hull.vertices], gap)
    diagram = spatial.Voronoi(np.concatenate([single, guards]))
    areas = np.empty(len(single))
    for number in range(len(single)):
        corners = diagram.vertices[diagram.regions[diagram.point_region[number]]]
        x, y = corners.T
        areas[number] = 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1))
    shared: Float64 = (areas / counts)[which.reshape(-1)]
    return shared


def _around(corners: Float64, gap: float) -> Float64:
    """Points along a convex polygon moved outwards by ``gap``, half a gap apart."""
    middle = corners.mean(axis=0)
    following = np.roll(corners, -1, axis=0)
    pieces = []
    for start, stop in zip(corners, following, strict=True):
        edge = stop - start
        outward = np.array([edge[1], -edge[0]]) / max(float(np.linalg.norm(edge)), 1e-30)
        if outward @ (start - middle) < 0:
            outward = -outward
        count = max(1, math.ceil(float(np.linalg.norm(edge)) / (gap / 2)))
        pieces.append(start + np.arange(count + 1)[:, None] / count * edge + outward * gap)
    return np.unique(np.round(np.concatenate(pieces), 9), axis=0)
