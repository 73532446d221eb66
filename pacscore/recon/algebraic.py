"""Algebraic methods: SIRT, SART and its ordered subsets, conjugate gradients on the normal equations.

All take projections, a ``Projector``, and what ``iterating.Options`` lists by name; all return a ``Reconstruction``.
Memory: three native copies of the projections and three to four of the volume.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.recon.iterating import (
    Options,
    Reconstruction,
    Run,
    dot,
    norm,
    over_views,
    passes,
    reciprocal,
    subsets_of,
)
from pacscore.recon.joseph_rays import Array
from pacscore.recon.projector import Projector


def sirt(
    projections: NDArray[Any], projector: Projector, *, iterations: int = 100, relaxation: float = 1.0, **options: Any
) -> Reconstruction:
    """Simultaneous iterative reconstruction: ``x += C A' R (b - A x)``, C and R one over column and row sums.

    Parameters
    ----------
    projections : (views, rows, columns) array
    projector : Projector
    iterations : int
    relaxation : float
        Above 0 and below 2.
    **options
        As in ``iterating.Options``.

    Raises
    ------
    InputError
        Projections, options or numbers that cannot be used.
    CancelledError
        A watch was cancelled.

    Notes
    -----
    Gregor and Benson 2008, IEEE Trans. Med. Imaging 27(7). Converges to a least-squares solution weighted by R.
    """
    return os_sart(projections, projector, iterations=iterations, subsets=1, relaxation=relaxation, **options)


def sart(
    projections: NDArray[Any], projector: Projector, *, iterations: int = 10, relaxation: float = 0.5, **options: Any
) -> Reconstruction:
    """The simultaneous algebraic technique: as ``os_sart`` with one view in each subset.

    Andersen and Kak 1984, Ultrason. Imaging 6(1).
    """
    views = projector.geometry.shape[0]
    return os_sart(projections, projector, iterations=iterations, subsets=views, relaxation=relaxation, **options)


def os_sart(
    projections: NDArray[Any],
    projector: Projector,
    *,
    iterations: int = 20,
    subsets: int = 10,
    relaxation: float = 1.0,
    **options: Any,
) -> Reconstruction:
    """SIRT over ordered subsets of the views: about as many times faster at first as there are subsets.

    Parameters
    ----------
    projections, projector, iterations, relaxation, **options
        As in ``sirt``. An iteration visits all subsets.
    subsets : int
        1 is SIRT, the number of views is SART. Views are dealt out evenly.

    Raises
    ------
    InputError, CancelledError
        As in ``sirt``; or there are more subsets than views.

    Notes
    -----
    Wang and Jiang 2004, J. X-ray Sci. Technol. 12. Column sums are those of all views over the number of subsets, so
    one volume holds them.
    """
    if not 0.0 < relaxation < 2.0:
        raise InputError(f"relaxation lies between 0 and 2: {relaxation} does not converge.", found=relaxation)
    run = Run(projections, projector, iterations, Options.of(options))
    groups = subsets_of(projector.geometry.shape[0], subsets)
    rows = reciprocal(projector.forward(run.allowed))
    columns = reciprocal(projector.adjoint(projector.native_projections(np.ones(projector.geometry.shape, np.float32))))
    step = np.float32(relaxation * subsets)
    residue, update = projector.new_projections(), projector.new_volume()
    for _ in run:
        total = 0.0
        for group in groups:
            chosen = None if subsets == 1 else group
            projector.forward(run.estimate, out=residue, views=chosen)
            total += over_views(chosen, _weigh_residue, residue, run.data, rows)
            projector.adjoint(residue, out=update, views=chosen)
            _move(run, update, columns, step)
        run.note(float(np.sqrt(total)) / run.scale)
    return run.finish()


def _weigh_residue(residue: Array, data: Array, rows: Array) -> float:
    """``residue = (data - residue) * rows``; returns the square of what was before the weights."""
    np.subtract(data, residue, out=residue)
    square = float(residue @ residue)
    residue *= rows
    return square


def _move(run: Run, update: Array, columns: Array, step: np.float32) -> None:
    low, high = run.options.minimum, run.options.maximum
    bounded = low is not None or high is not None

    def add(x: Array, u: Array, c: Array, allowed: Array) -> None:
        u *= c
        u *= step
        x += u
        if bounded:
            np.clip(x, low, high, out=x)
        x *= allowed

    passes(add, run.estimate, update, columns, run.allowed)


def cgls(projections: NDArray[Any], projector: Projector, *, iterations: int = 20, **options: Any) -> Reconstruction:
    """Conjugate gradients on the normal equations: least squares, with the fewest products of all.

    Parameters
    ----------
    projections, projector, iterations, **options
        As in ``sirt``; bounds have no meaning here and are refused.

    Raises
    ------
    InputError, CancelledError
        As in ``sirt``; or bounds were given.

    Notes
    -----
    Hestenes and Stiefel 1952. Stop early: the first iterations fit the image, later ones the noise.
    """
    run = Run(projections, projector, iterations, Options.of(options))
    if run.options.minimum is not None or run.options.maximum is not None:
        raise InputError("cgls keeps no bounds: use sirt, os_sart or fista_tv for non-negative images.")
    residue = projector.forward(run.estimate)
    passes(lambda r, b: np.subtract(b, r, out=r), residue, run.data)
    slope = projector.adjoint(residue)
    slope *= run.allowed
    direction, along = slope.copy(), projector.new_projections()
    steep = dot(slope, slope)
    for _ in run:
        run.note(norm(residue) / run.scale)
        projector.forward(direction, out=along)
        energy = dot(along, along)
        if energy <= 0.0:
            run.stopped = "residual"
            break
        length = np.float32(steep / energy)
        passes(lambda x, d, length=length: np.add(x, d * length, out=x), run.estimate, direction)
        passes(lambda r, a, length=length: np.subtract(r, a * length, out=r), residue, along)
        projector.adjoint(residue, out=slope)
        slope *= run.allowed
        before, steep = steep, dot(slope, slope)
        turn = np.float32(steep / before)

        def turn_direction(d: Array, s: Array, turn: np.float32 = turn) -> None:
            d *= turn
            d += s

        passes(turn_direction, direction, slope)
    return run.finish()
