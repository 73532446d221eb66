"""Tables of transforms that take eight lines side by side (``kernels.mr_transforms``), and the planes they suit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.kernels import mr_transforms

_LONGEST = 2048
_TILE = 1 << 17  # Voxels: below that a second thread takes longer to wake than the work takes.
PLAIN = np.arange(8, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class LinePlan:
    """How to transform lines of one length.

    Attributes
    ----------
    radices : NDArray of int32
        Of the steps.
    turns : NDArray of float32
        Twiddle factors, step by step, real and imaginary part.
    places : NDArray of int32
        Where in the result each frequency lies.
    """

    radices: NDArray[np.int32]
    turns: NDArray[np.float32]
    places: NDArray[np.int32]


def suits(shape: tuple[int, ...]) -> bool:
    """Whether planes of this shape can be transformed so: sides are multiples of 8 and products of 2, 3 and 5."""
    return len(shape) == 2 and all(length % 8 == 0 and length <= _LONGEST and _radices(length) for length in shape)


@lru_cache(maxsize=16)
def line_plan(length: int) -> LinePlan:
    """The tables for a length that ``suits``."""
    radices, span, turns, frequencies, weight = _radices(length), length, [], np.zeros(1, np.int64), 1
    assert radices
    for radix in radices:
        block, span = span, span // radix
        powers = np.arange(span)[:, None] * np.arange(1, radix)
        turns.append(np.exp(-2j * np.pi * powers / block).astype(np.complex64).view(np.float32).reshape(-1))
        frequencies = (frequencies[:, None] + weight * np.arange(radix)).reshape(-1)
        weight *= radix
    places = np.empty(length, np.int32)
    places[frequencies] = np.arange(length)
    return LinePlan(np.array(radices, np.int32), np.concatenate(turns), places)


def _radices(length: int) -> list[int]:
    """Factors of a length, as few as can be; none where it has another factor."""
    found = []
    for radix in (5, 3, 4, 2):
        while length % radix == 0:
            found.append(radix)
            length //= radix
    return found if length == 1 else []


class SquaredTransform:
    """Sums of squared magnitudes of the inverse transforms of planes of one shape, for one thread."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._rows, self._columns = map(line_plan, shape)
        self._row_places, self._column_places = (
            np.roll(line_plan(length).places, length // 2) for length in shape
        )  # fmt: skip
        self._plane = np.empty(2 * shape[0] * shape[1], np.float32)
        self._tile = np.empty(16 * max(shape), np.float32)
        self._sums = np.empty(shape[0] * shape[1], np.float32)

    def __call__(self, coils: NDArray[np.complex64], out: NDArray[np.float32]) -> None:
        """The centred root of the sum of squares of ``(coils, ky, kx)``."""
        self._sums[...] = 0
        for coil in coils:
            samples = _floats(coil)
            samples.flags.writeable = False  # Always: so the kernel has one version for arrays that are and are not.
            mr_transforms.add_transformed_squares_into(
                samples, *self._shape, self._rows.radices, self._rows.turns,
                self._columns.radices, self._columns.turns, PLAIN, self._plane, self._tile, self._sums,
            )  # fmt: skip
        mr_transforms.root_of_sums_into(
            self._sums, self._row_places, self._column_places, 1.0 / self._sums.size, out
        )  # fmt: skip


class NormalOfCoils:
    """``conj(weights) * F' (mask * F (weights * image))``, coil by coil, for images of one shape.

    Parameters
    ----------
    weights : NDArray of complex64
        ``(coils, row, column)``, of a shape that ``suits``.
    mask : NDArray of float32
        ``(ky, kx)``; F is the plain transform and unitary.
    side_by_side : int
        How many coils may be at work at once.

    Notes
    -----
    Memory: the weights once more, and an image for each coil at work.
    """

    def __init__(self, weights: NDArray[np.complex64], mask: NDArray[np.float32], side_by_side: int) -> None:
        rows, columns = mask.shape
        self._shape = mask.shape
        self._rows, self._columns = line_plan(rows), line_plan(columns)
        self._weights = np.empty((len(weights), 2 * mask.size), np.float32)
        for coil, out in zip(weights, self._weights, strict=True):
            mr_transforms.part_into(_floats(coil), rows, columns, out)
        self._both = bool((mask != mask[:, :1]).any())
        if self._both:
            placed = np.empty_like(mask)
            placed[self._rows.places] = mask
            tiles = placed.reshape(rows // 8, 8, columns).swapaxes(1, 2) / np.float32(mask.size)
        else:
            tiles = np.repeat(mask[:, :1], 8, axis=1) / np.float32(rows)
        self._mask = np.ascontiguousarray(tiles, np.float32).reshape(-1)
        self._planes = np.empty((side_by_side, 2 * mask.size if self._both else 0), np.float32)
        self._tiles = np.empty((side_by_side, 2, 16 * max(rows, columns)), np.float32)

    def part(self, image: NDArray[np.complex64]) -> NDArray[np.float32]:
        """An image as ``add`` takes it."""
        out = np.empty(2 * image.size, np.float32)
        mr_transforms.part_into(_floats(image), *self._shape, out)
        return out

    def join(self, sums: NDArray[np.complex64], threads: int | None = None) -> NDArray[np.complex64]:
        """The image of all sums that ``add`` has made, ``(sums, row * column)``."""
        out = np.empty(self._shape, np.complex64)
        parts, made = sums.view(np.float32), _floats(out)

        def run(start: int, stop: int) -> None:
            mr_transforms.join_into(parts, *self._shape, start, stop, made)

        parallel.run_tiles(run, self._shape[0], tile=max(8, _TILE // self._shape[1]), threads=threads)
        return out

    def add(self, coil: int, image: NDArray[np.float32], sums: NDArray[np.complex64], seat: int) -> None:
        """Add one coil's part to ``sums``; ``seat`` says whose scratch space is free."""
        mr_transforms.add_normal_of_coil_into(
            image, self._weights[coil], self._mask, self._both, *self._shape, self._rows.radices, self._rows.turns,
            self._rows.places, self._columns.radices, self._columns.turns, self._columns.places, PLAIN,
            self._planes[seat], self._tiles[seat], _floats(sums),
        )  # fmt: skip


def _floats(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    return values.reshape(-1).view(np.float32)
