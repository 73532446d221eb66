"""What every method does before and after: choices, prewhitening, oversampling, coil images, combination."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.recon.magnetic_resonance.coils import (
    adaptive_maps,
    coil_compression,
    combine_coils,
    mix_coils,
    noise_covariance,
    root_sum_of_squares,
    whitening_matrix,
)
from pacscore.recon.magnetic_resonance.espirit import espirit_maps
from pacscore.recon.magnetic_resonance.fourier import centred_crop, centred_ifft, remove_oversampling
from pacscore.recon.magnetic_resonance.partial_fourier import PARTIAL_FOURIER, fill_partial_fourier
from pacscore.recon.magnetic_resonance.raw import CartesianData, fit_image
from pacscore.recon.magnetic_resonance.solvers import Callback, Stopping

Complex64 = NDArray[np.complex64]

COMBINATIONS = ("rss", "adaptive", "espirit")


@dataclass(frozen=True, slots=True)
class MrOptions:
    """Choices of the methods; each takes what concerns it.

    Attributes
    ----------
    combine : str
        How ``fft``, ``grappa`` and ``gridding`` combine coils, one of ``COMBINATIONS``.
    partial_fourier : str
        One of ``PARTIAL_FOURIER``, for lines missing at one end of ky; for ``fft`` and ``grappa``.
    whiten : bool
        Prewhiten with the noise scan, if there is one.
    virtual_coils : int
        Compress to so many coils; 0 for none.
    calibration : int
        Width of the middle of k-space that sensitivities come from.
    regularization : float
        Weight of ``|x|²`` for ``sense``, relative to the mean squared sensitivity.
    weight : float
        Of the penalty for ``l1`` and ``tv``, relative to the largest magnitude of the zero-filled image.
    wavelet : str
        For ``l1``.
    iterations : int
        Of iterative methods, at most; 0 for each method's own.
    tolerance : float
        See ``Stopping``; 0 runs all iterations.
    density : str
        ``pipe`` or ``cell``, for trajectories.
    callback : callable, optional
        See ``solvers.Callback``.
    watch : Watch
        Progress, cancellation, threads.

    Raises
    ------
    InputError
        A choice is none of those named.
    """

    combine: str = "rss"
    partial_fourier: str = "zero-fill"
    whiten: bool = True
    virtual_coils: int = 0
    calibration: int = 24
    regularization: float = 1e-3
    weight: float = 2e-3
    wavelet: str = "db2"
    iterations: int = 0
    tolerance: float = 1e-5
    density: str = "pipe"
    callback: Callback | None = None
    watch: Watch = UNWATCHED

    def __post_init__(self) -> None:
        if self.combine not in COMBINATIONS or self.partial_fourier not in PARTIAL_FOURIER:
            raise InputError(
                f"combine is one of {', '.join(COMBINATIONS)}; partial_fourier one of {', '.join(PARTIAL_FOURIER)}."
            )
        if self.virtual_coils < 0 or self.iterations < 0 or self.calibration < 1:
            raise InputError("virtual_coils and iterations are 0 or more, calibration 1 or more.")

    def stopping(self, iterations: int) -> Stopping:
        """When an iterative method ends, with its own number of iterations where none is given."""
        return Stopping(self.iterations or iterations, self.tolerance, self.callback)


DEFAULTS = MrOptions()


def mixing_matrix(
    values: Complex64, noise: Complex64 | None, ratio: float, options: MrOptions, *, axis: int
) -> Complex64 | None:
    """Prewhitening and compression as one matrix; None where coils stay as they are."""
    matrix: NDArray[Any] | None = None
    if options.whiten and noise is not None:
        matrix = whitening_matrix(noise_covariance(noise, bandwidth_ratio=ratio))
    if options.virtual_coils:
        mixed = values if matrix is None else mix_coils(values, matrix, axis=axis)
        compression = coil_compression(mixed, options.virtual_coils, axis=axis)
        matrix = compression if matrix is None else compression @ matrix
    return None if matrix is None else np.asarray(matrix, np.complex64)


def readied_kspace(kspace: Complex64, matrix: Complex64 | None, data: CartesianData) -> Complex64:
    """k-space ``(coils, kz, ky, kx)`` with its coils mixed and the readout's oversampling gone."""
    mixed = kspace if matrix is None else mix_coils(kspace, matrix, axis=0)
    view = data.field_of_view
    if view is None:
        return mixed
    length = min(mixed.shape[-1], max(1, round(mixed.shape[-1] * view.extent_mm[2] / view.encoded_mm[2])))
    return _kept_unsampled(mixed, remove_oversampling(mixed, length))


def _kept_unsampled(before: Complex64, after: Complex64) -> Complex64:
    """Lines without samples stay exactly 0, which tells them apart."""
    sampled = (before != 0).any(axis=(0, -1))
    return np.asarray(after * sampled[None, ..., None], np.complex64)


def fitted_image(image: Complex64, data: CartesianData) -> Complex64:
    """The image ``(slice, row, column)`` cut to the field of view, in the voxels wanted."""
    view = data.field_of_view
    if view is None:
        return image
    # The readout's oversampling is gone by now.
    left = (view.encoded_mm[0], view.encoded_mm[1], min(view.encoded_mm[2], view.extent_mm[2]))
    return fit_image(image, replace(view, encoded_mm=left))


def coil_images(kspace: Complex64, options: MrOptions) -> Complex64:
    """Images of filled k-space ``(coils, [kz,] ky, kx)``, with what is chosen for partial Fourier."""
    dimensions = kspace.ndim - 1
    if options.partial_fourier == "zero-fill":
        return centred_ifft(kspace, axes=image_axes(kspace), watch=options.watch)
    lines = np.flatnonzero((kspace != 0).any(axis=tuple(at for at in range(kspace.ndim) if at != kspace.ndim - 2)))
    return fill_partial_fourier(
        kspace, (int(lines[0]), int(lines[-1]) + 1), dimensions=dimensions, method=options.partial_fourier,
        watch=options.watch,
    )  # fmt: skip


def combined_image(images: Complex64, calibration: Complex64, options: MrOptions) -> Complex64:
    """Coil images as one, by the combination chosen; ``calibration`` is k-space for ESPIRiT."""
    if options.combine == "rss":
        return root_sum_of_squares(images, axis=0).astype(np.complex64)
    if options.combine == "adaptive":
        maps = adaptive_maps(images, watch=options.watch)
    else:
        maps = espirit_maps(calibration, calibration=options.calibration, crop=0.8, watch=options.watch).maps
    return combine_coils(images, maps, axis=0)


def full_middle(calibration: Complex64) -> Complex64:
    """The sampled box of a calibration scan."""
    sampled = (calibration != 0).any(axis=(0, -1))
    lengths = {}
    for axis in range(sampled.ndim):
        lines = sampled.any(axis=tuple(at for at in range(sampled.ndim) if at != axis))
        middle = len(lines) // 2
        reach = 0
        while middle - reach - 1 >= 0 and middle + reach + 1 < len(lines) and lines[middle - reach - 1]:
            if not lines[middle + reach + 1]:
                break
            reach += 1
        lengths[axis + 1] = 2 * reach + 1 if not lines.all() else len(lines)
    return np.ascontiguousarray(centred_crop(calibration, lengths))


def combination_words(options: MrOptions) -> str:
    """What ``coil_images`` and ``combined_image`` do, for people."""
    names = {"rss": "root of sum of squares", "adaptive": "adaptive combination", "espirit": "ESPIRiT combination"}
    partial = "" if options.partial_fourier == "zero-fill" else f"partial Fourier {options.partial_fourier}, "
    return partial + names[options.combine]


def image_axes(values: NDArray[Any]) -> tuple[int, ...]:
    """All axes but the first, counted from the end."""
    return tuple(range(1 - values.ndim, 0)) if values.ndim > 1 else (-1,)
