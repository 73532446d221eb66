"""Kernels on the coil images of magnetic resonance: sums over coils, vector steps, dominant eigenvectors.

Complex values are complex64. Unchecked: the checked entries are in ``pacscore.recon.magnetic_resonance`` (``fourier``,
``sense``, ``espirit``, ``solvers``). Twins: ``tests/reference/mr.py``.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel

LANES = 64
"""Voxels that ``dominant_eigenvectors_into`` takes at once: their matrices for 8 coils fill half of a 32 KiB cache."""

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

_FAST = frozenset({"contract", "reassoc", "nsz"})


@kernel(fastmath=_FAST)
def add_squares_into(values: Complex64, sums: Float32) -> None:
    """Add the squared magnitude of each value to ``sums``; both flat and of one length."""
    for index in range(values.shape[0]):
        value = values[index]
        sums[index] += value.real * value.real + value.imag * value.imag


@kernel(fastmath=_FAST)
def multiply_into(weights: Complex64, values: Complex64, out: Complex64) -> None:
    """``out = weights * values``, flat; a coil's view of an image."""
    for index in range(values.shape[0]):
        out[index] = weights[index] * values[index]


@kernel(fastmath=_FAST)
def scale_into(factors: Float32, values: Complex64) -> None:
    """Multiply complex values by real factors in place, flat: sampling masks, density weights."""
    for index in range(values.shape[0]):
        value = values[index]
        factor = factors[index]
        values[index] = complex(value.real * factor, value.imag * factor)


@kernel(fastmath=_FAST)
def add_conjugate_product_into(weights: Complex64, values: Complex64, sums: Complex64) -> None:
    """``sums += conj(weights) * values``, flat: one coil's part of a combined image."""
    for index in range(values.shape[0]):
        w = weights[index]
        v = values[index]
        s = sums[index]
        sums[index] = complex(
            s.real + (w.real * v.real + w.imag * v.imag), s.imag + (w.real * v.imag - w.imag * v.real)
        )


@kernel(fastmath=_FAST)
def descend_into(
    step: Any, direction: Complex64, image: Complex64, solution: Complex64, residual: Complex64
) -> np.float64:
    """Move ``solution`` by ``step * direction``, take ``step * image`` from ``residual``; its new squared norm.

    The two updates of conjugate gradients in one pass, flat; the norm is summed in float64.
    """
    total = np.float64(0.0)
    for index in range(direction.shape[0]):
        d = direction[index]
        x = solution[index]
        solution[index] = complex(x.real + step * d.real, x.imag + step * d.imag)
        q = image[index]
        r = residual[index]
        real = r.real - step * q.real
        imag = r.imag - step * q.imag
        residual[index] = complex(real, imag)
        total += np.float64(real * real + imag * imag)
    return total


@kernel(fastmath=_FAST)
def turn_into(residual: Complex64, factor: Any, direction: Complex64) -> None:
    """``direction = residual + factor * direction``, flat: the next direction of conjugate gradients."""
    for index in range(residual.shape[0]):
        r = residual[index]
        d = direction[index]
        direction[index] = complex(r.real + factor * d.real, r.imag + factor * d.imag)


@kernel(fastmath=_FAST)
def extrapolate_into(
    new: Complex64, old: Complex64, factor: Any, out: Complex64
) -> tuple[np.float64, np.float64]:  # fmt: skip
    """``out = new + factor * (new - old)``, flat; the squared norms of ``new - old`` and ``new``, summed in float64."""
    change, size = np.float64(0.0), np.float64(0.0)
    for index in range(new.shape[0]):
        n = new[index]
        o = old[index]
        real = n.real - o.real
        imag = n.imag - o.imag
        out[index] = complex(n.real + factor * real, n.imag + factor * imag)
        change += np.float64(real * real + imag * imag)
        size += np.float64(n.real * n.real + n.imag * n.imag)
    return change, size


@kernel(fastmath=_FAST)
def gradient_step_into(point: Complex64, normal: Complex64, rhs: Complex64, step: Any, out: Complex64) -> None:
    """``out = point - step * (normal - rhs)``, flat: a step down the gradient of a least-squares term."""
    for index in range(point.shape[0]):
        p = point[index]
        n = normal[index]
        b = rhs[index]
        out[index] = complex(p.real - step * (n.real - b.real), p.imag - step * (n.imag - b.imag))


@kernel(fastmath=_FAST, inline=True)
def multiply_hermitian(real: Float32, imag: Float32, v: Float32, coils: int, u: Float32) -> None:
    """``u = M v`` for ``LANES`` Hermitian matrices side by side.

    real, imag : (coils * (coils + 1) / 2, LANES) upper triangles, row by row
    v, u : (coils, 2, LANES) real and imaginary parts
    """
    for coil in range(coils):
        for lane in range(LANES):
            u[coil, 0, lane] = 0
            u[coil, 1, lane] = 0
    pair = 0
    for i in range(coils):
        for lane in range(LANES):
            u[i, 0, lane] += real[pair, lane] * v[i, 0, lane]
            u[i, 1, lane] += real[pair, lane] * v[i, 1, lane]
        pair += 1
        for j in range(i + 1, coils):
            for lane in range(LANES):
                a = real[pair, lane]
                b = imag[pair, lane]
                u[i, 0, lane] += a * v[j, 0, lane] - b * v[j, 1, lane]
                u[i, 1, lane] += a * v[j, 1, lane] + b * v[j, 0, lane]
                u[j, 0, lane] += a * v[i, 0, lane] + b * v[i, 1, lane]
                u[j, 1, lane] += a * v[i, 1, lane] - b * v[i, 0, lane]
            pair += 1


@kernel(fastmath=_FAST)
def begin_lanes(real: Float32, imag: Float32, coils: int, v: Float32) -> None:
    """Begin each power iteration with the column of the largest diagonal; arguments as in ``multiply_hermitian``.

    It cannot be at a right angle to the wanted vector in practice, as a vector of ones can: opposed phases of two coils
    suffice.
    """
    for lane in range(LANES):
        best = 0
        largest = np.float32(-1)
        pair = 0
        for i in range(coils):
            if real[pair, lane] > largest:
                largest = real[pair, lane]
                best = i
            pair += coils - i
        for i in range(coils):
            low = min(i, best)
            place = low * coils - low * (low - 1) // 2 + max(i, best) - low
            v[i, 0, lane] = real[place, lane]
            v[i, 1, lane] = imag[place, lane] if i <= best else -imag[place, lane]


@kernel(fastmath=_FAST)
def dominant_eigenvectors_into(
    gram: Complex64, first: int, stop: int, reference: Complex64, iterations: int, scratch: Float32, vectors: Complex64,
    values: Float32,
) -> None:  # fmt: skip
    """Find the largest eigenvalue of each voxel's Hermitian matrix, and its eigenvector, by power iteration.

    gram : (coils * (coils + 1) / 2, voxels) complex64, upper triangles, row by row
    first, stop : which voxels; multiples of LANES but for the last
    reference : (coils,) each vector is turned so that its product with the conjugate of this is real and positive
    iterations : at most; a group of LANES voxels ends sooner when none of its vectors moves by more than 1e-4
    scratch : (coils * (coils + 1) + 4 * coils + 2, LANES) float32
    vectors : (coils, voxels) complex64, unit length; values : (voxels,) float32
    """
    coils = vectors.shape[0]
    pairs = coils * (coils + 1) // 2
    real = scratch[:pairs]
    imag = scratch[pairs : 2 * pairs]
    rest = 2 * pairs
    v = scratch[rest : rest + 2 * coils].reshape((coils, 2, LANES))
    u = scratch[rest + 2 * coils : rest + 4 * coils].reshape((coils, 2, LANES))
    norms = scratch[rest + 4 * coils]
    moves = scratch[rest + 4 * coils + 1]
    for start in range(first, stop, LANES):
        count = min(LANES, stop - start)
        for pair in range(pairs):
            for lane in range(count):
                value = gram[pair, start + lane]
                real[pair, lane] = value.real
                imag[pair, lane] = value.imag
            for lane in range(count, LANES):
                real[pair, lane] = 0
                imag[pair, lane] = 0
        begin_lanes(real, imag, coils, v)
        normalize_lanes(v, coils, norms)
        for _ in range(iterations):
            multiply_hermitian(real, imag, v, coils, u)
            normalize_lanes(u, coils, norms)
            for lane in range(LANES):
                moves[lane] = 0
            for i in range(coils):
                for part in range(2):
                    for lane in range(LANES):
                        change = u[i, part, lane] - v[i, part, lane]
                        moves[lane] += change * change
                        v[i, part, lane] = u[i, part, lane]
            most = np.float32(0)
            for lane in range(LANES):
                most = max(most, moves[lane])
            if most < np.float32(1e-8):
                break
        for lane in range(count):
            values[start + lane] = norms[lane]
            a = np.float32(0)
            b = np.float32(0)
            for i in range(coils):
                c = reference[i]
                a += c.real * v[i, 0, lane] + c.imag * v[i, 1, lane]
                b += c.real * v[i, 1, lane] - c.imag * v[i, 0, lane]
            size = np.sqrt(a * a + b * b)
            cosine = a / size if size > 0 else np.float32(1)
            sine = b / size if size > 0 else np.float32(0)
            for i in range(coils):
                vectors[i, start + lane] = complex(
                    v[i, 0, lane] * cosine + v[i, 1, lane] * sine, v[i, 1, lane] * cosine - v[i, 0, lane] * sine
                )


@kernel(fastmath=_FAST)
def normalize_lanes(u: Float32, coils: int, norms: Float32) -> None:
    """Make the vectors ``(coils, 2, LANES)`` unit long, in place, and keep their lengths; zero stays zero."""
    for lane in range(LANES):
        norms[lane] = 0
    for i in range(coils):
        for part in range(2):
            for lane in range(LANES):
                norms[lane] += u[i, part, lane] * u[i, part, lane]
    for lane in range(LANES):
        norms[lane] = np.sqrt(norms[lane])
    for i in range(coils):
        for part in range(2):
            for lane in range(LANES):
                u[i, part, lane] = u[i, part, lane] / max(norms[lane], np.float32(1e-30))
