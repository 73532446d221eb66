"""The transform between images and samples anywhere in k-space, through finufft or ducc0.

Gridding of our own was measured and is at best as fast: these libraries do it. What this adds are the project's
conventions: coordinates in cycles per field of view, centre at ``length // 2``, unitary scaling, so that on a Cartesian
grid the transform equals ``centred_fft``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import complex_array
from pacscore.recon.magnetic_resonance.libraries import optional
from pacscore.recon.magnetic_resonance.trajectories import Trajectory
from pacscore.settings import Settings

Complex64 = NDArray[np.complex64]

LIBRARIES = ("finufft", "ducc0")


class NonuniformFourier:
    """Transforms of several images at once to the samples of a trajectory, and back.

    Parameters
    ----------
    trajectory : Trajectory
        Where the samples lie, and the shape of the images.
    count : int
        How many images are transformed together: coils.
    tolerance : float
        Relative accuracy, 1e-6 to 1e-1.
    library : str
        One of ``LIBRARIES``; ducc0 is quicker on few samples and has another licence (GPL).
    watch : Watch
        Threads.

    Raises
    ------
    InputError
        An argument is out of range.
    UnsupportedError
        The library is not installed.

    Notes
    -----
    Plans are made once and serve every call; one call at a time. Memory: the library's fine grid, 2 ** axes times the
    image for each transform in a batch, and its sorted points.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        *,
        count: int = 1,
        tolerance: float = 1e-4,
        library: str = "finufft",
        watch: Watch = UNWATCHED,
    ) -> None:
        if count < 1 or not 1e-6 <= tolerance <= 0.1 or library not in LIBRARIES:
            raise InputError(f"count is 1 or more, tolerance 1e-6 to 0.1, library one of {', '.join(LIBRARIES)}.")
        self.shape, self.count = trajectory.shape, count
        self._lead = trajectory.coordinates.shape[:2]
        scaled = 2 * np.pi * trajectory.points / np.array(self.shape)
        self._points = np.ascontiguousarray(scaled, np.float32)
        self._scale = np.float32(1.0 / math.sqrt(math.prod(self.shape)))
        self._tolerance, self._library = tolerance, optional(library)
        self._threads = watch.threads or Settings().threads()
        self._plans: dict[int, Any] = {}

    def forward(self, images: NDArray[Any]) -> Complex64:
        """Samples ``(count, interleaves, samples)`` of images ``(count, [slice,] row, column)``.

        Raises
        ------
        InputError
            The shape is another.
        """
        given = self._checked(images, self.shape) * self._scale
        if self._library.__name__ == "ducc0":
            samples = np.empty((self.count, len(self._points)), np.complex64)
            for image, out in zip(given, samples, strict=True):
                self._library.nufft.u2nu(
                    grid=image, coord=self._points, forward=True, epsilon=self._tolerance, nthreads=self._threads,
                    fft_order=False, out=out,
                )  # fmt: skip
        else:
            samples = self._plan(2).execute(given if self.count > 1 else given[0])
        return np.asarray(samples, np.complex64).reshape(self.count, *self._lead)

    def adjoint(self, samples: NDArray[Any]) -> Complex64:
        """Images of samples: the adjoint of ``forward``, shapes the other way round.

        Raises
        ------
        InputError
            The shape is another.
        """
        given = self._checked(samples, self._lead).reshape(self.count, -1)
        if self._library.__name__ == "ducc0":
            images = np.empty((self.count, *self.shape), np.complex64)
            for values, out in zip(given, images, strict=True):
                self._library.nufft.nu2u(
                    points=values, coord=self._points, forward=False, epsilon=self._tolerance, nthreads=self._threads,
                    fft_order=False, out=out,
                )  # fmt: skip
        else:
            images = self._plan(1).execute(given if self.count > 1 else given[0])
        images = images.reshape(self.count, *self.shape)
        images *= self._scale
        return np.asarray(images, np.complex64)

    def _plan(self, kind: int) -> Any:
        if kind not in self._plans:
            plan = self._library.Plan(
                kind, self.shape, n_trans=self.count, eps=self._tolerance, isign=1 if kind == 1 else -1,
                dtype="complex64", nthreads=self._threads,
            )  # fmt: skip
            plan.setpts(*(np.ascontiguousarray(axis) for axis in self._points.T))
            self._plans[kind] = plan
        return self._plans[kind]

    def _checked(self, values: NDArray[Any], tail: tuple[int, ...]) -> Complex64:
        given = complex_array(values, "The array")
        if given.shape not in {(self.count, *tail)} | ({tail} if self.count == 1 else set()):
            raise InputError(f"An array of shape {(self.count, *tail)} is needed, not {given.shape}.")
        return given.reshape(self.count, *tail)


def point_spread(trajectory: Trajectory, weights: NDArray[np.float64], *, watch: Watch = UNWATCHED) -> NDArray[Any]:
    """``sum(w exp(2 pi i k d / length))`` for displacements d from ``-length`` to ``length - 1`` of each axis.

    Returns
    -------
    NDArray of complex128
        Twice the image along each axis, displacement 0 at index ``length``. Accuracy 1e-9.
    """
    doubled = tuple(2 * length for length in trajectory.shape)
    angles = 2 * np.pi * trajectory.points / np.array(trajectory.shape)
    transform = getattr(optional("finufft"), f"nufft{len(doubled)}d1")
    spread: NDArray[Any] = transform(
        *(np.ascontiguousarray(axis) for axis in angles.T), np.asarray(weights, np.complex128).reshape(-1), doubled,
        eps=1e-9, isign=1, nthreads=watch.threads or Settings().threads(),
    )  # fmt: skip
    return spread
