"""NumPy twins of the neighbourhood filters, from their definitions in float64, one shifted copy per neighbour."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def shifted(values: NDArray[Any], step: Sequence[int], mode: str = "edge") -> NDArray[Any]:
    """``values[index + step]`` at each index."""
    sides = [(max(-each, 0), max(each, 0)) for each in step]
    padded = np.pad(values, sides, mode=mode)
    parts = tuple(slice(max(each, 0), max(each, 0) + length) for each, length in zip(step, values.shape, strict=True))
    return padded[parts]


def gaussian(values: NDArray[Any], sigma: Sequence[float], truncate: float = 4.0) -> NDArray[np.float64]:
    """Sampled Gaussian weights along each axis, normalised, cut at ``truncate`` sigma."""
    result = values.astype(np.float64)
    for axis, each in enumerate(sigma):
        reach = int(truncate * each + 0.5)
        if reach == 0:
            continue
        weights = [math.exp(-(place**2) / (2 * each**2)) for place in range(-reach, reach + 1)]
        steps = [[0] * axis + [place] + [0] * (values.ndim - axis - 1) for place in range(-reach, reach + 1)]
        result = sum(w * shifted(result, step) for w, step in zip(weights, steps, strict=True)) / sum(weights)
    return result


def windows(values: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """All values of the box around each sample, along a new first axis."""
    steps = itertools.product(*(range(-(each // 2), each // 2 + 1) for each in size))
    return np.stack([shifted(values, step) for step in steps])


def box(values: NDArray[Any], size: Sequence[int]) -> NDArray[np.float64]:
    """Mean of the box."""
    return windows(values.astype(np.float64), size).mean(axis=0)


def rank(values: NDArray[Any], size: Sequence[int], percent: float) -> NDArray[Any]:
    """The value at a rank of the sorted box; NaN sorts last."""
    stacked = np.sort(windows(values, size), axis=0)
    return stacked[math.floor(percent / 100 * (len(stacked) - 1) + 0.5)]


def unsharp(values: NDArray[Any], sigma: Sequence[float], amount: float, threshold: float) -> NDArray[np.float64]:
    """Value plus amount times the difference from the Gaussian."""
    exact = values.astype(np.float64)
    detail = exact - gaussian(values, sigma)
    return np.where(np.abs(detail) > threshold, exact + amount * detail, exact)


def sobel(values: NDArray[Any], spacing: Sequence[float], axes: Sequence[int]) -> NDArray[np.float64]:
    """Root of the sum of squares of the smoothed central differences along ``axes``."""
    total = np.zeros(values.shape)
    for axis in axes:
        step = [int(each == axis) for each in range(values.ndim)]
        exact = values.astype(np.float64)
        part = (shifted(exact, step) - shifted(exact, [-each for each in step])) / (2 * spacing[axis])
        for other in axes:
            if other != axis:
                aside = [int(each == other) for each in range(values.ndim)]
                part = (2 * part + shifted(part, aside) + shifted(part, [-each for each in aside])) / 4
        total += part**2
    return np.sqrt(total)


def laplacian(values: NDArray[Any], spacing: Sequence[float], axes: Sequence[int]) -> NDArray[np.float64]:
    """Sum of the second differences along ``axes``."""
    total = np.zeros(values.shape)
    exact = values.astype(np.float64)
    for axis in axes:
        step = [int(each == axis) for each in range(values.ndim)]
        both = shifted(exact, step) + shifted(exact, [-each for each in step])
        total += (both - 2 * exact) / spacing[axis] ** 2
    return total
