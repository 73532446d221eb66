"""NumPy twins of the bilateral filter and of non-local means: their definitions in float64, one neighbour at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bilateral(
    values: NDArray[Any], sigma: Sequence[float], sigma_value: float, reach: Sequence[int]
) -> NDArray[np.float64]:
    """Weights exp(-(distance in sigmas) ** 2 / 2 - (difference in sigmas) ** 2 / 2) over an ellipsoid."""
    exact = values.astype(np.float64)
    padded = np.pad(exact, [(each, each) for each in reach], mode="reflect")
    total = np.zeros(values.shape)
    weights = np.zeros(values.shape)
    for step in itertools.product(*(range(-each, each + 1) for each in reach)):
        if sum((place / each) ** 2 for place, each in zip(step, reach, strict=True) if each) > 1 + 1e-9:
            continue
        near = sum((place / each) ** 2 for place, each in zip(step, sigma, strict=True) if each)
        value = padded[_part(step, reach, values.shape)]
        weight = np.exp(-near / 2 - ((value - exact) / sigma_value) ** 2 / 2)
        total += weight * value
        weights += weight
    return total / weights


def nlm(
    values: NDArray[Any],
    strength: float,
    patch: Sequence[int],
    search: Sequence[int],
    noise: float = 0.0,
    cutoff: float = math.inf,
) -> NDArray[np.float64]:
    """Weights exp(-max(d - 2 noise ** 2, 0) / strength ** 2), d the mean squared difference of the patches."""
    before = [(each - 1) // 2 for each in patch]
    after = [each - 1 - side for each, side in zip(patch, before, strict=True)]
    pads = [max(a, b) + each for a, b, each in zip(before, after, search, strict=True)]
    padded = np.pad(values.astype(np.float64), [(each, each) for each in pads], mode="reflect")
    total = np.zeros(values.shape)
    weights = np.zeros(values.shape)
    for offset in itertools.product(*(range(-each, each + 1) for each in search)):
        squares = np.zeros(values.shape)
        for step in itertools.product(*(range(-a, b + 1) for a, b in zip(before, after, strict=True))):
            there = [place + each for place, each in zip(step, offset, strict=True)]
            difference = padded[_part(step, pads, values.shape)] - padded[_part(there, pads, values.shape)]
            squares += difference**2
        distance = np.maximum(squares / math.prod(patch) - 2 * noise**2, 0) / strength**2
        weight = np.where(distance <= cutoff, np.exp(-distance), 0)
        total += weight * padded[_part(offset, pads, values.shape)]
        weights += weight
    return total / weights


def _part(step: Sequence[int], pads: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(pad + place, pad + place + length) for place, pad, length in zip(step, pads, shape, strict=True))
