"""ESPIRiT: coil sensitivities from the fully sampled middle of k-space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.coils import coil_compression
from pacscore.recon.magnetic_resonance.fourier import centred_crop, finite_array
from pacscore.recon.magnetic_resonance.libraries import one_blas_thread, optional

Complex64 = NDArray[np.complex64]
Complex128 = NDArray[np.complex128]
Float32 = NDArray[np.float32]

_ROWS = 16


@dataclass(frozen=True, slots=True, eq=False)
class EspiritMaps:
    """Sensitivities and how far to trust them.

    Attributes
    ----------
    maps : NDArray of complex64
        ``(coils, [slice,] row, column)``, unit length over coils, 0 where the eigenvalue is below the crop. Phase is
        relative to the coils' principal component.
    eigenvalues : NDArray of float32
        ``([slice,] row, column)``: near 1 where the coils agree with one map, lower outside the object.
    """

    maps: Complex64
    eigenvalues: Float32


def espirit_maps(
    kspace: NDArray[Any],
    *,
    shape: tuple[int, ...] | None = None,
    calibration: int = 24,
    kernel: int = 6,
    threshold: float = 0.02,
    crop: float = 0.95,
    iterations: int = 100,
    watch: Watch = UNWATCHED,
) -> EspiritMaps:
    """Find the sensitivities of coils from calibration data.

    Parameters
    ----------
    kspace : NDArray
        ``(coils, [kz,] ky, kx)``; only its middle is used and must be fully sampled.
    shape : tuple of int, optional
        ``([slice,] row, column)`` of the maps; by default of ``kspace``.
    calibration : int
        Width of the middle that is used, at most; an axis that is shorter is used whole.
    kernel : int
        Width of the kernels; an axis that is shorter takes its own length.
    threshold : float
        Singular vectors below this share of the largest singular value are taken for noise, between 0 and 1.
    crop : float
        Voxels with a smaller eigenvalue get no sensitivity, 0 to keep all.
    iterations : int
        Of power iteration per voxel, at most.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    EspiritMaps

    Raises
    ------
    InputError
        The calibration region is smaller than the kernel, has holes, or holds nothing.

    Notes
    -----
    Uecker et al. 2014. The matrix of a voxel is the transform of the signal space's projector summed along its
    diagonals, so that no kernel is transformed by itself: coils (coils + 1) / 2 small products replace one transform
    for each coil and kernel. Memory: 16 rows of those pairs for each thread.
    """
    given = finite_array(kspace, "kspace", 3)
    spatial = given.shape[1:]
    target = spatial if shape is None else tuple(shape)
    if len(target) != len(spatial) or len(spatial) not in {2, 3} or min(target) < 1:
        raise InputError(f"kspace is (coils, [kz,] ky, kx) and shape has its 2 or 3 axes: {given.shape}, {target}.")
    if not (0 <= threshold < 1 and 0 <= crop <= 1 and kernel >= 1 and calibration >= kernel and iterations >= 1):
        raise InputError(
            "threshold and crop lie between 0 and 1, kernel between 1 and calibration, iterations above 0."
        )
    block = centred_crop(given, {axis + 1: min(calibration, length) for axis, length in enumerate(spatial)})
    _check_calibration(block)
    taps = tuple(min(kernel, length) for length in block.shape[1:])
    watch.check()
    with one_blas_thread():
        correlation = _projector_correlation(signal_space(block, taps, threshold), len(given), taps)
        reference = coil_compression(block, 1, axis=0)[0].conj()
    if len(spatial) == 2:
        correlation, taps, target = correlation[:, None], (1, *taps), (1, *target)
    with one_blas_thread():
        vectors, values = _maps_of(correlation, taps, target, reference=reference, iterations=iterations, watch=watch)
    vectors *= values >= crop
    made = (len(given), *target[3 - len(spatial) :])
    return EspiritMaps(vectors.reshape(made), values.reshape(made[1:]))


def signal_space(block: Complex64, taps: Sequence[int], threshold: float) -> Complex64:
    """The singular vectors of the calibration matrix that hold signal, ``(coils * taps, vectors)``.

    block : (coils, [kz,] ky, kx); rows of the matrix are the block's patches of ``taps``
    """
    coils, axes = len(block), tuple(range(1, block.ndim))
    patches = np.lib.stride_tricks.sliding_window_view(block, tuple(taps), axis=axes)
    patches = np.moveaxis(patches, 0, block.ndim - 1)
    matrix = np.ascontiguousarray(patches.reshape(-1, coils * math.prod(taps)))
    gram = matrix.T @ matrix.conj()
    values, vectors = optional("scipy.linalg").eigh(gram, overwrite_a=True, check_finite=False, driver="evr")
    kept = np.sqrt(np.maximum(values, 0)) > threshold * math.sqrt(max(float(values[-1]), 0.0))
    return np.ascontiguousarray(vectors[:, kept], np.complex64)


def _projector_correlation(vectors: Complex64, coils: int, taps: tuple[int, ...]) -> Complex64:
    """The projector's blocks summed along their diagonals, ``(pairs, 2 taps - 1, …)``, pairs of coils i <= j."""
    size = math.prod(taps)
    rows, columns = np.triu_indices(coils)
    projector = (vectors @ vectors.conj().T).reshape(coils, size, coils, size)
    lags = np.zeros((coils, coils, *(2 * tap - 1 for tap in taps)), np.complex64)
    for place, index in enumerate(np.ndindex(taps)):
        window = tuple(slice(tap - 1 - at, 2 * tap - 1 - at) for tap, at in zip(taps, index, strict=True))
        lags[(slice(None), slice(None), *window)] += projector[:, place].reshape(coils, coils, *taps)
    return lags[rows, columns] / np.float32(size)


def _maps_of(
    correlation: Complex64,
    taps: tuple[int, ...],
    shape: tuple[int, ...],
    *,
    reference: Complex64,
    iterations: int,
    watch: Watch,
) -> tuple[Complex64, Float32]:
    pairs, coils = len(correlation), len(reference)
    slices, height, width = shape
    along_z, along_y, along_x = (_transform(2 * tap - 1, length) for tap, length in zip(taps, shape, strict=True))
    lines = correlation @ along_x  # (pairs, z lags, y lags, columns)
    vectors, values = np.empty((coils, slices, height, width), np.complex64), np.empty(shape, np.float32)
    blocks = -(-height // _ROWS)

    def run(start: int, stop: int) -> None:
        scratch = np.empty((coils * (coils + 1) + 4 * coils + 2, mr_coils.LANES), np.float32)
        for number in range(start, stop):
            z, first = number // blocks, number % blocks * _ROWS
            last = min(height, first + _ROWS)
            plane = np.tensordot(along_z[:, z], lines, axes=(0, 1)) if slices > 1 or len(along_z) > 1 else lines[:, 0]
            gram = np.matmul(along_y.T[first:last], plane).reshape(pairs, -1)
            found, sizes = np.empty((coils, gram.shape[1]), np.complex64), np.empty(gram.shape[1], np.float32)
            mr_coils.dominant_eigenvectors_into(gram, 0, gram.shape[1], reference, iterations, scratch, found, sizes)
            vectors[:, z, first:last] = found.reshape(coils, -1, width)
            values[z, first:last] = sizes.reshape(-1, width)

    watch.run("finding sensitivities", run, slices * blocks)
    return vectors, values


def _transform(lags: int, length: int) -> Complex64:
    """``(lags, length)``: the transform of few lags about 0 to all places of a centred axis."""
    lag = np.arange(lags) - lags // 2
    place = np.arange(length) - length // 2
    turns = np.outer(lag, place) % length / length
    return np.asarray(np.exp(-2j * np.pi * turns), np.complex64)


def _check_calibration(block: Complex64) -> None:
    sampled = (block != 0).any(axis=0)
    if not sampled.any():
        raise InputError("The middle of k-space is empty: there is nothing to calibrate with.")
    if sampled.mean() < 0.9:
        raise InputError(
            f"Only {sampled.mean():.0%} of the {' × '.join(map(str, sampled.shape))} calibration region is sampled. "
            "Choose a smaller calibration, or give a calibration scan.",
            found=float(sampled.mean()),
        )
