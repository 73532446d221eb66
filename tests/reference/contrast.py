"""NumPy twins of the contrast functions, from their definitions, one region, level or pixel at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def equalize(values: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """Each value by the share of values not above it, for values that are their own bins."""
    ordered = np.sort(values.reshape(-1))
    share = np.searchsorted(ordered, values, side="right") / ordered.size
    least = np.count_nonzero(ordered == ordered[0]) / ordered.size
    return low + (high - low) * (share - least) / (1 - least if least < 1 else 1)


def match_histogram(values: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.float64]:
    """Each value to where the reference has the same share, interpolated."""
    ordered, model = np.sort(values.reshape(-1)), np.sort(reference.reshape(-1))
    share = np.searchsorted(ordered, values, side="right") / ordered.size
    levels = np.unique(model)
    return np.interp(share, np.searchsorted(model, levels, side="right") / model.size, levels)


def clahe(image: NDArray[Any], clip: float, tiles: tuple[int, int], levels: int) -> NDArray[Any]:
    """Region tables by Python's integers, blended pixel by pixel in float32, in the order that OpenCV does."""
    down, across = tiles
    rows, columns = image.shape
    extended = image
    if rows % down or columns % across:
        extended = np.pad(image, ((0, down - rows % down), (0, across - columns % across)), mode="reflect")
    height, width = extended.shape[0] // down, extended.shape[1] // across
    limit = max(int(clip * height * width / levels), 1) if clip > 0 else 0
    tables = {}
    for y in range(down):
        for x in range(across):
            region = extended[y * height : (y + 1) * height, x * width : (x + 1) * width]
            tables[y, x] = _table(np.bincount(region.reshape(-1), minlength=levels), limit, levels, region.size)
    result = np.empty_like(image)
    one, half = np.float32(1), np.float32(0.5)
    for row in range(rows):
        place_y = np.float32(row) * (one / np.float32(height)) - half
        y = math.floor(place_y)
        below = place_y - np.float32(y)
        for column in range(columns):
            place_x = np.float32(column) * (one / np.float32(width)) - half
            x = math.floor(place_x)
            after = place_x - np.float32(x)
            value = image[row, column]
            corner = [
                [np.float32(tables[min(max(v, 0), down - 1), min(max(u, 0), across - 1)][value]) for u in (x, x + 1)]
                for v in (y, y + 1)
            ]
            upper = corner[0][0] * (one - after) + corner[0][1] * after
            lower = corner[1][0] * (one - after) + corner[1][1] * after
            result[row, column] = round(float(upper * (one - below) + lower * below))
    return result


def _table(counts: NDArray[np.int64], limit: int, levels: int, pixels: int) -> NDArray[np.int64]:
    held = [int(each) for each in counts]
    if limit:
        clipped = sum(max(each - limit, 0) for each in held)
        held = [min(each, limit) + clipped // levels for each in held]
        rest = clipped % levels
        step = max(levels // rest, 1) if rest else 1
        for level in range(0, levels, step):
            if rest == 0:
                break
            held[level] += 1
            rest -= 1
    scale = np.float32(levels - 1) / np.float32(pixels)
    return np.array([round(float(np.float32(total) * scale)) for total in np.cumsum(held)])


def gamma(values: NDArray[Any], exponent: float, low: float, high: float) -> NDArray[np.float64]:
    """The power of the place in the range."""
    place = np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)
    return low + (high - low) * place**exponent


def halve(image: NDArray[Any]) -> NDArray[np.float64]:
    """REDUCE: weights (1 4 6 4 1) / 16 by a matrix along each axis."""
    for axis in (0, 1):
        image = np.moveaxis(np.tensordot(_halving(image.shape[axis]), image, (1, axis)), 0, axis)
    return image


def double(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float64]:
    """EXPAND: weights (1 6 1) / 8 and (1 1) / 2 by a matrix along each axis."""
    for axis in (0, 1):
        image = np.moveaxis(np.tensordot(_doubling(shape[axis]), image, (1, axis)), 0, axis)
    return image


def amplify_detail(image: NDArray[Any], exponent: float, core: float, base: float, levels: int) -> NDArray[np.float64]:
    """Pyramid of ``levels``, each coefficient to its power, and back."""
    rest = image.astype(np.float64)
    details = []
    for _ in range(levels):
        smaller = halve(rest)
        details.append(rest - double(smaller, rest.shape))
        rest = smaller
    limit = max((np.abs(detail).max() for detail in details), default=0)
    rest = rest.mean() + base * (rest - rest.mean())
    for detail in reversed(details):
        size = np.maximum(np.abs(detail), core * limit)
        gain = (size / limit) ** (exponent - 1) if limit else 1
        rest = double(rest, detail.shape) + detail * gain
    return rest


def _halving(length: int) -> NDArray[np.float64]:
    matrix = np.zeros((-(-length // 2), length))
    for place in range(matrix.shape[0]):
        for step, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
            matrix[place, min(max(2 * place + step, 0), length - 1)] += weight / 16
    return matrix


def _doubling(length: int) -> NDArray[np.float64]:
    short = -(-length // 2)
    matrix = np.zeros((length, short))
    for place in range(length):
        parts = ((0, 0.5), (1, 0.5)) if place % 2 else ((-1, 0.125), (0, 0.75), (1, 0.125))
        for step, weight in parts:
            matrix[place, min(max(place // 2 + step, 0), short - 1)] += weight
    return matrix
