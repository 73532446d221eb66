"""Coils: noise, compression, sensitivities from images, combination.

Coil arrays are ``(…, coils, [slice,] row, column)``; functions that look for the coil axis take ``axis``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_coils
from pacscore.recon.magnetic_resonance.fourier import complex_array, finite_array
from pacscore.recon.magnetic_resonance.libraries import optional

Complex64 = NDArray[np.complex64]
Complex128 = NDArray[np.complex128]
Float32 = NDArray[np.float32]

_TILE = 4096


def root_sum_of_squares(images: NDArray[Any], *, axis: int = -3) -> Float32:
    """Combine coil images by the root of the sum of their squared magnitudes, float32."""
    given = np.moveaxis(complex_array(images, "images"), axis, 0)
    sums = np.zeros(given.shape[1:], np.float32)
    for coil in given:
        mr_coils.add_squares_into(np.ascontiguousarray(coil).reshape(-1), sums.reshape(-1))
    combined: Float32 = np.sqrt(sums, out=sums)
    return combined


def combine_coils(images: NDArray[Any], maps: NDArray[Any], *, axis: int = -3) -> Complex64:
    """Combine coil images with their sensitivities: ``sum(conj(s) x) / sum(|s|²)``, least squares in white noise.

    Parameters
    ----------
    images : NDArray
        ``(…, coils, …)``.
    maps : NDArray
        The sensitivities; broadcast against ``images``.
    axis : int
        Where the coils are, counted from the end.

    Returns
    -------
    NDArray of complex64
        Without the coil axis; 0 where no coil sees anything.

    Raises
    ------
    InputError
        The shapes do not fit.
    """
    given, sensitivities = complex_array(images, "images"), complex_array(maps, "maps")
    try:
        product = np.conj(sensitivities) * given
    except ValueError as error:
        raise InputError(f"maps {sensitivities.shape} do not fit images {given.shape}.") from error
    weight = (np.abs(sensitivities) ** 2).sum(axis=axis)
    total = product.sum(axis=axis)
    combined: Complex64 = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return combined


def noise_covariance(noise: NDArray[Any], *, bandwidth_ratio: float = 1.0) -> Complex128:
    """The covariance of the coils' noise.

    Parameters
    ----------
    noise : NDArray
        ``(coils, samples)`` of a scan without signal, more samples than coils.
    bandwidth_ratio : float
        Noise bandwidth of the imaging scan over that of the noise scan: the ratio of the dwell times (noise over
        imaging), over the receiver's relative noise bandwidth where an ISMRMRD header states one.

    Returns
    -------
    NDArray of complex128
        ``(coils, coils)``, Hermitian: the mean of ``n n^H``.

    Raises
    ------
    InputError
        There are too few samples, or the ratio is not positive.
    """
    given = finite_array(noise, "noise", 2).astype(np.complex128)
    if given.ndim != 2 or given.shape[1] <= given.shape[0]:
        raise InputError(f"noise is (coils, samples) with more samples than coils: it is {given.shape}.")
    if not (math.isfinite(bandwidth_ratio) and bandwidth_ratio > 0):
        raise InputError("bandwidth_ratio is positive.", found=bandwidth_ratio)
    covariance: Complex128 = given @ given.conj().T / given.shape[1] * bandwidth_ratio
    return covariance


def whitening_matrix(covariance: NDArray[Any]) -> Complex128:
    """The matrix that makes noise white, ``(coils, coils)``: the inverse of the lower Cholesky factor.

    Raises
    ------
    InputError
        The covariance is not Hermitian and positive: a coil without noise, or dependent ones.
    """
    given = np.asarray(covariance, np.complex128)
    if given.ndim != 2 or given.shape[0] != given.shape[1] or not np.allclose(given, given.conj().T):
        raise InputError(f"A covariance is a square Hermitian matrix, not {given.shape}.")
    try:
        factor = np.linalg.cholesky(given)
    except np.linalg.LinAlgError as error:
        raise InputError(
            "The noise covariance is not positive: a coil has no noise, or is a sum of others. Leave such coils out."
        ) from error
    return np.asarray(np.linalg.solve(factor, np.eye(len(given))), np.complex128)


def prewhiten(values: NDArray[Any], noise: NDArray[Any], *, axis: int = -3, bandwidth_ratio: float = 1.0) -> Complex64:
    """Mix the coils so that their noise is white with unit variance (real and imaginary part together).

    Parameters
    ----------
    values : NDArray
        ``(…, coils, …)``, k-space or images.
    noise : NDArray
        ``(coils, samples)``; see ``noise_covariance``.
    axis : int
        Where the coils are.

    Raises
    ------
    InputError
        As in ``noise_covariance``, ``whitening_matrix`` and ``mix_coils``.
    """
    return mix_coils(values, whitening_matrix(noise_covariance(noise, bandwidth_ratio=bandwidth_ratio)), axis=axis)


def mix_coils(values: NDArray[Any], matrix: NDArray[Any], *, axis: int = -3) -> Complex64:
    """Multiply the coil axis by ``matrix`` (coils after, coils before).

    Raises
    ------
    InputError
        The matrix does not fit the axis.
    """
    given, weights = complex_array(values, "values"), np.asarray(matrix, np.complex64)
    if weights.ndim != 2 or weights.shape[1] != given.shape[axis]:
        raise InputError(f"A matrix {weights.shape} does not fit {given.shape[axis]} coils.", found=weights.shape)
    ordered = np.moveaxis(given, axis, 0)
    mixed = (weights @ ordered.reshape(len(ordered), -1)).reshape(len(weights), *ordered.shape[1:])
    return np.ascontiguousarray(np.moveaxis(mixed, 0, axis))


def coil_compression(values: NDArray[Any], count: int, *, axis: int = -3) -> Complex64:
    """The matrix that keeps most of the signal in ``count`` virtual coils, ``(count, coils)``; for ``mix_coils``.

    Parameters
    ----------
    values : NDArray
        ``(…, coils, …)`` prewhitened k-space; its calibration region suffices.
    count : int
        How many virtual coils, at most the coils there are.

    Returns
    -------
    NDArray of complex64
        Orthonormal rows, by falling energy; the mixed noise stays white.

    Raises
    ------
    InputError
        ``count`` is not between 1 and the number of coils.

    Notes
    -----
    Principal components: Buehrer et al. 2007, Array compression for MRI with large coil arrays.
    """
    given = np.moveaxis(finite_array(values, "values"), axis, 0)
    coils = given.reshape(len(given), -1).astype(np.complex128)
    if not 1 <= count <= len(coils):
        raise InputError(f"{len(coils)} coils cannot become {count}.", found=count)
    _, vectors = np.linalg.eigh(coils @ coils.conj().T)
    matrix: Complex64 = np.ascontiguousarray(vectors[:, ::-1][:, :count].conj().T).astype(np.complex64)
    return matrix


def adaptive_maps(images: NDArray[Any], *, block: int = 7, watch: Watch = UNWATCHED) -> Complex64:
    """Relative sensitivities from the images themselves, voxel by voxel.

    Parameters
    ----------
    images : NDArray
        ``(coils, [slice,] row, column)``, prewhitened where noise was measured.
    block : int
        Odd: how many voxels wide the neighbourhood is from which coils are compared, at least 1.
    watch : Watch
        Progress, cancellation, threads.

    Returns
    -------
    NDArray of complex64
        The shape of ``images``; unit length over coils. Phase is relative to the coils' principal component.

    Raises
    ------
    InputError
        ``block`` is even or below 1.

    Notes
    -----
    Walsh, Gmitro and Marcellin 2000: the dominant eigenvector of the local covariance of the coils. Memory: a complex
    image for each of the coils * (coils + 1) / 2 pairs, slice by slice where there are slices.
    """
    given = finite_array(images, "images", 3)
    if block < 1 or block % 2 == 0:
        raise InputError("block is odd and at least 1.", found=block)
    coils, pixels = len(given), math.prod(given.shape[-2:])
    flat = given.reshape(coils, -1)
    reference = coil_compression(flat, 1, axis=0)[0].conj()
    planes = given.reshape(coils, -1, *given.shape[-2:])
    smooth = optional("scipy.ndimage").uniform_filter
    result = np.empty(planes.shape, np.complex64)
    rows, columns = np.triu_indices(coils)
    reach = block // 2 if given.ndim == 4 else 0
    for index in range(planes.shape[1]):
        near = planes[:, max(0, index - reach) : index + reach + 1]
        gram = np.empty((len(rows), pixels), np.complex64)

        def correlate(start: int, stop: int, near: Complex64 = near, gram: Complex64 = gram) -> None:
            for pair in range(start, stop):
                product = (near[rows[pair]] * np.conj(near[columns[pair]])).mean(axis=0)
                real, imag = (smooth(part, block, mode="nearest") for part in (product.real, product.imag))
                gram[pair].real, gram[pair].imag = real.reshape(-1), imag.reshape(-1)

        watch.run("comparing coils", correlate, len(rows))
        vectors, _ = dominant_eigenvectors(gram, reference, watch=watch)
        result[:, index] = vectors.reshape(coils, *given.shape[-2:])
    return result.reshape(given.shape)


def dominant_eigenvectors(
    gram: Complex64, reference: Complex64, *, iterations: int = 100, watch: Watch = UNWATCHED
) -> tuple[Complex64, Float32]:
    """The dominant eigenvector and eigenvalue of many small Hermitian matrices.

    Parameters
    ----------
    gram : NDArray of complex64
        ``(coils * (coils + 1) / 2, voxels)``: upper triangles, row by row.
    reference : NDArray of complex64
        ``(coils,)``: vectors are turned so that their product with its conjugate is real and positive.
    iterations : int
        Of power iteration, at most.

    Returns
    -------
    vectors : NDArray of complex64
        ``(coils, voxels)``.
    values : NDArray of float32
        ``(voxels,)``.
    """
    coils, voxels = len(reference), gram.shape[1]
    vectors, values = np.empty((coils, voxels), np.complex64), np.empty(voxels, np.float32)
    turned = np.array(reference, np.complex64)

    def run(start: int, stop: int) -> None:
        scratch = np.empty((coils * (coils + 1) + 4 * coils + 2, mr_coils.LANES), np.float32)
        mr_coils.dominant_eigenvectors_into(gram, start, stop, turned, iterations, scratch, vectors, values)

    watch.run("finding eigenvectors", run, voxels, tile=_TILE)
    return vectors, values
