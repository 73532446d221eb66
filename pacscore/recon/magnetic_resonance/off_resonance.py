"""Off-resonance: field inhomogeneity during long readouts, corrected by time segmentation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.fourier import complex_array, finite_array
from pacscore.recon.magnetic_resonance.nufft import NonuniformFourier
from pacscore.recon.magnetic_resonance.solvers import Solution, Stopping, conjugate_gradient, largest_eigenvalue
from pacscore.recon.magnetic_resonance.trajectories import Trajectory

Complex64 = NDArray[np.complex64]

_BINS = 200


class OffResonanceSense:
    """What a trajectory does to an image whose voxels precess at frequencies of their own.

    The signal at time t and coordinate k is ``sum(maps * x * exp(-2 pi i (k r + f(r) t)))``, scaled as the transform.

    Parameters
    ----------
    maps : NDArray
        ``(coils, [slice,] row, column)`` sensitivities.
    trajectory : Trajectory
        For images of that shape.
    field_hz : NDArray
        ``([slice,] row, column)``: off-resonance in hertz.
    times_s : NDArray
        ``(samples,)`` or ``(interleaves, samples)``: when each sample is taken, seconds from excitation.
    segments : int, optional
        How many times are calculated exactly; by default enough that phase moves less than 3 radians between two.
    tolerance : float
        Of the transform.
    watch : Watch
        Threads, and cancellation between segments.

    Raises
    ------
    InputError
        Shapes do not fit, or values are not finite.

    Notes
    -----
    Noll et al. 1991; interpolation in time by least squares over the histogram of the field (Man et al. 1997, Sutton
    et al. 2003). Each call costs a transform of all coils for every segment.
    """

    def __init__(
        self,
        maps: NDArray[Any],
        trajectory: Trajectory,
        field_hz: NDArray[Any],
        times_s: NDArray[Any],
        *,
        segments: int | None = None,
        tolerance: float = 1e-4,
        watch: Watch = UNWATCHED,
    ) -> None:
        self._maps = np.array(finite_array(maps, "maps", 3))
        self.coils, self.shape = self._maps.shape[0], self._maps.shape[1:]
        field = np.asarray(field_hz, np.float64)
        if self.shape != trajectory.shape or field.shape != self.shape or not np.isfinite(field).all():
            raise InputError(f"maps, field and trajectory are of one shape, finite: {self.shape}, {field.shape}.")
        lead = trajectory.coordinates.shape[:2]
        try:
            times = np.broadcast_to(np.asarray(times_s, np.float64), lead)
        except ValueError as error:
            raise InputError(f"times_s has a time for each of {lead} samples.") from error
        if not np.isfinite(times).all():
            raise InputError("times_s holds a time that is not finite.")
        span = float(np.ptp(times)) * float(np.ptp(field)) * 2 * np.pi
        count = math.ceil(span / 3.0) + 2 if segments is None else segments
        if count < 1:
            raise InputError("segments is at least 1.", found=count)
        nodes = np.linspace(times.min(), times.max(), count) if count > 1 else np.array([times.mean()])
        self._demodulation = [np.exp(-2j * np.pi * field * node).astype(np.complex64) for node in nodes]
        self._interpolators = _interpolators(field, times, nodes)
        self._transform = NonuniformFourier(trajectory, count=self.coils, tolerance=tolerance, watch=watch)
        self._watch = watch

    @property
    def largest_eigenvalue_bound(self) -> float:
        """The largest eigenvalue of ``A' A``, by power iteration, and a twentieth more."""
        return 1.05 * largest_eigenvalue(self.normal, self.shape, iterations=10)

    def forward(self, image: NDArray[Any]) -> Complex64:
        """Samples ``(coils, interleaves, samples)`` of an image."""
        x = complex_array(image, "image", 2)
        if x.shape != self.shape:
            raise InputError(f"An image of these maps is {self.shape}, not {x.shape}.", found=x.shape)
        total: Complex64 | None = None
        for phase, factors in zip(self._demodulation, self._interpolators, strict=True):
            self._watch.check()
            part = self._transform.forward(self._maps * (phase * x)) * factors
            total = part if total is None else total + part
        assert total is not None
        return total

    def adjoint(self, samples: NDArray[Any]) -> Complex64:
        """The image of samples: the adjoint of ``forward``."""
        given = complex_array(samples, "samples", 3)
        total = np.zeros(self.shape, np.complex64)
        for phase, factors in zip(self._demodulation, self._interpolators, strict=True):
            self._watch.check()
            images = self._transform.adjoint(given * np.conj(factors))
            total += np.conj(phase) * np.einsum("c...,c...->...", self._maps.conj(), images)
        return total

    def normal(self, image: Complex64) -> Complex64:
        """``A' A x``, a new array."""
        return self.adjoint(self.forward(image))


def correct_off_resonance(
    samples: NDArray[Any],
    operator: OffResonanceSense,
    *,
    regularization: float = 0.0,
    stopping: Stopping | None = None,
    watch: Watch = UNWATCHED,
) -> Solution:
    """Reconstruct an image with its field taken into account, by conjugate gradients; arguments as in ``sense``.

    Raises
    ------
    InputError, CancelledError
        As there.
    """
    given = finite_array(samples, "samples", 3)
    return conjugate_gradient(
        operator.normal, operator.adjoint(given), regularization=regularization, stopping=stopping, watch=watch
    )


def _interpolators(
    field: NDArray[np.float64], times: NDArray[np.float64], nodes: NDArray[np.float64]
) -> list[Complex64]:
    """For each node, the factor of every sample: least squares over the field's histogram."""
    counts, edges = np.histogram(field, bins=_BINS)
    frequency = ((edges[1:] + edges[:-1]) / 2)[counts > 0]
    weight = np.sqrt(counts[counts > 0])
    distinct, which = np.unique(times, return_inverse=True)
    basis = np.exp(-2j * np.pi * np.outer(frequency, nodes)) * weight[:, None]
    wanted = np.exp(-2j * np.pi * np.outer(frequency, distinct)) * weight[:, None]
    factors = np.linalg.lstsq(basis, wanted, rcond=1e-10)[0]
    return [row[which.reshape(-1)].reshape(times.shape).astype(np.complex64) for row in factors]
