"""Twins of ``pacscore.kernels.pointwise`` in NumPy's and Python's own integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def ramp(words: NDArray[np.uint16], numbers: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The formula of ``ramp_into``, word by word."""
    mask, sign, base, span, shift, factor, addend, offset, drop, flip = (int(number) for number in numbers)
    shown = []
    for word in words.tolist():
        step = min(max(((word & mask) ^ sign) - base, 0), span) * 2**shift
        shown.append((((step * factor + addend) // 65536 + offset) // 2**drop) ^ flip)
    return np.array(shown, np.uint8)


def window(values: NDArray[Any], center: float, width: float, function: str, top: int) -> NDArray[np.int64]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3 for any range of display values."""
    x = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        if function == "LINEAR":
            y = ((x - (center - 0.5)) / (width - 1) + 0.5) * top
            y = np.where(x <= center - 0.5 - (width - 1) / 2, 0, np.where(x > center - 0.5 + (width - 1) / 2, top, y))
        elif function == "LINEAR_EXACT":
            y = ((x - center) / width + 0.5) * top
            y = np.where(x <= center - width / 2, 0, np.where(x > center + width / 2, top, y))
        else:
            y = top / (1 + np.exp(-4 * (x - center) / width))
    return np.floor(np.where(np.isnan(y), 0, y) + 0.5).astype(np.int64)


def fuse(
    below: NDArray[np.uint8],
    above: NDArray[np.uint8],
    under: NDArray[np.uint8],
    over: NDArray[np.uint8],
    alpha: NDArray[np.uint8],
) -> NDArray[np.uint8]:
    """Exact shares, rounded to nearest."""
    share = alpha[above][..., None] / 255
    mixed = under[below] * (1 - share) + over[above] * share
    return np.floor(mixed + 0.5 - 1e-9).astype(np.uint8)


def bt601(ybr: NDArray[Any], bits: int) -> NDArray[np.int64]:
    """RGB from the definition of luma and colour differences (ITU-R BT.601), solved by a matrix."""
    forward = np.array([[0.299, 0.587, 0.114], [0, 0, 0], [0, 0, 0]])
    forward[1] = ([0, 0, 1] - forward[0]) / 1.772
    forward[2] = ([1, 0, 0] - forward[0]) / 1.402
    rgb = ybr.astype(np.float64) @ np.linalg.inv(forward).T
    return np.clip(np.floor(rgb + 0.5), 0, 2**bits - 1).astype(np.int64)


def jnd_luminance(jnd: float) -> float:
    """PS3.14 equation 7-1, term by term."""
    a, b, c, d, e = -1.3011877, -2.5840191e-2, 8.0242636e-2, -1.0320229e-1, 1.3646699e-1
    f, g, h, k, m = 2.8745620e-2, -2.5468404e-2, -3.1978977e-3, 1.2992634e-4, 1.3635334e-3
    n = math.log(jnd)
    return 10 ** (
        (a + c * n + e * n**2 + g * n**3 + m * n**4) / (1 + b * n + d * n**2 + f * n**3 + h * n**4 + k * n**5)
    )
