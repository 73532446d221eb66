"""The two-dimensional gradient: words of an image as what a plane through three neighbours leaves of them.

With a the word to the left, b the one above and c the one above a, a + b - c predicts a word: a plane through them.
What is left is small and of either sign; zigzag (0, -1, 1, -2, … as 0, 1, 2, 3, …) makes it a small number whose upper
bytes are zero, which is what a shuffle and an entropy coder want. Outside the image all words are 0, so the first row
is predicted from the left and the first column from above.

Since prediction is a difference along rows of a difference along columns, undoing it is a running sum along each row
onto the row above, which vectors do, where a median predictor (that of JPEG-LS) must decide for each word in turn: for
1 % fewer bytes.

Arithmetic wraps at the width of a word, so every word comes back, of integers of either sign and of floats as their
bits. ``words`` are unsigned; all is computed in uint64, whose lower bits are those of any narrower word.
"""

# ruff: noqa: PLR0917 -- Kernels take plain arrays and scalars by position: Numba's dispatch by keyword is slow.

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel
from pacscore.kernels._memory import words8_at, words16_at, words32_at, words64_at
from pacscore.kernels._vector import load_of, shuffle_by, store

LANES = 16
load16 = load_of(LANES)


def _moved(lanes: int) -> Any:
    """``(zeros, vector)`` → the vector with each lane moved up by so many, and zeros below."""
    return shuffle_by(tuple(0 if lane < lanes else LANES + lane - lanes for lane in range(LANES)))


moved_1, moved_2, moved_4, moved_8 = _moved(1), _moved(2), _moved(4), _moved(8)
last_of = shuffle_by((LANES - 1,) * LANES)
"""``(vector, vector)`` → its last lane in each."""

Words = NDArray[Any]
"""uint8, uint16, uint32 or uint64, one axis, C order."""


@kernel
def take_gradient(words: Words, rows: int, row_words: int, step: int) -> None:
    """Replace the words of an image by what their prediction leaves, zigzag, in place.

    words : (rows × row_words,)
    row_words : words of a row: columns × step
    step : words from a pixel to its neighbour: samples of a pixel, 1 of gray ones
    """
    empty = np.uint64(64 - 8 * words.itemsize)
    top = np.uint64(8 * words.itemsize - 1)
    one, zero = np.uint64(1), np.uint64(0)
    # From the last word to the first: what predicts a word is still there when it is replaced.
    for row in range(rows - 1, -1, -1):
        here = words[row * row_words : (row + 1) * row_words]
        if row > 0:
            above = words[(row - 1) * row_words : row * row_words]
            for i in range(row_words):
                here[i] = np.uint64(here[i]) - np.uint64(above[i])
        for i in range(row_words - 1, -1, -1):
            left = np.uint64(here[i - step]) if i >= step else zero
            left_over = ((np.uint64(here[i]) - left) << empty) >> empty
            here[i] = (left_over << one) ^ (zero - (left_over >> top))


@kernel
def undo_gradient(words: Words, rows: int, row_words: int, step: int) -> None:
    """The inverse of ``take_gradient``, in place; of the first ``rows`` rows of a longer image it is right too."""
    one, zero = np.uint64(1), np.uint64(0)
    full = row_words // LANES * LANES if step == 1 else 0
    for row in range(rows):
        start = row * row_words
        if full > 0:
            running = load16(words, start)
            running = running ^ running
            nothing = running
            unit = nothing - ~nothing
            for i in range(start, start + full, LANES):
                zigzag = load16(words, i)
                sums = (zigzag >> unit) ^ (nothing - (zigzag & unit))
                # The sum of each lane and all before it, in four doublings, onto that of all vectors before: in
                # registers, since a sum that goes through memory word by word took six times as long.
                sums = sums + moved_1(nothing, sums)
                sums = sums + moved_2(nothing, sums)
                sums = sums + moved_4(nothing, sums)
                sums = sums + moved_8(nothing, sums)
                sums = sums + running
                running = last_of(sums, sums)
                if row > 0:
                    sums = sums + load16(words, i - row_words)
                store(words, i, sums)
        for i in range(start + full, start + row_words):
            zigzag_word = np.uint64(words[i])
            word = (zigzag_word >> one) ^ (zero - (zigzag_word & one))
            if i >= start + step:
                word += np.uint64(words[i - step])
            if row > 0:
                word += np.uint64(words[i - row_words])
                if i >= start + step:
                    word -= np.uint64(words[i - row_words - step])
            words[i] = word


@kernel
def take_gradient_at(address: int, item_bytes: int, planes: int, rows: int, row_words: int, step: int) -> None:
    """``take_gradient`` of each of consecutive images at an address.

    item_bytes : 1, 2, 4 or 8
    """
    count = rows * row_words
    for plane in range(planes):
        place = address + plane * count * item_bytes
        if item_bytes == 2:
            take_gradient(words16_at(place, count), rows, row_words, step)
        elif item_bytes == 1:
            take_gradient(words8_at(place, count), rows, row_words, step)
        elif item_bytes == 4:
            take_gradient(words32_at(place, count), rows, row_words, step)
        else:
            take_gradient(words64_at(place, count), rows, row_words, step)


@kernel
def undo_gradient_at(address: int, item_bytes: int, rows: int, row_words: int, step: int) -> None:
    """``undo_gradient`` of one image, or its first rows, at an address.

    item_bytes : 1, 2, 4 or 8
    """
    count = rows * row_words
    if item_bytes == 2:
        undo_gradient(words16_at(address, count), rows, row_words, step)
    elif item_bytes == 1:
        undo_gradient(words8_at(address, count), rows, row_words, step)
    elif item_bytes == 4:
        undo_gradient(words32_at(address, count), rows, row_words, step)
    else:
        undo_gradient(words64_at(address, count), rows, row_words, step)
