"""Partial Fourier: the part of k-space that was not measured, from its conjugate symmetry.

The phase of the image is taken from the band about zero frequency that was measured on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import centred_fft, centred_ifft, finite_array

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

PARTIAL_FOURIER = ("zero-fill", "homodyne", "pocs")
"""What can be done about lines that were not measured."""


def fill_partial_fourier(
    kspace: NDArray[Any],
    measured: tuple[int, int],
    *,
    axis: int = -2,
    dimensions: int = 2,
    method: str = "homodyne",
    iterations: int = 12,
    watch: Watch = UNWATCHED,
) -> Complex64:
    """Images from k-space of which one end was not measured.

    Parameters
    ----------
    kspace : NDArray
        ``(…, [kz,] ky, kx)`` at its full length, what was not measured being 0.
    measured : (int, int)
        First line measured and the one after the last, along ``axis``.
    axis : int
        Which of the last ``dimensions`` axes is partial, counted from the end.
    dimensions : int
        2 or 3 axes make an image.
    method : str
        One of ``PARTIAL_FOURIER``. ``homodyne`` images have the phase of the symmetric band; ``pocs`` keeps what was
        measured exactly.
    iterations : int
        Of ``pocs``, at least 1.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of complex64
        Images, the shape of ``kspace``.

    Raises
    ------
    InputError
        The range does not reach across zero frequency, or an argument is none of those named.

    Notes
    -----
    Noll, Nishimura and Macovski 1991 (homodyne); Haacke, Lindskog and Lin 1991 (projection onto convex sets).
    """
    given = finite_array(kspace, "kspace", dimensions)
    if dimensions not in {2, 3} or not -dimensions <= axis < 0:
        raise InputError("axis is one of the last 2 or 3, counted from the end.", found=axis)
    if method not in PARTIAL_FOURIER:
        raise InputError(f"method is one of {', '.join(PARTIAL_FOURIER)}, not {method!r}.", found=method)
    if iterations < 1:
        raise InputError("iterations is at least 1.", found=iterations)
    length, (start, stop) = given.shape[axis], measured
    centre = length // 2
    if not 0 <= start <= centre < stop <= length:
        raise InputError(f"Lines {start} to {stop} of {length} do not contain zero frequency, line {centre}.")
    axes = tuple(range(-dimensions, 0))
    if method == "zero-fill" or (start, stop) == (0, length):
        return centred_ifft(given, axes=axes, watch=watch)
    along = [-1 if at == axis else 1 for at in range(-given.ndim, 0)]
    reach = min(centre - start, stop - 1 - centre)
    low = (_low_pass(length, reach)).reshape(along)
    phase = centred_ifft(given * low, axes=axes, watch=watch)
    phase = _unit(phase)
    if method == "homodyne":
        weighted = given * _homodyne_weights(length, start, stop, reach).reshape(along)
        image = centred_ifft(weighted, axes=axes, watch=watch)
        # The phase is put back, so that coils can be combined with their sensitivities.
        return np.asarray((image * np.conj(phase)).real * phase, np.complex64)
    lines = np.arange(length)
    kept = ((lines >= start) & (lines < stop)).reshape(along)
    image = centred_ifft(given, axes=axes, watch=watch)
    for _ in range(iterations):
        watch.check()
        filled = centred_fft(np.abs(image) * phase, axes=axes, watch=watch)
        image = centred_ifft(np.where(kept, given, filled), axes=axes, watch=watch)
    return image


def _low_pass(length: int, reach: int) -> Float32:
    """A Hann window over the lines measured on both sides of zero frequency."""
    offset = np.abs(np.arange(length) - length // 2)
    window = np.where(offset <= reach, 0.5 + 0.5 * np.cos(np.pi * offset / (reach + 1)), 0.0)
    return window.astype(np.float32)


def _homodyne_weights(length: int, start: int, stop: int, reach: int) -> Float32:
    """2 where only one of a pair of conjugate lines was measured, 1 at zero frequency, a ramp between.

    The weights of the two lines of every pair add to 2.
    """
    offset = np.arange(length) - length // 2
    sign = 1 if stop - 1 - length // 2 >= length // 2 - start else -1
    ramp = np.clip(1.0 + sign * offset / (reach + 1), 0.0, 2.0)
    if length % 2 == 0:
        ramp[0] = 1.0  # The line at the end of an even axis is its own pair.
    lines = np.arange(length)
    return np.where((lines >= start) & (lines < stop), ramp, 0.0).astype(np.float32)


def _unit(values: Complex64) -> Complex64:
    size = np.abs(values)
    return np.divide(values, size, out=np.ones_like(values), where=size > 0)
