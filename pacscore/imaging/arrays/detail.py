"""Detail of many sizes: multi-scale contrast enhancement on a Laplacian pyramid."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.stacks import finite_limits, numbers_of
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import laplacian_pyramid as kernels

_CHUNK = 1 << 16
_SHORT_MIN = 4
"""A pyramid ends before an image has fewer rows or columns."""


def amplify_detail(
    image: NDArray[Any],
    *,
    exponent: float = 0.7,
    core: float = 0.01,
    base: float = 1.0,
    levels: int | None = None,
    watch: Watch = UNWATCHED,
) -> NDArray[np.float32]:
    """Multi-scale contrast enhancement of a radiograph: raise faint detail of every size, hold back strong detail.

    Parameters
    ----------
    image : NDArray
        ``(rows, columns)``, integers or floats, finite.
    exponent : float
        0 < exponent <= 1: detail becomes its power, relative to the strongest; 1 changes nothing.
    core : float
        Share of the strongest detail, 0 < core <= 1, below which the gain no longer grows, so that noise does not.
    base : float
        Factor on what remains beneath the levels, the broad brightness: below 1 narrows the latitude.
    levels : int, optional
        How many sizes of detail, each twice the last; by default as many as the image has.
    watch : Watch
        Progress, cancelling, threads.

    Returns
    -------
    NDArray of float32
        Shape of ``image``, in its unit, around the same mean brightness.

    Raises
    ------
    InputError
        The array or a number is not as described.
    CancelledError
        ``watch`` says so.

    Notes
    -----
    Vuylsteke and Schoeters, Multiscale image contrast amplification (MUSICA), Proc. SPIE 2167 (1994) 551, on the
    Laplacian pyramid of Burt and Adelson (1983). Beyond the border the nearest value counts.

    Examples
    --------
    >>> ramp = np.add.outer(np.arange(16.0), np.arange(16.0))
    >>> bool(np.allclose(amplify_detail(ramp, exponent=1.0), ramp, atol=1e-4))
    True
    """
    source = numbers_of(image)
    if source.ndim != 2 or not (0 < exponent <= 1 and 0 < core <= 1 and math.isfinite(base)):
        raise InputError(
            "Detail of (rows, columns) is amplified with exponent and core above 0 and up to 1: not "
            f"{source.shape}, {exponent} and {core}."
        )
    if levels is not None and levels < 1:
        raise InputError(f"A pyramid has at least one level, not {levels}.", found=levels)
    details = [source.astype(np.float32)]
    if not source.size:
        return details[0]
    finite_limits(source, allow_nan=False)
    while min(details[-1].shape) >= 2 * _SHORT_MIN and (levels is None or len(details) <= levels):
        details.append(_halved(details[-1], watch))
        _doubled(details[-1], -1.0, details[-2], watch)
    strongest = [float(max(detail.max(), -detail.min())) for detail in details[:-1]]
    limit = max(strongest, default=0.0)
    if limit > 0:
        for detail in details[:-1]:
            _amplified(detail, limit, exponent, core, watch)
    remainder = details.pop()
    mean = remainder.mean(dtype=np.float64)
    remainder[...] = mean + base * (remainder - mean)
    while details:
        finer = details.pop()
        _doubled(remainder, 1.0, finer, watch)
        remainder = finer
    return remainder


def _halved(image: NDArray[np.float32], watch: Watch) -> NDArray[np.float32]:
    rows, columns = image.shape
    out = np.empty((-(-rows // 2), -(-columns // 2)), np.float32)

    def halve(start: int, stop: int) -> None:
        kernels.halve_into(image, np.empty(columns, np.float32), out, start, stop)

    watch.run("detail", halve, out.shape[0], tile=64)
    return out


def _doubled(coarse: NDArray[np.float32], sign: float, image: NDArray[np.float32], watch: Watch) -> None:
    def double(start: int, stop: int) -> None:
        kernels.double_into(coarse, sign, np.empty(coarse.shape[1], np.float32), image, start, stop)

    watch.run("detail", double, image.shape[0], tile=128)


def _amplified(detail: NDArray[np.float32], limit: float, exponent: float, core: float, watch: Watch) -> None:
    flat = detail.reshape(-1)

    def amplify(start: int, stop: int) -> None:
        kernels.amplify_detail_into(flat[start:stop], limit, exponent, core * limit, 1.0)

    watch.run("detail", amplify, flat.size, tile=_CHUNK)
