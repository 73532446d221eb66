"""Maximum likelihood of counted photons: emission (MLEM, OSEM) and transmission (ML-TR), with ordered subsets."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.recon.iterating import Options, Reconstruction, Run, over_views, passes, reciprocal, subsets_of
from pacscore.recon.joseph_rays import Array
from pacscore.recon.projector import Projector

_SMALL = np.float32(1e-20)


def mlem(counts: NDArray[Any], projector: Projector, *, iterations: int = 50, **options: Any) -> Reconstruction:
    """Emission: the activity whose projections make the counts most likely; ``osem`` with one subset.

    Shepp and Vardi 1982, IEEE Trans. Med. Imaging 1(2).
    """
    return osem(counts, projector, iterations=iterations, subsets=1, **options)


def osem(
    counts: NDArray[Any],
    projector: Projector,
    *,
    iterations: int = 10,
    subsets: int = 10,
    background: NDArray[Any] | float = 0.0,
    **options: Any,
) -> Reconstruction:
    """Emission over ordered subsets: ``x *= A'(y / (A x + s)) / A' 1``.

    Parameters
    ----------
    counts : (views, rows, columns) array
        0 or more.
    projector : Projector
        Scaled so that ``A x`` are expected counts.
    iterations, subsets : int
        An iteration visits all subsets.
    background : (views, rows, columns) array or float
        Expected scatter and randoms.
    **options
        As in ``iterating.Options``; values are never negative.

    Returns
    -------
    Reconstruction
        Its residuals are deviances of the Poisson model per measurement: about 1 where it fits.

    Raises
    ------
    InputError
        Counts are negative, or options cannot be used.
    CancelledError
        A watch was cancelled.

    Notes
    -----
    Hudson and Larkin 1994, IEEE Trans. Med. Imaging 13(4). Memory: four native copies of the projections, four of the
    volume.
    """
    refuse_negative(counts, "Counts")
    geometry = projector.geometry
    sensitivity = projector.adjoint(projector.native_projections(np.ones(geometry.shape, np.float32)))
    mean = float(np.sum(counts, dtype=np.float64)) / max(1e-30, float(np.sum(sensitivity, dtype=np.float64)))
    run = Run(counts, projector, iterations, Options.of(options, minimum=0.0), fill=max(mean, 1e-12))
    scale = reciprocal(sensitivity)
    added = projector.native_projections(np.broadcast_to(np.asarray(background, np.float32), geometry.shape))
    groups = subsets_of(geometry.shape[0], subsets)
    expected, update = projector.new_projections(), projector.new_volume()
    factor = np.float32(subsets)
    for _ in run:
        total = 0.0
        for group in groups:
            chosen = None if subsets == 1 else group
            projector.forward(run.estimate, out=expected, views=chosen)
            total += over_views(chosen, _ratio, expected, run.data, added)
            projector.adjoint(expected, out=update, views=chosen)

            def multiply(x: Array, u: Array, c: Array) -> None:
                x *= u * c * factor

            passes(multiply, run.estimate, update, scale)
            run.constrain()
        run.note(2.0 * total / counts.size)
    return run.finish()


def _ratio(expected: Array, data: Array, added: Array) -> float:
    expected += added
    seen = expected > _SMALL
    both = seen & (data > 0)
    deviance = float((expected - data).sum(dtype=np.float64))
    deviance += float((data[both] * np.log(data[both] / expected[both])).sum(dtype=np.float64))
    np.divide(data, expected, out=expected, where=seen)
    expected *= seen
    return deviance


def mltr(
    counts: NDArray[Any],
    projector: Projector,
    *,
    blank: NDArray[Any] | float,
    iterations: int = 30,
    subsets: int = 1,
    background: NDArray[Any] | float = 0.0,
    **options: Any,
) -> Reconstruction:
    """Transmission: the attenuation that makes the counts behind the object most likely.

    Parameters
    ----------
    counts : (views, rows, columns) array
        With the object; 0 or more. No logarithm is taken, so few or no counts do no harm.
    blank : (views, rows, columns) array or float
        Expected counts without the object.
    background : (views, rows, columns) array or float
        Expected scatter.
    iterations, subsets, **options
        As in ``osem``.

    Raises
    ------
    InputError, CancelledError
        As in ``osem``.

    Notes
    -----
    Nuyts et al. 1998, Phys. Med. Biol. 43(4), equation 8: ``x += A'(e - y) / A'(e A 1)`` with ``e = blank exp(-A x)``,
    weighted by ``e / (e + s)`` where scatter is expected.
    """
    refuse_negative(counts, "Counts")
    refuse_negative(np.asarray(blank), "Blank counts")
    run = Run(counts, projector, iterations, Options.of(options, minimum=0.0))
    shape = projector.geometry.shape
    open_beam, added = (
        projector.native_projections(np.broadcast_to(np.asarray(each, np.float32), shape))
        for each in (blank, background)
    )
    paths = projector.forward(run.allowed)
    groups = subsets_of(shape[0], subsets)
    expected, curvature = projector.new_projections(), projector.new_projections()
    update, scale = projector.new_volume(), projector.new_volume()
    for _ in run:
        total = 0.0
        for group in groups:
            chosen = None if subsets == 1 else group
            projector.forward(run.estimate, out=expected, views=chosen)
            total += over_views(
                chosen, _transmitted, expected, curvature, run.data, open_beam, added, paths
            )  # fmt: skip
            projector.adjoint(expected, out=update, views=chosen)
            projector.adjoint(curvature, out=scale, views=chosen)

            def add(x: Array, u: Array, c: Array) -> None:
                np.divide(u, c, out=u, where=c > _SMALL)
                x += u * (c > _SMALL)

            passes(add, run.estimate, update, scale)
            run.constrain()
        run.note(2.0 * total / counts.size)
    return run.finish()


def _transmitted(  # noqa: PLR0917 -- Pieces of arrays, by position.
    line: Array, curvature: Array, data: Array, open_beam: Array, added: Array, paths: Array
) -> float:
    passed = open_beam * np.exp(-line)
    expected = passed + added
    seen = expected > _SMALL
    both = seen & (data > 0)
    deviance = float((expected - data).sum(dtype=np.float64))
    deviance += float((data[both] * np.log(data[both] / expected[both])).sum(dtype=np.float64))
    share = np.divide(passed, expected, out=np.zeros_like(passed), where=seen)
    line[:] = share * (expected - data)
    curvature[:] = share * passed * paths
    return deviance


def refuse_negative(values: NDArray[Any], what: str) -> None:
    """Raise ``InputError`` where a count is negative or not finite."""
    given = np.asarray(values)
    if given.size == 0 or not (np.isfinite(given).all() and given.min() >= 0):
        raise InputError(f"{what} must be finite and 0 or more everywhere.")
