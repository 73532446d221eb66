"""Images from samples anywhere in k-space: gridding, and operators for iterative reconstruction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.density import density_weights
from pacscore.recon.magnetic_resonance.fourier import complex_array, finite_array, image_array
from pacscore.recon.magnetic_resonance.libraries import fourier_library
from pacscore.recon.magnetic_resonance.nufft import NonuniformFourier, point_spread
from pacscore.recon.magnetic_resonance.sense import CoilSums
from pacscore.recon.magnetic_resonance.solvers import Solution, Stopping, conjugate_gradient, largest_eigenvalue
from pacscore.recon.magnetic_resonance.trajectories import Trajectory

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

_BLOCK_BYTES = 1 << 18


def grid(
    samples: NDArray[Any],
    trajectory: Trajectory,
    *,
    weights: NDArray[Any] | None = None,
    tolerance: float = 1e-4,
    watch: Watch = UNWATCHED,
) -> Complex64:
    """Coil images by the adjoint transform of density-compensated samples.

    Parameters
    ----------
    samples : NDArray
        ``(coils, interleaves, samples)``.
    trajectory : Trajectory
        Where they lie, and the shape of the image.
    weights : NDArray, optional
        ``(interleaves, samples)``; by default ``density_weights`` by the method pipe.
    tolerance : float
        Of the transform.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of complex64
        ``(coils, [slice,] row, column)``.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.
    UnsupportedError
        finufft is not installed.
    """
    given = finite_array(samples, "samples", 3)
    density = density_weights(trajectory, watch=watch) if weights is None else _weights(weights, trajectory)
    transform = NonuniformFourier(trajectory, count=len(given), tolerance=tolerance, watch=watch)
    return transform.adjoint(given * density.astype(np.float32))


class ToeplitzNormal:
    """``F' W F`` of a trajectory as a convolution: two padded transforms, whatever the number of samples.

    Parameters
    ----------
    trajectory : Trajectory
        Where the samples lie, and the shape of the image.
    weights : NDArray, optional
        ``(interleaves, samples)``, 0 or more; 1 by default.
    watch : Watch
        Threads.

    Raises
    ------
    InputError
        Weights do not fit, are negative or not finite.
    UnsupportedError
        finufft or SciPy is not installed.

    Notes
    -----
    Fessler et al. 2005. The spectrum of the point spread function is real, since weights are. Transforms are pruned:
    half of the padded grid is zero before, and not wanted after. Memory: the spectrum (2 ** axes real images), and for
    each thread twice an image and a block of 256 KiB for planes.
    """

    def __init__(
        self, trajectory: Trajectory, *, weights: NDArray[Any] | None = None, watch: Watch = UNWATCHED
    ) -> None:
        self.shape = trajectory.shape
        given = np.ones(trajectory.coordinates.shape[:2]) if weights is None else _weights(weights, trajectory)
        spread = point_spread(trajectory, given, watch=watch) / math.prod(self.shape)
        for axis in range(spread.ndim):  # A displacement by the whole axis does not occur, and has no opposite.
            spread[(slice(None),) * axis + (0,)] = 0
        spectrum = fourier_library().fftn(np.fft.ifftshift(spread), workers=watch.threads).real
        lead, columns = spectrum.shape[:-1], spectrum.shape[-1]
        self.width = max(1, min(columns, _BLOCK_BYTES // (8 * math.prod(lead))))
        self._blocks = [
            np.ascontiguousarray(spectrum[..., first : first + self.width], np.float32)
            for first in range(0, columns, self.width)
        ]

    def apply_into(self, wide: Complex64, block: Complex64) -> None:
        """Convolve an image in place.

        wide : (…rows, 2 * columns) complex64; the image in its first columns, anything beyond
        block : scratch of ``block_shape``
        """
        sf = fourier_library()
        columns = self.shape[-1]
        inner = tuple(map(slice, self.shape[:-1]))
        axes = tuple(range(len(self.shape) - 1))
        wide[..., columns:] = 0
        wide = sf.fft(wide, axis=-1, overwrite_x=True)
        for number, spectrum in enumerate(self._blocks):
            first, width = number * self.width, spectrum.shape[-1]
            part = block[..., :width] if width == self.width else np.empty(spectrum.shape, np.complex64)
            part[...] = 0
            part[inner] = wide[..., first : first + width]
            part = sf.fftn(part, axes=axes, overwrite_x=True)
            mr_coils.scale_into(spectrum.reshape(-1), part.reshape(-1))
            part = sf.ifftn(part, axes=axes, overwrite_x=True)
            wide[..., first : first + width] = part[inner]
        result = sf.ifft(wide, axis=-1, overwrite_x=True)
        if result is not wide:
            wide[...] = result

    @property
    def block_shape(self) -> tuple[int, ...]:
        """Of the scratch that ``apply_into`` needs."""
        return (*self._blocks[0].shape[:-1], self.width)

    def normal(self, image: Complex64) -> Complex64:
        """``F' W F`` of one image, a new array."""
        given = complex_array(image, "image", 2)
        if given.shape != self.shape:
            raise InputError(f"An image of {self.shape} is needed, not {given.shape}.", found=given.shape)
        wide = np.zeros((*self.shape[:-1], 2 * self.shape[-1]), np.complex64)
        wide[..., : self.shape[-1]] = given
        self.apply_into(wide, np.empty(self.block_shape, np.complex64))
        return np.ascontiguousarray(wide[..., : self.shape[-1]])


class NonCartesianSense:
    """What a trajectory through coils does to an image: ``A x = sqrt(W) F (maps * x)``.

    Parameters
    ----------
    maps : NDArray
        ``(coils, [slice,] row, column)`` sensitivities.
    trajectory : Trajectory
        For images of that shape.
    weights : NDArray, optional
        ``(interleaves, samples)``: density compensation, which makes iterations converge sooner; 1 by default.
    tolerance : float
        Of ``forward`` and ``adjoint``.
    watch : Watch
        Threads.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.
    UnsupportedError
        finufft or SciPy is not installed.
    """

    def __init__(
        self,
        maps: NDArray[Any],
        trajectory: Trajectory,
        *,
        weights: NDArray[Any] | None = None,
        tolerance: float = 1e-4,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._maps = np.array(finite_array(maps, "maps", 3))
        self.coils, self.shape = self._maps.shape[0], self._maps.shape[1:]
        if self.shape != trajectory.shape:
            raise InputError(f"The trajectory is for images of {trajectory.shape}, the maps have {self.shape}.")
        given = np.ones(trajectory.coordinates.shape[:2]) if weights is None else _weights(weights, trajectory)
        self._weights = given.astype(np.float32)
        self._transform = NonuniformFourier(trajectory, count=self.coils, tolerance=tolerance, watch=watch)
        self._toeplitz = ToeplitzNormal(trajectory, weights=given, watch=watch)
        self._sums = CoilSums(self.coils, self.shape, watch)

    @property
    def largest_eigenvalue_bound(self) -> float:
        """The largest eigenvalue of ``A' A``, by power iteration, and a twentieth more."""
        return 1.05 * largest_eigenvalue(self.normal, self.shape)

    def forward(self, image: NDArray[Any]) -> Complex64:
        """Samples ``(coils, interleaves, samples)`` of an image, without weights."""
        return self._transform.forward(self._maps * image_array(image, self.shape))

    def adjoint(self, samples: NDArray[Any]) -> Complex64:
        """The image of samples, weighted: the right side of the normal equations."""
        images = self._transform.adjoint(complex_array(samples, "samples", 3) * self._weights)
        total: Complex64 = np.einsum("c...,c...->...", self._maps.conj(), images)
        return total

    def normal(self, image: Complex64) -> Complex64:
        """``A' A x``, a new array, without visiting the samples."""
        x = image_array(image, self.shape)
        columns = self.shape[-1]

        def run(coils: range, sums: Complex64, _group: int) -> None:
            wide = np.empty((*self.shape[:-1], 2 * columns), np.complex64)
            block = np.empty(self._toeplitz.block_shape, np.complex64)
            result = sums.reshape(self.shape)
            for coil in coils:
                np.multiply(self._maps[coil], x, out=wide[..., :columns])
                self._toeplitz.apply_into(wide, block)
                image = np.ascontiguousarray(wide[..., :columns])
                mr_coils.add_conjugate_product_into(self._maps[coil].reshape(-1), image.reshape(-1), result.reshape(-1))

        return self._sums.run(run)


def iterative_sense(
    samples: NDArray[Any],
    maps: NDArray[Any],
    trajectory: Trajectory,
    *,
    weights: NDArray[Any] | None = None,
    regularization: float = 0.0,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Reconstruct an image from samples anywhere in k-space by conjugate gradients.

    Parameters
    ----------
    samples : NDArray
        ``(coils, interleaves, samples)``.
    maps, trajectory, weights
        As in ``NonCartesianSense``; weights are found by the method pipe by default.
    regularization, stopping, watch
        As in ``sense``.

    Returns
    -------
    Solution

    Raises
    ------
    InputError, UnsupportedError, CancelledError
        As in ``NonCartesianSense`` and ``sense``.

    Notes
    -----
    Pruessmann et al. 2001, with the normal operator of Fessler et al. 2005.
    """
    given = finite_array(samples, "samples", 3)
    density = density_weights(trajectory, watch=watch) if weights is None else weights
    operator = NonCartesianSense(maps, trajectory, weights=density, watch=watch)
    return conjugate_gradient(
        operator.normal, operator.adjoint(given), regularization=regularization, stopping=stopping, watch=watch
    )


def _weights(weights: NDArray[Any], trajectory: Trajectory) -> NDArray[np.float64]:
    given = np.asarray(weights, np.float64)
    if given.shape != trajectory.coordinates.shape[:2] or not (np.isfinite(given).all() and (given >= 0).all()):
        raise InputError(
            f"weights are (interleaves, samples), finite and 0 or more: {given.shape} for "
            f"{trajectory.coordinates.shape[:2]}."
        )
    return given
