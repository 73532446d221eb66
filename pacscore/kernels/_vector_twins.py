"""The vector operations with the compiler off: the same lanes from small NumPy arrays.

Written from the meanings in ``_vector``; they serve interpreted kernels and are what compiled ones are tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lanes = NDArray[Any]


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    if not array.flags.c_contiguous:
        raise IndexError("Vectors are loaded from and stored to C-contiguous arrays.")
    return array.reshape(-1)


def _span(array: NDArray[Any], index: int, lanes: int) -> slice:
    if not 0 <= index <= array.size - lanes:
        raise IndexError(f"{lanes} lanes from {index} leave an array of {array.size}.")
    return slice(int(index), int(index) + lanes)


def load(lanes: int) -> Callable[[NDArray[Any], int], Lanes]:
    def twin(array: NDArray[Any], index: int) -> Lanes:
        return _flat(array)[_span(array, index, lanes)].copy()

    return twin


def store(array: NDArray[Any], index: int, vector: Lanes) -> None:
    if array.dtype != vector.dtype:
        raise TypeError(f"{vector.dtype} lanes do not go into an array of {array.dtype}.")
    _flat(array)[_span(array, index, vector.size)] = vector


def splat(lanes: int) -> Callable[[Any], Lanes]:
    def twin(scalar: Any) -> Lanes:
        return np.full(lanes, scalar, np.asarray(scalar).dtype)

    return twin


def constant(dtype: str, values: tuple[float, ...]) -> Callable[[], Lanes]:
    return lambda: np.array(values, dtype)


def convert(dtype: str) -> Callable[[Lanes], Lanes]:
    return lambda vector: vector.astype(dtype)


def reinterpret(dtype: str) -> Callable[[Lanes], Lanes]:
    return lambda vector: vector.view(dtype)


def shuffle(places: Sequence[int]) -> Callable[[Lanes, Lanes], Lanes]:
    return lambda a, b: np.concatenate([a, b])[list(places)]


def gather(array: NDArray[Any], base: int, offsets: Lanes) -> Lanes:
    places = int(base) + offsets.astype(np.int64)
    if places.min() < 0:
        raise IndexError(f"Lane at {places.min()} lies before the array.")
    return np.asarray(_flat(array)[places])


def gather_pairs(array: NDArray[Any], base: int, offsets: Lanes) -> tuple[Lanes, Lanes]:
    return gather(array, base, offsets), gather(array, base + 1, offsets)


def pairs_along(array: NDArray[Any], position: int, step: int) -> tuple[Lanes, Lanes]:
    places = (int(position) + int(step) * np.arange(8, dtype=np.int64)) >> 32
    return gather(array, 0, places), gather(array, 1, places)


def select(mask: Lanes, a: Lanes, b: Lanes) -> Lanes:
    return np.where(mask, a, b)


def minimum(a: Lanes, b: Lanes) -> Lanes:
    return np.where(a < b, a, b)


def maximum(a: Lanes, b: Lanes) -> Lanes:
    return np.where(a > b, a, b)


def add_saturated(a: Lanes, b: Lanes) -> Lanes:
    return _saturated(a.astype(object) + b.astype(object), a.dtype)


def subtract_saturated(a: Lanes, b: Lanes) -> Lanes:
    return _saturated(a.astype(object) - b.astype(object), a.dtype)


def _saturated(exact: NDArray[Any], dtype: np.dtype[Any]) -> Lanes:
    ends = np.iinfo(dtype)
    clipped: Lanes = np.clip(exact, ends.min, ends.max).astype(dtype)
    return clipped


def multiply_high(a: Lanes, b: Lanes) -> Lanes:
    bits = a.dtype.itemsize * 8
    wide = np.int64 if a.dtype.kind == "i" else np.uint64
    return ((a.astype(wide) * b.astype(wide)) >> wide(bits)).astype(a.dtype)


def rint(x: Any) -> Any:
    return np.rint(x)


def floor(x: Any) -> Any:
    return np.floor(x)


def absolute(x: Any) -> Any:
    return np.abs(x)


def square_root(x: Any) -> Any:
    return np.sqrt(x)


def lane(vector: Lanes, number: int) -> Any:
    return vector[number]


def _halved(vector: Lanes, combine: Callable[[Lanes, Lanes], Lanes]) -> Any:
    while vector.size > 1:
        half = vector.size // 2
        vector = combine(vector[:half], vector[half:])
    return vector[0]


def lane_sum(vector: Lanes) -> Any:
    return _halved(vector, np.add)


def lane_minimum(vector: Lanes) -> Any:
    return _halved(vector, minimum)


def lane_maximum(vector: Lanes) -> Any:
    return _halved(vector, maximum)


def mask_bits(mask: Lanes) -> np.uint64:
    return np.uint64(sum(1 << place for place, held in enumerate(mask.tolist()) if held))


def trailing_zeros(bits: Any) -> int:
    value = int(bits)
    return (value & -value).bit_length() - 1 if value else 64


def population_count(bits: Any) -> int:
    return int(bits).bit_count()
