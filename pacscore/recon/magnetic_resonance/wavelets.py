"""Orthonormal wavelets on planes and volumes, periodic, and the proximal step of their absolute sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacscore import parallel
from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import UNWATCHED, Watch
from pacscore.kernels import mr_wavelets

Complex64 = NDArray[np.complex64]
Float32 = NDArray[np.float32]

_ROOT3, _ROOT2 = math.sqrt(3.0), math.sqrt(2.0)
LOW_PASS: dict[str, tuple[float, ...]] = {
    "haar": (1 / _ROOT2, 1 / _ROOT2),
    "db2": tuple(value / (4 * _ROOT2) for value in (1 + _ROOT3, 3 + _ROOT3, 3 - _ROOT3, 1 - _ROOT3)),
}
"""Daubechies 1992, table 6.1: low-pass taps with one and two vanishing moments."""

_SMALL = 1 << 17  # Below that a second thread takes longer to wake than the work takes.


class WaveletTransform:
    """An orthonormal wavelet transform of images of one shape.

    Parameters
    ----------
    shape : sequence of int
        ``([slice,] row, column)``.
    wavelet : str
        ``haar`` or ``db2``.
    levels : int
        How often to split, at most; an axis stops where it would have fewer than 8 samples.
    watch : Watch
        Threads.

    Attributes
    ----------
    padded_shape : tuple of int
        What is transformed: each axis made long enough to be halved at every level. Images are padded with zeros.

    Raises
    ------
    InputError
        The wavelet is not known, or the shape has not 2 or 3 axes.
    """

    def __init__(
        self, shape: Sequence[int], *, wavelet: str = "db2", levels: int = 4, watch: Watch = UNWATCHED
    ) -> None:
        if wavelet not in LOW_PASS:
            raise InputError(f"wavelet is one of {', '.join(LOW_PASS)}, not {wavelet!r}.", found=wavelet)
        if len(shape) not in {2, 3} or min(shape) < 1 or levels < 1:
            raise InputError(f"A wavelet transform needs 2 or 3 axes and a level: {tuple(shape)}, {levels}.")
        self.shape = tuple(shape)
        self._depths = tuple(min(levels, max(0, int(math.log2(length / 8)))) for length in shape)
        self.padded_shape = tuple(
            -(-length >> depth) << depth for length, depth in zip(shape, self._depths, strict=True)
        )
        self._analysis, self._synthesis = _filters(LOW_PASS[wavelet])
        self._watch = watch

    @property
    def approximation_shape(self) -> tuple[int, ...]:
        """The corner of the coefficients that is the image made coarse."""
        return tuple(length >> depth for length, depth in zip(self.padded_shape, self._depths, strict=True))

    def pad(self, image: Complex64) -> Complex64:
        """The image with zeros up to ``padded_shape``; itself where nothing is missing."""
        if self.padded_shape == self.shape:
            return image
        out = np.zeros(self.padded_shape, np.complex64)
        out[tuple(map(slice, self.shape))] = image
        return out

    def crop(self, padded: Complex64) -> Complex64:
        """Undo ``pad``."""
        if self.padded_shape == self.shape:
            return padded
        return np.ascontiguousarray(padded[tuple(map(slice, self.shape))])

    def forward(self, padded: Complex64) -> Complex64:
        """Coefficients of a padded image, which is used up: its memory may become the result."""
        return self._walk(padded, range(max(self._depths, default=0)), forward=True)

    def inverse(self, coefficients: Complex64) -> Complex64:
        """The padded image of coefficients, which are used up."""
        return self._walk(coefficients, reversed(range(max(self._depths, default=0))), forward=False)

    def shrink(self, coefficients: Complex64, threshold: float, *, approximation: bool = False) -> None:
        """Soft-threshold in place: details, and the ``approximation`` too if asked."""
        given = _three_axes(coefficients).view(np.float32)
        corner = (0, 0, 0) if approximation else _three(self.approximation_shape)
        height = given.shape[1]

        def run(start: int, stop: int) -> None:
            mr_wavelets.shrink_into(given, threshold, *corner, start, stop)

        self._tiles(run, given.shape[0] * height, coefficients.size)

    def absolute_sum(self, coefficients: Complex64, *, approximation: bool = False) -> float:
        """The sum of magnitudes of the coefficients that ``shrink`` shrinks."""
        corner = (0, 0, 0) if approximation else _three(self.approximation_shape)
        return float(mr_wavelets.absolute_sum(_three_axes(coefficients), *corner))

    def _walk(self, array: Complex64, levels: Any, *, forward: bool) -> Complex64:
        depths, full = _three(self._depths, 0), _three(self.padded_shape)
        here = np.ascontiguousarray(array)
        there = np.empty_like(here)
        for level in levels:
            sizes = tuple(n >> min(level, depth) for n, depth in zip(full, depths, strict=True))
            along = tuple(level < depth for depth in depths)
            passes = [each for each, wanted in ((False, along[1] or along[2]), (True, along[0])) if wanted]
            source, target = here, there
            for of_slices in passes if forward else passes[::-1]:
                self._split(source, target, sizes, along, of_slices=of_slices, forward=forward)
                source, target = target, source
            if source is there:
                if sizes == full:
                    here, there = there, here
                else:
                    box = tuple(map(slice, sizes[3 - here.ndim :]))
                    here[box] = there[box]
        return here

    def _split(
        self, source: Complex64, target: Complex64, sizes: tuple[int, ...], along: tuple[bool, ...], *,
        of_slices: bool, forward: bool,
    ) -> None:  # fmt: skip
        """A level along rows and columns of each slice; or ``of_slices``, where planes are (slice, column)."""
        work, filters = (
            (mr_wavelets.analyse_into, self._analysis) if forward else (mr_wavelets.synthesize_into, self._synthesis)
        )
        given, made = (array.reshape(-1).view(np.float32) for array in (source, target))
        _, height, width = _three(self.padded_shape)
        pitches, planes, rows, by = (2 * height * width, 2 * width), sizes[0], sizes[1], along[1:]
        if of_slices:
            pitches, planes, rows, by = pitches[::-1], sizes[1], sizes[0], (True, False)

        def run(start: int, stop: int) -> None:
            scratch = np.empty(2 * sizes[2] + 4, np.float32)
            work(given, *pitches, rows, sizes[2], *by, filters, start, stop, scratch, made)

        self._tiles(run, planes * (rows // 2 if by[0] else rows), math.prod(sizes))

    def _tiles(self, run: Any, lines: int, voxels: int) -> None:
        tiles = max(1, min(8, voxels // _SMALL))
        parallel.run_tiles(run, lines, tile=-(-lines // tiles), threads=self._watch.threads)


def _filters(low: tuple[float, ...]) -> tuple[Float32, Float32]:
    """Low pass, high pass and identity as ``analyse_into`` takes them, and the same for ``synthesize_into``."""
    high = tuple((-1) ** tap * low[len(low) - 1 - tap] for tap in range(len(low)))
    analysis = np.zeros((3, 4), np.float32)
    analysis[0, : len(low)], analysis[1, : len(low)], analysis[2, 0] = low, high, 1
    synthesis = analysis.copy()
    for odd in range(2):
        synthesis[odd] = analysis[:2, odd::2].T.reshape(-1)
    return analysis, synthesis


def _three(values: Sequence[int], before: int = 1) -> tuple[int, int, int]:
    first, second, third = (before,) * (3 - len(values)) + tuple(values)
    return first, second, third


def _three_axes(array: Complex64) -> Complex64:
    return array.reshape(_three(array.shape))
