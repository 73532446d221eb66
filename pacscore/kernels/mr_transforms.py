"""Kernels of planes and their Fourier transforms, eight lines side by side, fused with what comes before and after.

A tile holds eight lines of one length: of each sample eight real and then eight imaginary parts, so that every step of
the transform is a few operations on whole vectors. The transform works in place and leaves the frequencies in the order
of reversed digits; who reads the tile next looks up their places, so nothing is ever sorted. Planes in blocks are
(columns / 8, rows, 2, 8): each tile of columns lies in one piece, and that of eight rows is turned on its way.

Lengths are products of 2, 3, 4 and 5, and multiples of 8. Unchecked: the checked entries are
``pacscore.recon.magnetic_resonance``, ``fourier`` and ``sense``; the tables are of ``plane_transforms.LinePlan``.
Twins: NumPy's transforms.
"""
# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._vector import constant_of, load_of, shuffle_by, splat_of, store

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

load8, load16, splat16 = load_of(8), load_of(16), splat_of(16)
exchanged = shuffle_by((8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
"""Imaginary before real parts."""
parted = shuffle_by((0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15))
joined = shuffle_by((0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15))
both_real = shuffle_by((0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7))
both_imaginary = shuffle_by((8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15))
twice = shuffle_by((0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7))
by_minus_i = constant_of("float32", (1.0,) * 8 + (-1.0,) * 8)
"""``exchanged(x)`` times this is -i x."""
# Within halves of a register, which is what processors shuffle in one step.
low_singles, high_singles = shuffle_by((0, 8, 1, 9, 4, 12, 5, 13)), shuffle_by((2, 10, 3, 11, 6, 14, 7, 15))
low_pairs, high_pairs = shuffle_by((0, 1, 8, 9, 4, 5, 12, 13)), shuffle_by((2, 3, 10, 11, 6, 7, 14, 15))
low_halves, high_halves = shuffle_by((0, 1, 2, 3, 8, 9, 10, 11)), shuffle_by((4, 5, 6, 7, 12, 13, 14, 15))

_CONTRACT = frozenset({"contract"})
_HALF_ROOT3 = np.float32(math.sqrt(3.0) / 2)
_COS1, _COS2 = np.float32(math.cos(0.4 * math.pi)), np.float32(math.cos(0.8 * math.pi))
_SIN1, _SIN2 = np.float32(math.sin(0.4 * math.pi)), np.float32(math.sin(0.8 * math.pi))


@kernel(inline=True, fastmath=_CONTRACT)
def split_two(tile: Float32, size: int, span: int, turns: Float32, first: int, sign: Any) -> None:
    """A step of radix 2: blocks of 2 * span samples become two of span."""
    minus_i = by_minus_i() * splat16(sign)
    for j in range(span):
        at = first + 2 * j
        w, v = splat16(turns[at]), splat16(-turns[at + 1]) * minus_i
        for p0 in range(16 * j, 16 * size, 32 * span):
            p1 = p0 + 16 * span
            a, b = load16(tile, p0), load16(tile, p1)
            store(tile, p0, a + b)
            c = a - b
            store(tile, p1, c * w + exchanged(c, c) * v)


@kernel(inline=True, fastmath=_CONTRACT)
def split_three(tile: Float32, size: int, span: int, turns: Float32, first: int, sign: Any) -> None:
    """A step of radix 3."""
    minus_i = by_minus_i() * splat16(sign)
    half, root = splat16(np.float32(0.5)), splat16(_HALF_ROOT3) * minus_i
    for j in range(span):
        at = first + 4 * j
        w1, v1 = splat16(turns[at]), splat16(-turns[at + 1]) * minus_i
        w2, v2 = splat16(turns[at + 2]), splat16(-turns[at + 3]) * minus_i
        for p0 in range(16 * j, 16 * size, 48 * span):
            p1, p2 = p0 + 16 * span, p0 + 32 * span
            a, b, c = load16(tile, p0), load16(tile, p1), load16(tile, p2)
            d, e = b + c, b - c
            store(tile, p0, a + d)
            f, g = a - d * half, exchanged(e, e) * root
            x, y = f + g, f - g
            store(tile, p1, x * w1 + exchanged(x, x) * v1)
            store(tile, p2, y * w2 + exchanged(y, y) * v2)


@kernel(inline=True, fastmath=_CONTRACT)
def split_four(tile: Float32, size: int, span: int, turns: Float32, first: int, sign: Any) -> None:
    """A step of radix 4."""
    minus_i = by_minus_i() * splat16(sign)
    for j in range(span):
        at = first + 6 * j
        w1, v1 = splat16(turns[at]), splat16(-turns[at + 1]) * minus_i
        w2, v2 = splat16(turns[at + 2]), splat16(-turns[at + 3]) * minus_i
        w3, v3 = splat16(turns[at + 4]), splat16(-turns[at + 5]) * minus_i
        for p0 in range(16 * j, 16 * size, 64 * span):
            p1, p2, p3 = p0 + 16 * span, p0 + 32 * span, p0 + 48 * span
            a, b, c, d = load16(tile, p0), load16(tile, p1), load16(tile, p2), load16(tile, p3)
            e, f, g, h = a + c, a - c, b + d, b - d
            h = exchanged(h, h) * minus_i
            store(tile, p0, e + g)
            x, y, z = f + h, e - g, f - h
            store(tile, p1, x * w1 + exchanged(x, x) * v1)
            store(tile, p2, y * w2 + exchanged(y, y) * v2)
            store(tile, p3, z * w3 + exchanged(z, z) * v3)


@kernel(inline=True, fastmath=_CONTRACT)
def split_five(tile: Float32, size: int, span: int, turns: Float32, first: int, sign: Any) -> None:
    """A step of radix 5."""
    minus_i = by_minus_i() * splat16(sign)
    c1, c2, s1, s2 = splat16(_COS1), splat16(_COS2), splat16(_SIN1) * minus_i, splat16(_SIN2) * minus_i
    for j in range(span):
        for p0 in range(16 * j, 16 * size, 80 * span):
            p1, p2, p3, p4 = p0 + 16 * span, p0 + 32 * span, p0 + 48 * span, p0 + 64 * span
            a, b, c, d, e = load16(tile, p0), load16(tile, p1), load16(tile, p2), load16(tile, p3), load16(tile, p4)
            f, g, h, k = b + e, b - e, c + d, c - d
            g, k = exchanged(g, g), exchanged(k, k)
            u, v, x, y = a + f * c1 + h * c2, a + f * c2 + h * c1, g * s1 + k * s2, g * s2 - k * s1
            store(tile, p0, a + f + h)
            store(tile, p1, u + x)
            store(tile, p2, v + y)
            store(tile, p3, v - y)
            store(tile, p4, u - x)
            at = first + 8 * j
            for place in range(p1, p4 + 1, 16 * span):
                x = load16(tile, place)
                y = splat16(-turns[at + 1]) * minus_i
                store(tile, place, x * splat16(turns[at]) + exchanged(x, x) * y)
                at += 2


@kernel(fastmath=_CONTRACT)
def transform_lanes(tile: Float32, size: int, radices: Int32, turns: Float32, sign: Any) -> None:
    """Transform eight lines in place, without scaling; the frequencies end in the order of reversed digits.

    tile : (size, 2, 8) float32, flat; radices : of the steps; turns : twiddle factors, step by step
    sign : float32, 1; or -1 for the inverse

    Decimation in frequency (Gentleman and Sande 1966).
    """
    span = size
    first = np.int64(0)
    for step in range(radices.size):
        radix = radices[step]
        span //= radix
        if radix == 4:
            split_four(tile, size, span, turns, first, sign)
        elif radix == 2:
            split_two(tile, size, span, turns, first, sign)
        elif radix == 3:
            split_three(tile, size, span, turns, first, sign)
        else:
            split_five(tile, size, span, turns, first, sign)
        first += 2 * (radix - 1) * span


@kernel(inline=True)
def turn_eight(source: Float32, start: int, places: Int32, first: int, step: int, out: Float32, at: int,
               pitch: int) -> None:  # fmt: skip
    """Turn 8 × 8 values: vectors at ``start + places[first + k] * step`` become those at ``at + k * pitch``."""
    a = load8(source, start + places[first] * step)
    b = load8(source, start + places[first + 1] * step)
    c = load8(source, start + places[first + 2] * step)
    d = load8(source, start + places[first + 3] * step)
    e = load8(source, start + places[first + 4] * step)
    f = load8(source, start + places[first + 5] * step)
    g = load8(source, start + places[first + 6] * step)
    h = load8(source, start + places[first + 7] * step)
    ab0, ab2, cd0, cd2 = low_singles(a, b), high_singles(a, b), low_singles(c, d), high_singles(c, d)
    ef0, ef2, gh0, gh2 = low_singles(e, f), high_singles(e, f), low_singles(g, h), high_singles(g, h)
    p0, p1, p2, p3 = low_pairs(ab0, cd0), high_pairs(ab0, cd0), low_pairs(ab2, cd2), high_pairs(ab2, cd2)
    q0, q1, q2, q3 = low_pairs(ef0, gh0), high_pairs(ef0, gh0), low_pairs(ef2, gh2), high_pairs(ef2, gh2)
    store(out, at, low_halves(p0, q0))
    store(out, at + pitch, low_halves(p1, q1))
    store(out, at + 2 * pitch, low_halves(p2, q2))
    store(out, at + 3 * pitch, low_halves(p3, q3))
    store(out, at + 4 * pitch, high_halves(p0, q0))
    store(out, at + 5 * pitch, high_halves(p1, q1))
    store(out, at + 6 * pitch, high_halves(p2, q2))
    store(out, at + 7 * pitch, high_halves(p3, q3))


@kernel(inline=True)
def turn_rows(plane: Float32, first: int, rows: int, columns: int, plain: Int32, tile: Float32) -> None:
    """The tile of eight rows of a plane in blocks."""
    zero, pitch = np.int64(0), np.int64(16)
    for block in range(columns // 8):
        start = (block * rows + first) * 16
        for part in range(0, 16, 8):
            turn_eight(plane, start + part, plain, zero, pitch, tile, block * 128 + part, pitch)


@kernel(fastmath=_CONTRACT)
def add_transformed_squares_into(
    kspace: Float32, rows: int, columns: int, row_radices: Int32, row_turns: Float32, column_radices: Int32,
    column_turns: Float32, plain: Int32, plane: Float32, tile: Float32, sums: Float32,
) -> None:  # fmt: skip
    """Add the squared magnitude of a plane's inverse transform (neither shifted nor scaled) to ``sums``.

    kspace : (rows, columns, 2) float32, flat; rows and columns multiples of 8
    row_radices, row_turns : tables of transforms along rows' numbers; column_radices, column_turns : along a row
    plain : 0 to 7; plane : (rows * columns * 2,) scratch; tile : (16 * the longer side,) scratch
    sums : (rows / 8, columns, 8) float32, flat: the row is 8 * first + last index; rows and columns at their places
    """
    back = np.float32(-1)  # A literal would be a type of its own, and compiled again.
    for block in range(columns // 8):
        for y in range(rows):
            at = (y * columns + 8 * block) * 2
            a = load16(kspace, at)
            store(tile, 16 * y, parted(a, a))
        transform_lanes(tile, rows, row_radices, row_turns, back)
        for y in range(rows):
            store(plane, (block * rows + y) * 16, load16(tile, 16 * y))
    for first in range(0, rows, 8):
        turn_rows(plane, first, rows, columns, plain, tile)
        transform_lanes(tile, columns, column_radices, column_turns, back)
        for x in range(columns):
            real, imag = load8(tile, 16 * x), load8(tile, 16 * x + 8)
            at = first * columns + 8 * x
            store(sums, at, load8(sums, at) + real * real + imag * imag)


@kernel(fastmath=_CONTRACT)
def root_of_sums_into(sums: Float32, row_places: Int32, column_places: Int32, scale: float, out: Float32) -> None:
    """``out[y, x]`` is the root of ``scale`` times the sum at the places of y and x.

    sums : as of ``add_transformed_squares_into``, flat; out : (rows, columns) float32
    """
    rows, columns = out.shape
    factor = np.float32(scale)
    for y in range(rows):
        place = np.int64(row_places[y])
        start = (place // 8) * 8 * columns + place % 8
        line = out[y]
        for x in range(columns):
            line[x] = np.sqrt(sums[start + 8 * np.int64(column_places[x])] * factor)


@kernel
def part_into(image: Float32, rows: int, columns: int, out: Float32) -> None:
    """Lay a plane (rows, columns, 2) out in blocks; both flat."""
    for y in range(rows):
        for block in range(columns // 8):
            a = load16(image, (y * columns + 8 * block) * 2)
            store(out, (block * rows + y) * 16, parted(a, a))


@kernel
def join_into(parts: Float32, rows: int, columns: int, first: int, stop: int, out: Float32) -> None:
    """Undo ``part_into`` for the sum of (parts, rows * columns * 2) planes in blocks; rows ``first`` to ``stop``."""
    pitch = rows * columns * 2
    for y in range(first, stop):
        for block in range(columns // 8):
            at = (block * rows + y) * 16
            a = load16(parts, at)
            for part in range(1, parts.shape[0]):
                a = a + load16(parts, part * pitch + at)
            store(out, (y * columns + 8 * block) * 2, joined(a, a))


@kernel(inline=True, fastmath=_CONTRACT)
def see_block(image: Float32, weights: Float32, start: int, rows: int, tile: Float32) -> None:
    """The tile of eight columns of ``weights * image``."""
    minus_i = by_minus_i()
    for y in range(rows):
        x, w = load16(image, start + 16 * y), load16(weights, start + 16 * y)
        store(tile, 16 * y, x * both_real(w, w) - exchanged(x, x) * both_imaginary(w, w) * minus_i)


@kernel(inline=True, fastmath=_CONTRACT)
def add_block(tile: Float32, row_places: Int32, weights: Float32, start: int, rows: int, sums: Float32) -> None:
    """Add ``conj(weights) *`` the tile of eight columns to ``sums``."""
    minus_i = by_minus_i()
    for y in range(rows):
        at = start + 16 * y
        x, w = load16(tile, 16 * row_places[y]), load16(weights, at)
        x = x * both_real(w, w) + exchanged(x, x) * both_imaginary(w, w) * minus_i
        store(sums, at, load16(sums, at) + x)


@kernel(inline=True, fastmath=_CONTRACT)
def weigh_samples(tile: Float32, places: Int32, size: int, mask: Float32, first: int, out: Float32) -> None:
    """Sort a tile and multiply it by eight factors for each sample."""
    for k in range(size):
        factor = load8(mask, first + 8 * k)
        store(out, 16 * k, load16(tile, 16 * places[k]) * twice(factor, factor))


@kernel(fastmath=_CONTRACT)
def add_normal_of_coil_into(
    image: Float32, weights: Float32, mask: Float32, both: bool, rows: int, columns: int, row_radices: Int32,
    row_turns: Float32, row_places: Int32, column_radices: Int32, column_turns: Float32, column_places: Int32,
    plain: Int32, plane: Float32, tiles: Float32, sums: Float32,
) -> None:  # fmt: skip
    """One coil's part of SENSE's normal operator: ``sums += conj(w) * F' (mask * F (w * image))``.

    image, weights, sums : planes in blocks, float32, flat; rows and columns multiples of 8
    mask : (rows / 8, columns, 8) float32, flat, 1 / (rows * columns) included, the rows of k-space at their places; or
        without ``both``, where the mask is the same in a row: (rows, 8), in order, 1 / rows included
    both : whether the mask needs the transform along rows too
    row_radices, row_turns, row_places : tables of transforms along rows' numbers; column_…: along a row
    plain : 0 to 7; plane : (rows * columns * 2,) scratch; tiles : (2, 16 * the longer side) scratch
    """
    tile, other = tiles[0], tiles[1]
    zero, pitch, forth, back = np.int64(0), np.int64(16), np.float32(1), np.float32(-1)
    for block in range(columns // 8):
        start = 16 * rows * block
        see_block(image, weights, start, rows, tile)
        transform_lanes(tile, rows, row_radices, row_turns, forth)
        if both:
            for y in range(rows):
                store(plane, (block * rows + y) * 16, load16(tile, 16 * y))
        else:
            weigh_samples(tile, row_places, rows, mask, zero, other)
            transform_lanes(other, rows, row_radices, row_turns, back)
            add_block(other, row_places, weights, start, rows, sums)
    if not both:
        return
    for first in range(0, rows, 8):
        turn_rows(plane, first, rows, columns, plain, tile)
        transform_lanes(tile, columns, column_radices, column_turns, forth)
        weigh_samples(tile, column_places, columns, mask, first * columns, other)
        transform_lanes(other, columns, column_radices, column_turns, back)
        for block in range(columns // 8):
            start = (block * rows + first) * 16
            for part in range(0, 16, 8):
                turn_eight(other, part, column_places, 8 * block, pitch, plane, start + part, pitch)
    for block in range(columns // 8):
        start = 16 * rows * block
        for y in range(rows):
            store(tile, 16 * y, load16(plane, start + 16 * row_places[y]))
        transform_lanes(tile, rows, row_radices, row_turns, back)
        add_block(tile, row_places, weights, start, rows, sums)
