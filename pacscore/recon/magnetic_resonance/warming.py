"""What compiles the kernels of magnetic resonance ahead; no optional library is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.coils import dominant_eigenvectors, root_sum_of_squares
from pacscore.recon.magnetic_resonance.plane_transforms import NormalOfCoils, SquaredTransform
from pacscore.recon.magnetic_resonance.solvers import Stopping, conjugate_gradient, fista
from pacscore.recon.magnetic_resonance.total_variation import TotalVariation
from pacscore.recon.magnetic_resonance.wavelets import WaveletTransform

_ALONE = Watch(threads=1)
_TWICE = Stopping(2, 0.0)


def _planes() -> None:
    image = np.ones((8, 8), np.complex64)
    SquaredTransform(image.shape)(image[None], np.empty(image.shape, np.float32))
    operator = NormalOfCoils(image[None], np.ones(image.shape, np.float32), 1)
    operator.add(0, operator.part(image), image.copy(), 0)
    operator.join(image.reshape(1, -1))


def _coils() -> None:
    image = np.ones((1, 4, 4), np.complex64)
    flat, weights = image.reshape(-1), np.ones(16, np.float32)
    root_sum_of_squares(image)
    mr_coils.multiply_into(flat, flat, np.empty_like(flat))
    mr_coils.add_conjugate_product_into(flat, flat, np.zeros_like(flat))
    mr_coils.scale_into(weights, flat.copy())
    dominant_eigenvectors(np.ones((1, 16), np.complex64), np.ones(1, np.complex64), watch=_ALONE)
    conjugate_gradient(lambda each: each * np.arange(1, 17, dtype=np.float32), flat, stopping=_TWICE)


def _sparsity() -> None:
    image = np.ones((16, 16, 16), np.complex64)
    transform = WaveletTransform(image.shape, watch=_ALONE)
    coefficients = transform.forward(image.copy())
    transform.shrink(coefficients, 0.1)
    transform.absolute_sum(coefficients)
    transform.inverse(coefficients)
    variation = TotalVariation((4, 4), iterations=1, watch=_ALONE)
    fista(np.array, image[0, :4, :4].copy(), variation.proximal, lipschitz=1.0, stopping=_TWICE)


WARM_CALLS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("planes of magnetic resonance", _planes),
    ("coils of magnetic resonance", _coils),
    ("sparse images", _sparsity),
)
"""Name for people, and the function that calls every kernel of the family once."""
