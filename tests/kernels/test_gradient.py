"""The gradient kernels against their twin made of differences, and back."""

from __future__ import annotations

import numpy as np
import pytest
from reference.shards import undo_gradient as undo_reference

from pacscore.kernels.gradient import take_gradient_at, undo_gradient_at

DTYPES = ["uint8", "int16", "uint16", "float32", "int64"]


def left_over(words: np.ndarray) -> np.ndarray:
    """Of images (…, rows, columns, samples): words less left + above - above left, wrapped and zigzag."""
    unsigned = words.view(f"u{words.itemsize}")
    around = np.pad(unsigned, [(0, 0)] * (words.ndim - 3) + [(1, 0), (1, 0), (0, 0)])
    left, above, corner = around[..., 1:, :-1, :], around[..., :-1, 1:, :], around[..., :-1, :-1, :]
    signed = (unsigned - (left + above - corner)).view(f"i{words.itemsize}")
    return ((signed << 1) ^ (signed >> (8 * words.itemsize - 1))).view(unsigned.dtype)


@pytest.mark.kernel
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns", "step"), [(1, 1, 1), (5, 16, 1), (3, 37, 1), (4, 6, 3), (1, 5, 4)])
def test_words_become_what_the_formula_says_and_come_back(dtype, rows, columns, step):
    random = np.random.default_rng(rows * columns)
    shape = (2, rows, columns, step)
    words = random.integers(0, 256, 8 * 2 * rows * columns * step, np.uint8).view(dtype)[: 2 * rows * columns * step]
    words = words.reshape(shape).copy()
    kept = words.copy()
    with np.errstate(over="ignore"):  # Interpreted, sums of scalars that wrap are told of.
        take_gradient_at(words.ctypes.data, words.itemsize, 2, rows, columns * step, step)
        stored = words.view(f"u{words.itemsize}")
        assert np.array_equal(stored, left_over(kept))
        assert np.array_equal(undo_reference(words, 1).view(stored.dtype), kept.view(stored.dtype))
        for image in words:
            undo_gradient_at(image.ctypes.data, words.itemsize, rows, columns * step, step)
    assert np.array_equal(words.view(stored.dtype), kept.view(stored.dtype))


@pytest.mark.kernel
def test_the_first_rows_of_an_image_do_not_need_the_others():
    words = np.random.default_rng(1).integers(0, 60000, (6, 20), np.uint16)
    kept = words.copy()
    with np.errstate(over="ignore"):
        take_gradient_at(words.ctypes.data, 2, 1, 6, 20, 1)
        undo_gradient_at(words.ctypes.data, 2, 4, 20, 1)
    assert np.array_equal(words[:4], kept[:4])
