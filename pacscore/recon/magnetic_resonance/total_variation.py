"""Total variation of complex images: its value, and its proximal step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_wavelets
from pacscore.recon.magnetic_resonance.fourier import finite_array

Complex64 = NDArray[np.complex64]


def total_variation(image: NDArray[Any]) -> float:
    """The sum over voxels of the length of the forward difference, isotropic, without differences at the far ends.

    image : ``([slice,] row, column)``
    """
    given = finite_array(image, "image", 2)
    squares = np.zeros(given.shape, np.float64)
    for axis in range(given.ndim):
        inner = tuple(slice(None, -1) if at == axis else slice(None) for at in range(given.ndim))
        squares[inner] += np.abs(np.diff(given, axis=axis)) ** 2
    return float(np.sqrt(squares).sum())


class TotalVariation:
    """The proximal step of total variation for images of one shape; keeps its dual between calls as a warm start.

    Parameters
    ----------
    shape : tuple of int
        ``([slice,] row, column)``.
    iterations : int
        Of the dual problem for each step, at least 1.
    watch : Watch
        Threads.

    Raises
    ------
    InputError
        The shape has not 2 or 3 axes, or ``iterations`` is below 1.

    Notes
    -----
    Beck and Teboulle 2009, fast gradient projection. Memory: seven images.
    """

    def __init__(self, shape: tuple[int, ...], *, iterations: int = 10, watch: Watch = UNWATCHED) -> None:
        if len(shape) not in {2, 3} or min(shape) < 1 or iterations < 1:
            raise InputError(f"Total variation needs 2 or 3 axes and an iteration: {shape}, {iterations}.")
        self._shape = shape
        self._box = (1,) * (3 - len(shape)) + tuple(shape)
        self._dimensions = sum(length > 1 for length in shape) or 1
        self._iterations, self._watch = iterations, watch
        self._dual = np.zeros((3, *self._box), np.complex64)

    def proximal(self, image: Complex64, weight: float) -> Complex64:
        """The minimiser of ``|u - image|² / 2 + weight * TV(u)``, a new array.

        Raises
        ------
        InputError
            The image has another shape.
        """
        if image.shape != self._shape:
            raise InputError(f"An image of {self._shape} is needed, not {image.shape}.", found=image.shape)
        if weight <= 0:
            return np.array(image)
        given = np.ascontiguousarray(image).reshape(self._box)
        out = np.empty_like(given)
        point, last = self._dual.copy(), self._dual
        scale, t = np.float32(1.0 / (4 * self._dimensions * weight)), 1.0
        value = np.float32(weight)
        for _ in range(self._iterations):
            following = (1 + np.sqrt(1 + 4 * t * t)) / 2
            self._denoise(given, point, value, out)
            self._climb(out, point, last, scale, np.float32((t - 1) / following))
            t = following
        self._denoise(given, last, value, out)
        return out.reshape(self._shape)

    def _denoise(self, given: Complex64, dual: Complex64, weight: Any, out: Complex64) -> None:
        def run(start: int, stop: int) -> None:
            mr_wavelets.denoised_of_dual_into(given, dual, weight, start, stop, out)

        self._tiles(run)

    def _climb(self, image: Complex64, point: Complex64, last: Complex64, scale: Any, momentum: Any) -> None:
        def run(start: int, stop: int) -> None:
            mr_wavelets.climb_dual_into(image, point, last, scale, momentum, start, stop)

        self._tiles(run)

    def _tiles(self, run: Any) -> None:
        lines = self._box[0] * self._box[1]
        parallel.run_tiles(run, lines, tile=max(1, lines // 8), threads=self._watch.threads)
