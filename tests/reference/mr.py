"""Magnetic resonance by definition: Fourier sums, dense operators, eigenvectors, convolutions; in double precision."""

from __future__ import annotations

import itertools

import numpy as np


def fourier_matrix(length):
    """The centred, unitary transform of one axis, ``(frequencies, places)``."""
    index = np.arange(length) - length // 2
    return np.exp(-2j * np.pi * np.outer(index, index) / length) / np.sqrt(length)


def fourier(image, axes):
    """The centred transform along some axes, as sums."""
    out = np.asarray(image, np.complex128)
    for axis in axes:
        out = np.moveaxis(np.tensordot(fourier_matrix(out.shape[axis]), out, axes=(1, axis)), 0, axis)
    return out


def inverse_fourier(kspace, axes):
    """Undo ``fourier``."""
    out = np.asarray(kspace, np.complex128)
    for axis in axes:
        out = np.moveaxis(np.tensordot(fourier_matrix(out.shape[axis]).conj().T, out, axes=(1, axis)), 0, axis)
    return out


def nonuniform_matrix(coordinates, shape):
    """The transform to samples at ``coordinates (samples, axes)``, cycles per field of view; ``(samples, voxels)``."""
    places = np.stack(np.meshgrid(*((np.arange(n) - n // 2) / n for n in shape), indexing="ij"), -1)
    return np.exp(-2j * np.pi * coordinates @ places.reshape(-1, len(shape)).T) / np.sqrt(np.prod(shape))


def sense_matrix(maps, mask):
    """``(coils * voxels, voxels)``: mask, transform, sensitivities."""
    shape = maps.shape[1:]
    grid = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij"), -1).reshape(-1, len(shape))
    transform = np.broadcast_to(mask, shape).reshape(-1, 1) * nonuniform_matrix(grid, shape)
    return np.concatenate([transform * coil.reshape(1, -1) for coil in maps.astype(np.complex128)])


def dominant(gram):
    """Largest eigenvalue and eigenvector of each Hermitian matrix ``(voxels, coils, coils)``."""
    values, vectors = np.linalg.eigh(gram)
    return vectors[..., -1], values[..., -1]


def espirit(kspace, calibration, kernel, threshold):
    """Maps ``(coils, row, column)`` and eigenvalues: each kernel transformed by itself, an eigenproblem a pixel."""
    coils, height, width = kspace.shape
    y, x = height // 2 - calibration // 2, width // 2 - calibration // 2
    block = kspace[:, y : y + calibration, x : x + calibration].astype(np.complex128)
    rows = []
    for top, left in itertools.product(range(calibration - kernel + 1), repeat=2):
        rows.append(block[:, top : top + kernel, left : left + kernel].reshape(-1))
    _, values, vectors = np.linalg.svd(np.array(rows), full_matrices=False)
    kept = vectors[values > threshold * values[0]].reshape(-1, coils, kernel, kernel)
    gram = np.zeros((height, width, coils, coils), np.complex128)
    places = [(np.arange(n) - n // 2) / n for n in (height, width)]
    for vector in kept:
        waves = [np.exp(-2j * np.pi * np.outer(place, np.arange(kernel))) for place in places]
        # A patch is the data read forwards, so a kernel acts through its conjugate.
        seen = np.einsum("ya,cab,xb->yxc", waves[0], vector.conj(), waves[1]).conj()
        gram += np.einsum("yxi,yxj->yxij", seen, seen.conj())
    vectors, values = dominant(gram / kernel**2)
    return np.moveaxis(vectors, -1, 0), values


def analysis_matrix(length, low):
    """One level of a periodic orthonormal wavelet, low half first, ``(length, length)``."""
    taps = len(low)
    high = [(-1) ** tap * low[taps - 1 - tap] for tap in range(taps)]
    matrix = np.zeros((length, length))
    for place in range(length // 2):
        for tap in range(taps):
            matrix[place, (2 * place + tap) % length] += low[tap]
            matrix[length // 2 + place, (2 * place + tap) % length] += high[tap]
    return matrix


def wavelet(image, low, depths):
    """Several levels along each axis of an image; an axis stops after its own number of levels."""
    out = np.array(image, np.complex128)
    for level in range(max(depths)):
        sizes = [n >> min(level, depth) for n, depth in zip(out.shape, depths, strict=True)]
        box = tuple(map(slice, sizes))
        part = out[box]
        for axis in range(out.ndim):
            if level < depths[axis]:
                matrix = analysis_matrix(sizes[axis], low)
                part = np.moveaxis(np.tensordot(matrix, part, axes=(1, axis)), 0, axis)
        out[box] = part
    return out


def shrink(values, threshold):
    """Soft threshold of complex values."""
    size = np.abs(values)
    return values * np.maximum(size - threshold, 0) / np.maximum(size, 1e-30)


def differences(image):
    """Forward differences along each axis, 0 at the far end, ``(axes, …)``."""
    out = []
    for axis in range(image.ndim):
        step = np.zeros_like(image)
        inner = tuple(slice(None, -1) if at == axis else slice(None) for at in range(image.ndim))
        step[inner] = np.diff(image, axis=axis)
        out.append(step)
    return np.stack(out)


def differences_adjoint(dual):
    """The adjoint of ``differences``."""
    out = np.zeros(dual.shape[1:], dual.dtype)
    for axis, part in enumerate(dual):
        inner = tuple(slice(None, -1) if at == axis else slice(None) for at in range(out.ndim))
        after = tuple(slice(1, None) if at == axis else slice(None) for at in range(out.ndim))
        out[inner] -= part[inner]
        out[after] += part[inner]
    return out


def grappa(kspace, calibration, acceleration, lines, columns, regularization):
    """Planes ``(coils, ky, kx)``, one missing sample after the other; ``lines`` even, ``columns`` odd."""
    coils, height, width = kspace.shape
    sampled = (kspace != 0).any(axis=(0, 2))
    first = int(np.argmax(sampled))
    offsets = (np.arange(lines) - (lines // 2 - 1)) * acceleration
    reach = columns // 2
    data = calibration.astype(np.complex128)
    sources, targets = [], []
    top = -offsets[0]
    for y in range(top, data.shape[1] - max(offsets[-1], acceleration - 1)):
        for x in range(reach, data.shape[2] - reach):
            sources.append(data[:, y + offsets, x - reach : x + reach + 1].reshape(-1))
            targets.append([data[:, y + step, x] for step in range(1, acceleration)])
    matrix, wanted = np.array(sources), np.array(targets).reshape(len(sources), -1)
    normal = matrix.conj().T @ matrix
    normal += regularization * np.trace(normal).real / len(normal) * np.eye(len(normal))
    weights = np.linalg.solve(normal, matrix.conj().T @ wanted)
    out = kspace.astype(np.complex128)
    padded = np.zeros((coils, height + 40 * acceleration, width + 2 * reach), np.complex128)
    margin = 20 * acceleration
    padded[:, margin : margin + height, reach : reach + width] = kspace
    for y in range(first - acceleration, height, acceleration):
        for x in range(width):
            patch = padded[:, margin + y + offsets, x : x + columns].reshape(-1)
            for step in range(1, acceleration):
                if 0 <= y + step < height and not sampled[y + step]:
                    made = (patch @ weights).reshape(acceleration - 1, coils)
                    out[:, y + step, x] = made[step - 1]
    return out
