"""Compressed sensing: images that are sparse in wavelets or have little total variation, from few samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import finite_array
from pacscore.recon.magnetic_resonance.sense import SenseOperator, sampling_mask
from pacscore.recon.magnetic_resonance.solvers import Operator, Solution, Stopping, fista
from pacscore.recon.magnetic_resonance.total_variation import TotalVariation
from pacscore.recon.magnetic_resonance.wavelets import WaveletTransform

Complex64 = NDArray[np.complex64]

PENALTIES = ("wavelet", "total variation")
"""What can be asked of an image."""


class ImagingOperator(Protocol):
    """What sparse reconstruction needs of an acquisition: Cartesian or not."""

    shape: tuple[int, ...]

    @property
    def largest_eigenvalue_bound(self) -> float:
        """Not less than the largest eigenvalue of ``A' A``."""
        ...

    def normal(self, image: Complex64) -> Complex64:
        """``A' A x``."""
        ...


def sparse_solution(
    operator: ImagingOperator,
    rhs: Complex64,
    weight: float,
    *,
    penalty: str = "wavelet",
    wavelet: str = "db2",
    levels: int = 4,
    approximation: bool = False,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Minimise ``|A x - y|² / 2 + weight * penalty(x)`` by FISTA.

    Parameters
    ----------
    operator : ImagingOperator
        ``A``.
    rhs : NDArray of complex64
        ``A' y``.
    weight : float
        Of the penalty, 0 or more, in the unit of the image.
    penalty : str
        One of ``PENALTIES``: the absolute sum of wavelet coefficients, or isotropic total variation.
    wavelet, levels
        As in ``WaveletTransform``.
    approximation : bool
        Whether the coarse image is penalised as the details are.
    stopping : Stopping, optional
        100 iterations or a change of 1e-5 by default.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    Solution

    Raises
    ------
    InputError
        An argument is out of range.
    CancelledError
        The watch says so.

    Notes
    -----
    Lustig, Donoho and Pauly 2007. An image whose axes cannot be halved often enough is solved for on a slightly larger
    grid of which the operator sees the corner; so the wavelets stay orthonormal and the step exact.
    """
    if not (math.isfinite(weight) and weight >= 0):
        raise InputError("The weight of a penalty is 0 or more.", found=weight)
    if penalty not in PENALTIES:
        raise InputError(f"penalty is one of {', '.join(PENALTIES)}, not {penalty!r}.", found=penalty)
    bound = operator.largest_eigenvalue_bound
    if bound <= 0:
        raise InputError("The coils see nothing: all sensitivities are 0.")
    if penalty == "total variation":
        variation = TotalVariation(operator.shape, watch=watch)
        return fista(
            operator.normal, rhs, lambda image, step: variation.proximal(image, weight * step), lipschitz=bound,
            stopping=stopping, watch=watch,
        )  # fmt: skip
    transform = WaveletTransform(operator.shape, wavelet=wavelet, levels=levels, watch=watch)

    def proximal(image: Complex64, step: float) -> Complex64:
        coefficients = transform.forward(image)
        transform.shrink(coefficients, weight * step, approximation=approximation)
        return transform.inverse(coefficients)

    normal: Operator = operator.normal
    if transform.padded_shape != operator.shape:
        normal = _on_padded(operator.normal, transform)
    ends = stopping or Stopping(iterations=100, tolerance=1e-5)
    if ends.callback is not None:
        ends = replace(ends, callback=_cropping(ends.callback, transform))
    solution = fista(normal, transform.pad(rhs), proximal, lipschitz=bound, stopping=ends, watch=watch)
    return replace(solution, image=transform.crop(solution.image))


def compressed_sensing(
    kspace: NDArray[Any],
    maps: NDArray[Any],
    weight: float,
    *,
    mask: NDArray[Any] | None = None,
    penalty: str = "wavelet",
    wavelet: str = "db2",
    levels: int = 4,
    approximation: bool = False,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Reconstruct a sparse image from undersampled Cartesian k-space.

    Parameters
    ----------
    kspace : NDArray
        ``(coils, [kz,] ky, kx)``, 0 where not sampled.
    maps : NDArray
        ``(coils, [slice,] row, column)`` sensitivities.
    mask : NDArray, optional
        Where k-space was sampled; by default where it is not 0.
    weight, penalty, wavelet, levels, approximation, stopping, watch
        As in ``sparse_solution``.

    Returns
    -------
    Solution

    Raises
    ------
    InputError, CancelledError
        As in ``sparse_solution`` and ``SenseOperator``.
    """
    given = finite_array(kspace, "kspace", 3)
    operator = SenseOperator(maps, sampling_mask(given) if mask is None else mask, watch=watch)
    return sparse_solution(
        operator, operator.adjoint(given), weight, penalty=penalty, wavelet=wavelet, levels=levels,
        approximation=approximation, stopping=stopping, watch=watch,
    )  # fmt: skip


def _on_padded(
    normal: Callable[[Complex64], Complex64], transform: WaveletTransform
) -> Callable[[Complex64], Complex64]:
    def padded(image: Complex64) -> Complex64:
        return transform.pad(normal(transform.crop(image)))

    return padded


def _cropping(callback: Any, transform: WaveletTransform) -> Any:
    def cropped(iteration: int, image: Complex64, residual: float) -> Any:
        return callback(iteration, transform.crop(image), residual)

    return cropped
