"""Kernels between stored words and a picture: stored values, modality values, 8-bit display values.

Unchecked: the checked entries are in ``pacscore.imaging.arrays``. Twins: ``tests/reference/display.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore.kernels._compile import kernel


@kernel
def mask_stored_into(words: NDArray[Any], bits_stored: int, high_bit: int, signed: bool) -> None:
    """Turn words into their stored values in place: Bits Stored bits that end at High Bit, sign-extended where signed.

    words : (pixels,) integer, C order, any content; input and output
    bits_stored, high_bit : Bits Stored and High Bit; 1 <= bits_stored <= high_bit + 1 <= bits of the word
    signed : Pixel Representation is 1

    PS3.5 8.1.1. Exact. The sign is extended by (v ^ s) - s, where s is the sign bit. In place, because two arguments
    that may be one array keep LLVM from vectorising (13 ms instead of 3.5 for 55 million words), and without a shift
    wherever High Bit allows, because then it works in the words' own width.
    """
    shift = np.int64(high_bit + 1 - bits_stored)
    mask = np.int64(-1) if bits_stored >= 64 else (np.int64(1) << np.int64(bits_stored)) - np.int64(1)
    sign = np.int64(1) << np.int64(bits_stored - 1) if signed else np.int64(0)
    if shift == 0:
        for pixel in range(words.shape[0]):
            words[pixel] = ((np.int64(words[pixel]) & mask) ^ sign) - sign
    else:
        for pixel in range(words.shape[0]):
            words[pixel] = (((np.int64(words[pixel]) >> shift) & mask) ^ sign) - sign


@kernel
def rescale_into(
    words: NDArray[Any], slopes: NDArray[np.float64], intercepts: NDArray[np.float64], out: NDArray[np.float32]
) -> None:
    """Map stored values to modality values, each frame with its own slope and intercept.

    words : (frames, pixels) integer or float, C order
    slopes, intercepts : (frames,) Rescale Slope and Rescale Intercept, finite
    out : (frames, pixels) float32, C order, must not overlap words

    PS3.3 C.11.1.1.2: output = slope * stored + intercept. Computed in float64 and rounded once, so a slope of 1 with
    a whole intercept is exact below 2**24.
    """
    for frame in range(words.shape[0]):
        slope = slopes[frame]
        intercept = intercepts[frame]
        source = words[frame]
        target = out[frame]
        for pixel in range(source.shape[0]):
            target[pixel] = np.float32(np.float64(source[pixel]) * slope + intercept)


@kernel
def rescale_box_into(
    words: NDArray[Any],
    start: NDArray[np.int64],
    slopes: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Map the stored values of a box of an array to modality values.

    words : (slices, rows, columns) integer or float, C order
    start : (3,) the box's first slice, row and column; the box has the shape of ``out`` and lies within ``words``
    slopes, intercepts : (slices of the box,) Rescale Slope and Rescale Intercept, finite
    out : (slices, rows, columns) float32, C order, must not overlap words

    As ``rescale_into``; cutting and rescaling in one pass take half the time of one after the other.
    """
    first_slice, first_row, first_column = start[0], start[1], start[2]
    for place in range(out.shape[0]):
        slope = slopes[place]
        intercept = intercepts[place]
        for row in range(out.shape[1]):
            target = out[place, row]
            source = words[first_slice + place, first_row + row, first_column : first_column + target.shape[0]]
            for column in range(target.shape[0]):
                target[column] = np.float32(np.float64(source[column]) * slope + intercept)


@kernel
def look_up_into(words: NDArray[Any], first: int, table: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """Map stored values through a table: below its first mapped value the first entry, above its last the last.

    words : (pixels,) integer of at most 32 bits, C order
    first : the stored value that the first entry stands for
    table : (entries,) float32, at least one
    out : (pixels,) float32, C order, must not overlap words

    PS3.3 C.11.1.1.1. Exact.
    """
    last = np.int64(table.shape[0] - 1)
    for pixel in range(words.shape[0]):
        entry = np.int64(words[pixel]) - np.int64(first)
        entry = max(np.int64(0), min(last, entry))
        out[pixel] = table[entry]


@kernel
def window_linear_into(values: NDArray[np.float32], center: float, width: float, top: float, out: NDArray[Any]) -> None:
    """Map modality values to display values of 0 to ``top``, VOI LUT Function LINEAR.

    values : (rows, columns) float32, C order, in the modality's output unit (CT: HU); NaN becomes 0
    center, width : Window Center and Window Width, same unit; width >= 1
    top : 255 or 65535
    out : (rows, columns) uint8 or uint16, C order, must not overlap values

    PS3.3 C.11.2.1.2.1 with ymin = 0, ymax = top; ties round up. One pass, no temporaries.
    """
    low = center - 0.5 - (width - 1.0) / 2.0
    high = center - 0.5 + (width - 1.0) / 2.0
    for row in range(values.shape[0]):
        source = values[row]
        target = out[row]
        for column in range(source.shape[0]):
            x = np.float64(source[column])  # Stated: NumPy would keep float32 here, Numba would widen.
            if x > high:
                target[column] = np.int32(top)
            elif x > low:
                target[column] = np.int32(((x - (center - 0.5)) / (width - 1.0) + 0.5) * top + 0.5)
            else:
                target[column] = 0  # NaN too: no comparison with it holds.


@kernel
def window_linear_exact_into(
    values: NDArray[np.float32], center: float, width: float, top: float, out: NDArray[Any]
) -> None:
    """Map modality values to display values of 0 to ``top``, VOI LUT Function LINEAR_EXACT.

    values : (rows, columns) float32, C order, in the modality's output unit; NaN becomes 0
    center, width : Window Center and Window Width, same unit; width > 0
    top : 255 or 65535
    out : (rows, columns) uint8 or uint16, C order, must not overlap values

    PS3.3 C.11.2.1.3.2 with ymin = 0, ymax = top; ties round up.
    """
    low = center - width / 2.0
    high = center + width / 2.0
    for row in range(values.shape[0]):
        source = values[row]
        target = out[row]
        for column in range(source.shape[0]):
            x = np.float64(source[column])
            if x > high:
                target[column] = np.int32(top)
            elif x > low:
                target[column] = np.int32(((x - center) / width + 0.5) * top + 0.5)
            else:
                target[column] = 0


@kernel
def window_sigmoid_into(
    values: NDArray[np.float32], center: float, width: float, top: float, out: NDArray[Any]
) -> None:
    """Map modality values to display values of 0 to ``top``, VOI LUT Function SIGMOID.

    values : (rows, columns) float32, C order, in the modality's output unit; NaN becomes 0
    center, width : Window Center and Window Width, same unit; width > 0
    top : 255 or 65535
    out : (rows, columns) uint8 or uint16, C order, must not overlap values

    PS3.3 C.11.2.1.3.1 with ymin = 0, ymax = top; ties round up. Within 1 of the twin: the compiler's exp may differ
    from NumPy's in the last bit.
    """
    for row in range(values.shape[0]):
        source = values[row]
        target = out[row]
        for column in range(source.shape[0]):
            exponent = -4.0 * (np.float64(source[column]) - center) / width
            if exponent < 700.0:
                target[column] = np.int32(top / (1.0 + np.exp(exponent)) + 0.5)
            else:
                target[column] = 0  # NaN too; beyond 709 exp overflows.
