"""Twins of ``pacscore.kernels.pixels`` and of the palette expansion, written from the Standard, slow and plain."""

from __future__ import annotations

import struct

import numpy as np


def list_items(value: bytes) -> tuple[list[tuple[int, int]], bool] | None:
    """(offset, length) of each item and whether a delimiter came; None for what is malformed."""
    found: list[tuple[int, int]] = []
    rest = value
    while rest:
        if len(rest) < 8:
            return None
        group, element, length = struct.unpack("<HHI", rest[:8])
        if (group, element) == (0xFFFE, 0xE0DD):
            return found, True
        if (group, element) != (0xFFFE, 0xE000) or length == 0xFFFFFFFF or 8 + length > len(rest):
            return None
        found.append((len(value) - len(rest) + 8, length))
        rest = rest[8 + length :]
    return found, False


def stored_value(word: int, *, allocated: int, stored: int, high_bit: int, signed: bool) -> int:
    """One stored value by way of its binary digits."""
    digits = format(word % (1 << allocated), f"0{allocated}b")
    value = int(digits[allocated - 1 - high_bit :][:stored], 2)
    return value - (1 << stored) if signed and value >> (stored - 1) else value


# PS3.3 C.7.6.3.1.2, with the weights of ITU-R BT.601 that its four decimals are rounded from.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
RGB_TO_YBR = np.array(
    [
        [_RED, _GREEN, _BLUE],
        [-_RED / 2 / (1 - _BLUE), -_GREEN / 2 / (1 - _BLUE), 0.5],
        [0.5, -_GREEN / 2 / (1 - _RED), -_BLUE / 2 / (1 - _RED)],
    ]
)


def ybr_to_rgb_exact(ybr: np.ndarray, bits: int) -> np.ndarray:
    """RGB before rounding, clamped: the inverse of the forward matrix."""
    shifted = ybr.astype(np.float64) - np.array([0, 1 << (bits - 1), 1 << (bits - 1)])
    return np.clip(shifted @ np.linalg.inv(RGB_TO_YBR).T, 0, (1 << bits) - 1)


def unpack_bits(packed: bytes, start: int, count: int) -> list[int]:
    """PS3.5 8.1.1: the first sample is the lowest bit of the first byte."""
    return [packed[i // 8] >> (i % 8) & 1 for i in range(start, start + count)]
