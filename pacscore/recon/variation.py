"""Least squares with total variation: images of few edges from few views, by FISTA and by Chambolle and Pock.

Slices of parallel beams and fans have a total variation of their own; of cones it is that of the volume. Differences
are taken per the smallest spacing, so weights mean the same along all axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.kernels.variation import add_divergence_into, ascend_into
from pacscore.recon.iterating import Options, Reconstruction, Run, norm, passes
from pacscore.recon.joseph_rays import Array
from pacscore.recon.projector import Projector


class Differences:
    """Differences between neighbours in a projector's native volumes, and their adjoint."""

    def __init__(self, projector: Projector) -> None:
        self.shape, self.box, steps = projector.native_layout()
        smallest = min(step for step in steps if step > 0)
        self.weights = np.array([smallest / step if step > 0 else 0.0 for step in steps], np.float32)
        self.bound = 4.0 * float((self.weights**2).sum())
        """At least the square of the operator's norm."""

    def new_dual(self) -> Array:
        """Zeros."""
        return np.zeros((3, *self.shape), np.float32)

    def ascend(self, values: Array, dual: Array, *, step: float, limit: float) -> None:
        """Add ``step`` times the differences to the dual, and shorten what is longer than ``limit``."""
        native, rows = values.reshape(self.shape), int(self.box[0, 1] - self.box[0, 0])
        parallel.run_tiles(
            lambda first, last: ascend_into(native, self.box, self.weights, step, limit, first, last, dual),
            rows,
            tile=8,
        )

    def add_divergence(self, dual: Array, values: Array, out: Array) -> None:
        """``out = values + divergence(dual)``."""
        source, target, rows = values.reshape(self.shape), out.reshape(self.shape), int(self.box[0, 1] - self.box[0, 0])
        parallel.run_tiles(
            lambda first, last: add_divergence_into(dual, self.box, self.weights, first, last, source, target),
            rows,
            tile=8,
        )

    def shrink(self, values: Array, dual: Array, out: Array, *, weight: float, iterations: int) -> None:
        """The proximal map of ``weight`` times the total variation, warm from ``dual``.

        Beck and Teboulle 2009, IEEE Trans. Image Process. 18(11): accelerated projected gradients on the dual.
        """
        ahead, momentum = dual.copy(), 1.0
        for _ in range(iterations):
            self.add_divergence(ahead, values, out)
            before = dual.copy()
            dual[:] = ahead
            self.ascend(out, dual, step=1 / self.bound, limit=weight)
            later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
            push = np.float32((momentum - 1) / later)
            momentum = later

            def extrapolate(a: Array, d: Array, b: Array, push: np.float32 = push) -> None:
                np.subtract(d, b, out=a)
                a *= push
                a += d

            passes(extrapolate, ahead, dual, before)
        self.add_divergence(dual, values, out)


def fista_tv(
    projections: NDArray[Any],
    projector: Projector,
    *,
    weight: float,
    iterations: int = 50,
    inner_iterations: int = 10,
    norm_estimate: float | None = None,
    **options: Any,
) -> Reconstruction:
    """Minimise ``|A x - b|² / 2 + weight TV(x)``, by default with ``x >= 0``.

    Parameters
    ----------
    projections : (views, rows, columns) array
    projector : Projector
    weight : float
        0 or more, in units of projection² per value of the image.
    iterations, inner_iterations : int
        Of the method, and of the proximal map within each, which goes on where it ended.
    norm_estimate : float, optional
        ``projector.normest()`` if it is known.
    **options
        As in ``iterating.Options``; ``minimum=None`` allows negative values.

    Raises
    ------
    InputError
        Projections, options or numbers that cannot be used.
    CancelledError
        A watch was cancelled.

    Notes
    -----
    Beck and Teboulle 2009, SIAM J. Imaging Sci. 2(1). Memory: two native copies of the projections, fifteen of the
    volume.
    """
    _check_weight(weight)
    run = Run(projections, projector, iterations, Options.of(options, minimum=0.0))
    step = 1 / (1.05 * _norm(projector, norm_estimate)) ** 2
    differences = Differences(projector)
    dual = differences.new_dual()
    ahead, before, slope = run.estimate.copy(), projector.new_volume(), projector.new_volume()
    residue, momentum = projector.new_projections(), 1.0
    for _ in run:
        projector.forward(ahead, out=residue)
        passes(lambda r, b: np.subtract(r, b, out=r), residue, run.data)
        run.note(norm(residue) / run.scale)
        projector.adjoint(residue, out=slope)
        passes(lambda a, s: np.subtract(a, s * np.float32(step), out=a), ahead, slope)
        before[:] = run.estimate
        differences.shrink(ahead, dual, run.estimate, weight=weight * step, iterations=inner_iterations)
        run.constrain()
        later = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        push = np.float32((momentum - 1) / later)
        momentum = later

        def extrapolate(a: Array, x: Array, b: Array, push: np.float32 = push) -> None:
            np.subtract(x, b, out=a)
            a *= push
            a += x

        passes(extrapolate, ahead, run.estimate, before)
    return run.finish()


def chambolle_pock_tv(
    projections: NDArray[Any],
    projector: Projector,
    *,
    weight: float,
    iterations: int = 100,
    norm_estimate: float | None = None,
    **options: Any,
) -> Reconstruction:
    """Minimise the same as ``fista_tv`` by primal and dual steps, with no inner iterations.

    Parameters
    ----------
    projections, projector, weight, iterations, norm_estimate, **options
        As in ``fista_tv``.

    Raises
    ------
    InputError, CancelledError
        As in ``fista_tv``.

    Notes
    -----
    Chambolle and Pock 2011, J. Math. Imaging Vis. 40, algorithm 1; Sidky, Jørgensen and Pan 2012, Phys. Med. Biol.
    57(10), for tomography. Differences are scaled to the norm of the projector. Memory: three native copies of the
    projections, nine of the volume.
    """
    _check_weight(weight)
    run = Run(projections, projector, iterations, Options.of(options, minimum=0.0))
    differences = Differences(projector)
    size = 1.05 * _norm(projector, norm_estimate)
    scale = size / np.sqrt(differences.bound)
    step = np.float32(1 / (np.sqrt(2.0) * size))
    dual, slope = differences.new_dual(), projector.new_volume()
    measured, line = projector.new_projections(), projector.new_projections()
    ahead = run.estimate.copy()
    for _ in run:
        projector.forward(ahead, out=line)
        passes(lambda r, b: np.subtract(r, b, out=r), line, run.data)
        run.note(norm(line) / run.scale)

        def ascend(m: Array, r: Array) -> None:
            m += step * r
            m /= 1 + step

        passes(ascend, measured, line)
        # The dual is kept divided by the scale of the differences.
        differences.ascend(ahead, dual, step=float(step), limit=weight / scale**2)
        projector.adjoint(measured, out=slope)
        ahead[:] = run.estimate
        passes(lambda x, s: np.subtract(x, step * s, out=x), run.estimate, slope)
        dual *= np.float32(float(step) * scale**2)
        differences.add_divergence(dual, run.estimate, run.estimate)
        dual /= np.float32(float(step) * scale**2)
        run.constrain()

        def extrapolate(a: Array, x: Array) -> None:
            np.subtract(2 * x, a, out=a)

        passes(extrapolate, ahead, run.estimate)
    return run.finish()


def _check_weight(weight: float) -> None:
    if not (np.isfinite(weight) and weight >= 0):
        raise InputError(f"weight must be 0 or more: {weight} is not.", found=weight)


def _norm(projector: Projector, known: float | None) -> float:
    value = projector.normest() if known is None else float(known)
    if not value > 0:
        raise InputError("No ray meets the grid: the projector's norm is 0. Check the geometry.")
    return value
