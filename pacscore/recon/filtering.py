"""Filters of filtered backprojection, as short convolutions, and what is folded into them.

F1  The ramp is band-limited where it is defined, as samples of its impulse response (Kak and Slaney 1988, equation 61
    of chapter 3): no offset and no cupping, as a ramp sampled in frequency has. On an arc the response is that of
    equal angles (ibid., equation 94).
F2  A window multiplies the response by a function of frequency; ``cutoff`` is the part of the Nyquist frequency at
    which it ends.
F3  Truncation: columns beyond the detector are taken to fall from the outermost value to 0 like a cosine squared
    (after Ohnesorge et al. 2000, Med. Phys. 27(1)). They depend on the data linearly, so they are part of the matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacscore.errors import InputError
from pacscore.imaging.arrays.watching import Watch
from pacscore.kernels import ramp

FILTERS = ("ramp", "shepp-logan", "cosine", "hann", "hamming", "none")
"""Names of filters; ``none`` backprojects what was measured."""


@dataclass(frozen=True, slots=True)
class Filter:
    """How projections are filtered.

    Attributes
    ----------
    name : str
        One of ``FILTERS``.
    cutoff : float
        Above 0, up to 1: the part of the Nyquist frequency at which the window ends.
    extrapolate : float
        Columns added on both sides against truncation, as a part of the detector's; 0 for none. Values fall to 0 over
        them, so it should say how far the object reaches: 0.25 where a quarter of it is cut off.

    Raises
    ------
    InputError
        There is no such filter, or a number lies outside its range.
    """

    name: str = "ramp"
    cutoff: float = 1.0
    extrapolate: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in FILTERS:
            raise InputError(f"There is no filter {self.name!r}: choose one of {', '.join(FILTERS)}.", found=self.name)
        if not 0.0 < self.cutoff <= 1.0:
            raise InputError(f"cutoff is a part of the Nyquist frequency, above 0 and up to 1: not {self.cutoff}.")
        if not 0.0 <= self.extrapolate <= 4.0:
            raise InputError(f"extrapolate is a part of the detector's width from 0 to 4: not {self.extrapolate}.")

    def response(self, lags: int, *, radians_per_column: float = 0.0) -> NDArray[np.float64]:
        """The impulse response for columns 1 apart.

        Parameters
        ----------
        lags : int
            How far it reaches to each side.
        radians_per_column : float
            Of a detector that is an arc, else 0.

        Returns
        -------
        NDArray of float64
            (2 * lags + 1,), lag 0 in the middle.
        """
        distance = np.arange(-lags, lags + 1)
        taps = np.zeros(distance.size)
        if self.name == "none":
            taps[lags] = 1.0
            return taps
        odd = distance % 2 != 0
        turn = radians_per_column * distance[odd]
        chord = np.sin(turn) / radians_per_column if radians_per_column > 0 else distance[odd]
        taps[odd] = -1.0 / (np.pi * chord) ** 2
        taps[lags] = 0.25
        if self.name == "ramp" and self.cutoff == 1.0:
            return taps
        size = 1 << int(np.ceil(np.log2(4 * lags + 4)))
        circular = np.zeros(size)
        circular[distance % size] = taps
        frequency = np.arange(size // 2 + 1) / (size // 2) / self.cutoff
        shaped = np.fft.irfft(np.fft.rfft(circular) * _window(self.name, frequency), size)
        windowed: NDArray[np.float64] = shaped[distance % size]
        return windowed

    def matrix(
        self, columns: int, *, radians_per_column: float = 0.0, beside: tuple[int, int] = (0, 0)
    ) -> NDArray[np.float64]:
        """(columns and those beside, columns): filtered columns are its product with measured ones.

        Parameters
        ----------
        beside : tuple of int
            How many columns before the first and after the last are filtered too: what was not measured there counts
            as 0, but the filter's response reaches there.
        """
        beyond = int(np.ceil(self.extrapolate * columns))
        reach = columns + beyond
        if radians_per_column * (columns + beyond) > 3.0:
            beyond = 0
            reach = columns
        before, after = beside
        outputs = np.arange(-before, columns + after)
        reach = max(reach, columns + beyond + before + after)
        taps = self.response(reach - 1, radians_per_column=radians_per_column)
        places = outputs[:, None] - np.arange(-beyond, columns + beyond)[None, :]
        whole = taps[places + reach - 1]
        matrix: NDArray[np.float64] = whole[:, beyond : beyond + columns].copy()
        if beyond:
            fall = np.cos(np.linspace(0, np.pi / 2, beyond, endpoint=False) + np.pi / 4 / beyond) ** 2
            matrix[:, 0] += whole[:, :beyond] @ fall[::-1]
            matrix[:, -1] += whole[:, beyond + columns :] @ fall
        return matrix

    def __str__(self) -> str:
        words = self.name if self.cutoff == 1.0 else f"{self.name} to {self.cutoff:g} of the Nyquist frequency"
        return f"{words}, extrapolated by {self.extrapolate:g}" if self.extrapolate else words


def _window(name: str, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = frequency <= 1.0
    shapes = {
        "ramp": np.ones(frequency.size),
        "shepp-logan": np.sinc(frequency / 2),
        "cosine": np.cos(np.pi * frequency / 2),
        "hann": 0.5 + 0.5 * np.cos(np.pi * frequency),
        "hamming": 0.54 + 0.46 * np.cos(np.pi * frequency),
    }
    return np.where(inside, shapes[name], 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class PackedFilter:
    """A filter matrix as ``kernels/ramp.py`` takes it: four outputs at a time, zeros left out."""

    outputs: int
    columns_of: NDArray[np.int32]
    counts: NDArray[np.int32]
    taps: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> PackedFilter:
        """Pack a matrix (columns out, columns in)."""
        outputs, inputs = matrix.shape
        padded = np.zeros((-(-outputs // 8) * 8, inputs))
        padded[:outputs] = matrix
        # Outputs 8 k + parity + (0, 2, 4, 6) form a block.
        blocks = padded.reshape(-1, 4, 2, inputs).transpose(0, 2, 1, 3).reshape(-1, 4, inputs)
        present = (blocks != 0).any(axis=1)
        counts = present.sum(axis=1)
        longest = max(1, int(counts.max()))
        order = np.argsort(~present, axis=1, kind="stable")[:, :longest]
        taps = np.take_along_axis(blocks, order[:, None, :], axis=2).transpose(0, 2, 1)
        return cls(outputs, order.astype(np.int32), counts.astype(np.int32), np.ascontiguousarray(taps, np.float32))


def padded_rows(rows: int) -> int:
    """Rows of a filtered view with the zeros around them; a multiple of 8 with room for whole vectors."""
    return -(-(rows + ramp.ROWS_BEFORE + ramp.ROWS_AFTER) // 8) * 8


def filter_views(
    projections: NDArray[np.float32],
    out: NDArray[np.float32],
    packed: PackedFilter,
    *,
    cosines: NDArray[np.float32],
    factors: NDArray[np.float32],
    row_shift: int = ramp.ROWS_BEFORE,
    reverse: bool = False,
    watch: Watch,
) -> None:
    """Weight and filter views and put them where backprojection reads them.

    Parameters
    ----------
    projections : (views, rows, columns) float32, C order
    out : (views, filtered columns + 2, more rows) float32, zeros; filtered column ``c`` goes to ``c + 1``, row ``r`` to
        ``r + row_shift``
    packed : PackedFilter
        Of a matrix from as many columns to those of ``out``.
    cosines : (rows, columns) float32, of all views, or (views, rows, columns)
    factors : (views, columns) float32
    reverse : bool
        Take the rows from the last to the first.
    watch : Watch
        Phase ``filtering``.
    """
    views, rows, columns = projections.shape
    stride = -(-rows // 8) * 8
    own = cosines.ndim == 3

    def run(start: int, stop: int) -> None:
        turned = np.empty((columns, stride), np.float32)
        for view in range(start, stop):
            ramp.filter_view_into(
                projections[view], cosines[view] if own else cosines, factors[view], reverse, packed.columns_of,
                packed.counts, packed.taps, turned, row_shift, out[view, 1:-1],
            )  # fmt: skip

    watch.run("filtering", run, views, tile=4)
