"""NumPy twins of ``pacscore.kernels.display``, written from the Standard's formulas in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mask_stored(words: NDArray[Any], bits_stored: int, high_bit: int, signed: bool) -> NDArray[Any]:
    """PS3.5 8.1.1, bit by bit in Python's integers."""
    result = np.empty_like(words)
    shift = high_bit + 1 - bits_stored
    for place, word in enumerate(words.tolist()):
        bits = [(word >> (shift + bit)) & 1 for bit in range(bits_stored)]
        weights = [1 << bit for bit in range(bits_stored)]
        if signed:
            weights[-1] = -weights[-1]
        result[place] = sum(bit * weight for bit, weight in zip(bits, weights, strict=True))
    return result


def rescale(words: NDArray[Any], slopes: NDArray[np.float64], intercepts: NDArray[np.float64]) -> NDArray[np.float32]:
    """PS3.3 C.11.1.1.2."""
    return (words.astype(np.float64) * slopes[:, None] + intercepts[:, None]).astype(np.float32)


def look_up(words: NDArray[Any], first: int, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """PS3.3 C.11.1.1.1."""
    return table[np.clip(words.astype(np.int64) - first, 0, len(table) - 1)]


def window(values: NDArray[np.float32], center: float, width: float, function: str) -> NDArray[np.uint8]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, NaN as 0."""
    x = values.astype(np.float64)
    with np.errstate(all="ignore"):
        if function == "LINEAR":
            y = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
            y = np.where(x <= center - 0.5 - (width - 1) / 2, 0, np.where(x > center - 0.5 + (width - 1) / 2, 255, y))
        elif function == "LINEAR_EXACT":
            y = ((x - center) / width + 0.5) * 255
            y = np.where(x <= center - width / 2, 0, np.where(x > center + width / 2, 255, y))
        else:
            y = 255 / (1 + np.exp(-4 * (x - center) / width))
        return np.floor(np.where(np.isnan(y), 0, y) + 0.5).astype(np.uint8)
